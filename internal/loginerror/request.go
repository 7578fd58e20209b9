package loginerror

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/redact"
	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// Client is what has made a request: a pkce.Exchanger.
type Client interface {
	AuthCodeURL(state string, opts ...oauth2.AuthCodeOption) string
}

// Authorizer is a Client that makes the URL of the consent page by another method: a
// pkce.Authorizer. That AuthCodeURL gives none doesn't mean that it isn't valid.
type Authorizer interface {
	Client
	Authorize(ctx context.Context, state, verifier string, opts ...oauth2.AuthCodeOption) (consentURL string, kept map[string]string, err error)
}

// OfRequest returns the error of a request that c has made to its provider: what to do about
// it is said by one of the three, and neither its text, which begins with what, nor what it
// wraps holds the body of an answer, the client's secret or one of the secrets given here.
func OfRequest(what string, c Client, err error, secrets ...string) error {
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
		p.action, p.cause = ActionOf(meaning.Kind), answer
		text = answerText(answer)
	case errors.As(err, &failed):
		text = p.setNoAnswer(failed, secrets)
	default:
		p.cause = redact.Error(err, secrets)
		text = redact.Line(err.Error(), MaxText, secrets)
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
	text = "no answer: " + redact.Line(fmt.Sprint(inner), MaxText, secrets)
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
