package pkce

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/redact"
	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// exchangeError wraps what c.Exchange returned. Neither its text nor what it wraps
// holds one of the secrets.
func exchangeError(c Exchanger, err error, secrets ...string) error {
	return requestError("the exchange failed: ", c, err, secrets)
}

// RequestError returns an error of another request that c has made to its provider, such
// as one of RFC 8628's, as this package returns those of an exchange: what to do about it
// is said by one of [ErrStartAgain], [ErrDenied] and [ErrMisconfigured], and neither its
// text nor what it wraps holds the body of an answer, the client's secret or one of the
// secrets given here.
func RequestError(c Exchanger, err error, secrets ...string) error {
	return requestError("the request failed: ", c, err, secrets)
}

// requestError wraps the error of a request that c has made.
func requestError(what string, c Exchanger, err error, secrets []string) error {
	p := &problem{action: ErrStartAgain, is: func(target error) bool { return errors.Is(err, target) }}
	if config, ok := c.(*oauth2.Config); ok {
		secrets = append(secrets, config.ClientSecret)
	}
	var answer *oauth2.RetrieveError
	var failed *url.Error
	var text string
	switch {
	case errors.As(err, &answer):
		// Without a code, RetrieveError.Error prints the whole body.
		meaning, _ := tokenerror.Of(err)
		answer = withoutSecrets(answer, secrets)
		p.action, p.cause = actionOf(meaning.Kind), answer
		text = answerText(answer)
	case errors.As(err, &failed):
		text = p.setNoAnswer(failed, secrets)
	default:
		p.cause = redact.Error(err, secrets)
		text = redact.Line(err.Error(), maxText, secrets)
		if _, ok := c.(Authorizer); !ok && c.AuthCodeURL("state") == "" {
			p.action = ErrMisconfigured // what it complains of is itself
		}
	}
	if tokenerror.WasNotSent(err) && !tokenerror.IsInput(err) {
		p.action = ErrMisconfigured
	}
	// A Config of the caller's own may have decided already.
	for _, action := range []error{ErrStartAgain, ErrDenied, ErrMisconfigured} {
		if errors.Is(err, action) {
			p.action = action
		}
	}
	p.text = what + text
	return p
}

// setNoAnswer sets what the error of a request without an answer means, and returns its text.
// Its own has the URL, and there are providers that want the client's secret in that.
func (p *problem) setNoAnswer(failed *url.Error, secrets []string) (text string) {
	inner := failed.Err
	for errors.As(inner, &failed) {
		inner = failed.Err
	}
	p.cause = redact.Error(inner, secrets)
	text = "no answer: " + redact.Line(fmt.Sprint(inner), maxText, secrets)
	if strings.Contains(text, "unsupported protocol scheme") || strings.Contains(text, "no Host in request URL") {
		p.action = ErrMisconfigured // the token URL is no URL
	} else if !errors.Is(inner, context.Canceled) {
		p.cause = tokenerror.Meant(p.cause, tokenerror.Unavailable)
	}
	if before, _, ok := strings.Cut(text, "malformed"); ok {
		text, p.cause = before+"malformed HTTP", nil // net/http quotes it, and it could be anything
	}
	return text
}

func answerText(e *oauth2.RetrieveError) string {
	var parts []string
	if e.Response != nil {
		parts = append(parts, fmt.Sprint("status ", e.Response.StatusCode))
	}
	if e.ErrorCode != "" {
		parts = append(parts, fmt.Sprintf("%q", e.ErrorCode))
	}
	if e.ErrorDescription != "" {
		parts = append(parts, fmt.Sprintf("%q", e.ErrorDescription))
	}
	return "the provider answered " + strings.Join(parts, " ")
}

// withoutSecrets returns the answer without its body, which may hold tokens, and
// without what else of it, or of the request, may hold a secret. What the answer
// means is the same.
func withoutSecrets(e *oauth2.RetrieveError, secrets []string) *oauth2.RetrieveError {
	var resp *http.Response
	if e.Response != nil {
		resp = &http.Response{
			Status:     e.Response.Status,
			StatusCode: e.Response.StatusCode,
			Header:     make(http.Header),
			Body:       http.NoBody,
		}
		if r := e.Response.Request; r != nil {
			secrets = append(secrets, requestSecrets(r)...)
			ctx := context.Background()
			if a, ok := tokenerror.AdaptedFrom(r.Context()); ok {
				ctx = tokenerror.WithAdapted(ctx, a)
			}
			resp.Request = (&http.Request{Method: r.Method}).WithContext(ctx)
			if r.URL != nil {
				resp.Request.URL = &url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host, Path: r.URL.Path}
			}
		}
		for _, name := range append([]string{"Content-Type"}, redact.KeptHeaders...) {
			if v := e.Response.Header.Get(name); v != "" && redact.Line(v, maxText, secrets) == v {
				resp.Header.Set(name, v)
			}
		}
	}
	return &oauth2.RetrieveError{
		Response:         resp,
		ErrorCode:        redact.Line(e.ErrorCode, maxCode, secrets),
		ErrorDescription: redact.Line(e.ErrorDescription, maxText, secrets),
		ErrorURI:         redact.URL(e.ErrorURI, maxText, secrets),
	}
}

// requestSecrets returns the credentials in a token request, for an answer may
// repeat them.
func requestSecrets(r *http.Request) []string {
	var secrets []string
	if _, password, ok := r.BasicAuth(); ok {
		plain, _ := url.QueryUnescape(password) // RFC 6749, section 2.3.1
		_, credentials, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		secrets = append(secrets, password, plain, credentials)
	}
	if r.GetBody == nil {
		return secrets
	}
	body, err := r.GetBody()
	if err != nil {
		return secrets
	}
	sent := &http.Request{Method: http.MethodPost, Header: r.Header, Body: body}
	sent.ParseForm() // it closes nothing, and there is nothing to be closed
	for name, values := range sent.PostForm {
		if redact.IsSecretName(name) || name == "code" {
			secrets = append(secrets, values...)
		}
	}
	return secrets
}
