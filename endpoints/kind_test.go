package endpoints_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

func TestPlainConfigWithoutTheContextIsRecognized(t *testing.T) {
	// What a provider that takes JSON may say to a form.
	answers := map[string]http.HandlerFunc{
		"its error":     answerJSON(400, `{"code":400,"name":"bad_request","message":"Unexpected token c in JSON at position 0"}`),
		"another error": answerJSON(415, `{"error":"invalid_request","error_description":"Unsupported Media Type"}`),
		"dead grant":    answerJSON(403, `{"error":"invalid_grant","error_description":"Unknown"}`),
		"a page":        answer(415, "text/html", "<html>Unsupported Media Type</html>"),
		"trouble":       answer(500, "text/plain", "Internal Server Error"),
	}
	for _, p := range []endpoints.Provider{endpoints.Finch, endpoints.Chart, endpoints.TaxRock, endpoints.TaxRockSandbox} {
		for name, h := range answers {
			t.Run(p.Endpoint.TokenURL+" "+name, func(t *testing.T) {
				net := newInternet(t, h)
				conf := &oauth2.Config{ClientID: "id", Endpoint: p.Endpoint}
				_, err := conf.Exchange(net.context(), "c0de")
				assert.Equal(t, endpoints.KindNotAdapted, endpoints.KindOf(err))
				_, err = refresh(net.context(), conf, "old")
				assert.Equal(t, endpoints.KindNotAdapted, endpoints.KindOf(fmt.Errorf("wrapped: %w", err)))

				_, err = conf.Exchange(p.Context(net.context()), "c0de")
				assert.NotEqual(t, endpoints.KindNotAdapted, endpoints.KindOf(err), "with the context")
			})
		}
	}
	net := newInternet(t, answerJSON(400, `{"error":"invalid_grant"}`))
	_, err := (&oauth2.Config{ClientID: "id", Endpoint: rfc.Endpoint}).Exchange(net.context(), "c0de")
	assert.Equal(t, endpoints.KindCodeRejected, endpoints.KindOf(err), "a provider that isn't defined here")

	net = newInternet(t, answerJSON(415, `{"message":"Unsupported Media Type"}`))
	_, err = (&oauth2.Config{ClientID: "id", Endpoint: rfc.Endpoint}).Exchange(net.context(), "c0de")
	assert.Equal(t, endpoints.KindNotAdapted, endpoints.KindOf(err), "another one, or another host, that says it takes no forms")
}

func TestKindOfErrorsThatAreNotTheProviders(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		kind endpoints.ErrorKind
	}{
		{"nil", nil, endpoints.KindUnknown},
		{"anything", errors.New("anything"), endpoints.KindUnknown},
		{"cancelled", fmt.Errorf("x: %w", context.Canceled), endpoints.KindUnknown},
		{"cancelled request", &url.Error{Err: context.Canceled}, endpoints.KindUnknown},
		{"timeout", context.DeadlineExceeded, endpoints.KindProviderTrouble},
		{"network", fmt.Errorf("x: %w", &url.Error{Err: errors.New("connection refused")}), endpoints.KindProviderTrouble},
		{"no response", &oauth2.RetrieveError{ErrorCode: "invalid_grant"}, endpoints.KindCodeRejected},
		{"no request", &oauth2.RetrieveError{Response: &http.Response{StatusCode: 400}}, endpoints.KindUnreadable},
		{"no URL", &oauth2.RetrieveError{Response: &http.Response{StatusCode: 400, Request: &http.Request{}}, ErrorCode: "x"}, endpoints.KindUnknown},
		{"no code", &oauth2.RetrieveError{}, endpoints.KindUnreadable},
		{"no code, trouble", &oauth2.RetrieveError{Response: &http.Response{StatusCode: 503}}, endpoints.KindProviderTrouble},
		{"no code, rate", &oauth2.RetrieveError{Response: &http.Response{StatusCode: 429}}, endpoints.KindRateLimited},
	} {
		assert.Equal(t, test.kind, endpoints.KindOf(test.err), test.name)
	}
}

// TestKindOfAnswersFromAnotherURL has answers that say that the request went wrong
// before anyone looked at the code.
func TestKindOfAnswersFromAnotherURL(t *testing.T) {
	for body, want := range map[string]endpoints.ErrorKind{
		`{"error":"not_found","error_description":"no such endpoint"}`:                        endpoints.KindClientRejected,
		`{"code":404,"name":"item_not_found","message":"Cannot POST /token"}`:                 endpoints.KindClientRejected,
		`{"error":"invalid_grant","error_description":"some servers answer 404 to that too"}`: endpoints.KindCodeRejected,
	} {
		net := newInternet(t, answerJSON(404, body))
		_, err := rfc.Config(oauth2.Config{ClientID: "id"}).Exchange(net.context(), "c0de")
		assert.Equal(t, want, endpoints.KindOf(err), body)
	}
	net := newInternet(t, answerJSON(403, `{"error":"unauthorized_client","error_description":"The redirect URI is wrong. You sent http://a, and we expected http://b"}`))
	_, err := endpoints.TaxRock.Config(oauth2.Config{ClientID: "id"}).Exchange(net.context(), "c0de")
	assert.Equal(t, endpoints.KindRedirectMismatch, endpoints.KindOf(err), "Auth0's code for it")
}

func TestDescriptionTellsARedirectMismatchFromADeadCode(t *testing.T) {
	for description, want := range map[string]endpoints.ErrorKind{
		"":                          endpoints.KindCodeRejected,
		"The code was used":         endpoints.KindCodeRejected,
		"Redirect URI is wrong":     endpoints.KindRedirectMismatch,
		"redirect_uri mismatch":     endpoints.KindRedirectMismatch,
		"bad redirection parameter": endpoints.KindRedirectMismatch,
		// RFC 6749, section 5.2, recited.
		"The provided authorization grant (e.g., authorization code, resource owner credentials) or refresh token is invalid, expired, revoked, does not match the redirection URI used in the authorization request, or was issued to another client.": endpoints.KindCodeRejected,
	} {
		_, err := exchange(t, endpoints.Answer{}, answerJSON(400, `{"error":"invalid_grant","error_description":"`+description+`"}`))
		assert.Equal(t, want, endpoints.KindOf(err), description)
	}
	for code, want := range map[string]endpoints.ErrorKind{
		"redirect_uri_mismatch": endpoints.KindRedirectMismatch,
		"invalid_redirect_uri":  endpoints.KindRedirectMismatch,
	} {
		_, err := exchange(t, endpoints.Answer{}, answerJSON(400, `{"error":"`+code+`"}`))
		assert.Equal(t, want, endpoints.KindOf(err), code)
	}
}

func TestEveryKindHasAnAction(t *testing.T) {
	for _, kind := range []endpoints.ErrorKind{
		endpoints.KindDenied, endpoints.KindCodeRejected, endpoints.KindRedirectMismatch, endpoints.KindClientRejected,
		endpoints.KindLoginRequired, endpoints.KindInsufficientScope, endpoints.KindRateLimited, endpoints.KindProviderTrouble,
		endpoints.KindUnreadable, endpoints.KindNotAdapted,
	} {
		hint := kind.Hint()
		assert.Regexp(t, `^[A-Z][^<>&\n]+\.$`, hint, "a sentence fit for a screen")
		assert.NotRegexp(t, `(?i)token|oauth|redirect|client|http|grant\b`, hint, "without words that a user doesn't know")
	}
	assert.Empty(t, endpoints.KindUnknown.Hint())
	assert.Empty(t, endpoints.KindTokenRejected.Hint(), "nobody has to do anything")
}

// Package tokensource waits as long as the provider asks for, and a program can.
func TestErrorHasTheRetryAfterOfTheAnswer(t *testing.T) {
	for header, want := range map[string]time.Duration{"7": 7 * time.Second, "Sat, 01 Jan 2000 00:01:30 GMT": 90 * time.Second} {
		for name, h := range map[string]http.HandlerFunc{"an error": answerJSON(429, `{"error":"slow_down"}`), "a page": answer(503, "text/html", "<html>")} {
			asks := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", header)
				w.Header().Set("Date", "Sat, 01 Jan 2000 00:00:00 GMT")
				h(w, r)
			})
			for by, conf := range map[string]client{"adapted": rfc.Config(oauth2.Config{ClientID: "id"}), "plain": &oauth2.Config{ClientID: "id", Endpoint: rfc.Endpoint}} {
				ctx := answering(asks).context()
				if by == "plain" {
					ctx = rfc.Context(ctx)
				}
				_, err := conf.Exchange(ctx, "c0de")
				var answered *oauth2.RetrieveError
				require.ErrorAs(t, err, &answered, "%s, %s", name, by)
				assert.Equal(t, header, answered.Response.Header.Get("Retry-After"), "%s, %s", name, by)
				meaning, _ := tokenerror.Of(err)
				assert.Equal(t, want, meaning.RetryAfter, "%s, %s", name, by)
			}
		}
	}
}
