package loginerror

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/redact"
	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

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
			if v := e.Response.Header.Get(name); v != "" && redact.Line(v, MaxText, secrets) == v {
				resp.Header.Set(name, v)
			}
		}
	}
	return &oauth2.RetrieveError{
		Response:         resp,
		ErrorCode:        redact.Line(e.ErrorCode, MaxCode, secrets),
		ErrorDescription: redact.Line(e.ErrorDescription, MaxText, secrets),
		ErrorURI:         redact.URL(e.ErrorURI, MaxText, secrets),
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
