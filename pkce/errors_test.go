package pkce

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

func TestSentinels(t *testing.T) {
	checkError(t, ErrState)
	assert.ErrorIs(t, ErrState, ErrStartAgain)
	for err, text := range map[error]string{
		ErrStartAgain:    "pkce: start again",
		ErrDenied:        "pkce: the user said no",
		ErrMisconfigured: "pkce: the application is misconfigured",
		ErrState:         "pkce: the callback's state doesn't verify",
		ErrAlreadyUsed:   "pkce: the callback was used before",
	} {
		assert.EqualError(t, err, text)
	}
}

// What to do about each error that a provider may send to the callback.
func TestAuthErrorActions(t *testing.T) {
	want := map[error][]string{
		ErrDenied: {
			"access_denied", "Access_Denied", "user_cancelled_authorize", "user_cancelled_login", "user_denied",
		},
		ErrMisconfigured: {
			"invalid_request", "unauthorized_client", "unsupported_response_type", "invalid_scope", "invalid_client",
			"redirect_uri_mismatch", "invalid_redirect_uri", "request_not_supported", "invalid_target",
		},
		ErrStartAgain: {
			"server_error", "temporarily_unavailable", "consent_required", "login_required", "interaction_required",
			"account_selection_required", "something_new",
		},
	}
	for action, codes := range want {
		for _, code := range codes {
			s := begun("k")
			_, err := s.Exchange(t.Context(), newStub(), url.Values{"state": {s.State}, "error": {code}})
			assert.ErrorIs(t, err, action, code)
			checkError(t, err, s.State, s.Verifier)
			var auth *AuthError
			require.ErrorAs(t, fmt.Errorf("wrapped: %w", err), &auth)
			assert.Equal(t, code, auth.Code)
		}
	}
}

func TestAuthErrorTexts(t *testing.T) {
	for name, tt := range map[string]struct {
		callback url.Values
		want     AuthError
		text     string
	}{
		"all": {
			url.Values{"error": {"access_denied"}, "error_description": {"No."}, "error_uri": {"https://p.example/e?x=1"}},
			AuthError{"access_denied", "No.", "https://p.example/e?x=1"},
			`pkce: the provider answered "access_denied": "No."`,
		},
		"code only": {
			url.Values{"error": {"server_error"}},
			AuthError{Code: "server_error"},
			`pkce: the provider answered "server_error"`,
		},
		"another language": {
			url.Values{"error": {"e"}, "error_description": {"L’utilisateur a refusé. 拒否"}},
			AuthError{Code: "e", Description: "L’utilisateur a refusé. 拒否"},
			`pkce: the provider answered "e": "L’utilisateur a refusé. 拒否"`,
		},
		"control characters": {
			url.Values{"error": {"a\nb"}, "error_description": {"x\x1b[31m\r\nlevel=INFO\u202e\xff"}},
			AuthError{Code: "a b", Description: "x [31m level=INFO"},
			`pkce: the provider answered "a b": "x [31m level=INFO"`,
		},
		"the secrets sent back": {
			url.Values{"error": {"e-st+te=1234"}, "error_description": {"st+te=1234 st%2Bte%3D1234 veri"}, "error_uri": {"https://p.example/st+te=1234"}},
			AuthError{Code: "e-[redacted]", Description: "[redacted] [redacted] [redacted]"},
			`pkce: the provider answered "e-[redacted]": "[redacted] [redacted] [redacted]"`,
		},
		"an authorization code beside it": {
			url.Values{"error": {"e"}, "error_description": {"for c0de-c0de"}, "code": {"c0de-c0de"}},
			AuthError{Code: "e", Description: "for [redacted]"}, `pkce: the provider answered "e": "for [redacted]"`,
		},
		"no code that can be shown": {
			url.Values{"error": {"\x00\x01"}, "error_description": {strings.Repeat("x", 5000)}},
			AuthError{Code: "(unreadable)"}, `pkce: the provider answered "(unreadable)"`,
		},
		"a script": {url.Values{"error": {"e"}, "error_uri": {"javascript:alert(1)"}}, AuthError{Code: "e"}, `pkce: the provider answered "e"`},
		"a script with a host": {
			url.Values{"error": {"e"}, "error_uri": {"javascript://p.example/%0aalert(1)"}}, AuthError{Code: "e"}, `pkce: the provider answered "e"`,
		},
		"a path": {url.Values{"error": {"e"}, "error_uri": {"/path"}}, AuthError{Code: "e"}, `pkce: the provider answered "e"`},
		"no URI": {url.Values{"error": {"e"}, "error_uri": {"https://p.example/%zz"}}, AuthError{Code: "e"}, `pkce: the provider answered "e"`},
		"a long URI": {
			url.Values{"error": {"e"}, "error_uri": {"https://p.example/" + strings.Repeat("x", 500)}}, AuthError{Code: "e"}, `pkce: the provider answered "e"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := newAuthError(tt.callback, "st+te=1234", "veri")
			assert.Equal(t, tt.want, *got)
			assert.EqualError(t, got, tt.text)
		})
	}
	long := newAuthError(url.Values{"error": {strings.Repeat("é", 1000)}, "error_description": {strings.Repeat("é", 1000)}})
	for _, s := range []struct {
		text  string
		limit int
	}{{long.Code, 100}, {long.Description, 500}} {
		assert.True(t, utf8.ValidString(s.text))
		assert.LessOrEqual(t, len(s.text), s.limit)
		assert.Greater(t, len(s.text), s.limit-4)
		assert.True(t, strings.HasSuffix(s.text, "é…"))
	}
}

// What to do about each answer of a token endpoint, by way of x/oauth2 and a server.
func TestExchangeActions(t *testing.T) {
	p := newProvider(t)
	recital := "The provided authorization grant is invalid, expired, revoked, does not match the redirection URI used in the authorization request, or was issued to another client."
	for _, tt := range []struct {
		status int
		body   string
		want   error
	}{
		{400, `{"error":"invalid_grant"}`, ErrStartAgain},
		{403, `{"error":"invalid_grant","error_description":"Invalid authorization code"}`, ErrStartAgain},
		{400, `{"error":"invalid_grant","error_description":"` + recital + `"}`, ErrStartAgain},
		{400, `{"error":"invalid_grant","error_description":"redirect_uri does not match"}`, ErrMisconfigured},
		{400, `{"error":"redirect_uri_mismatch"}`, ErrMisconfigured},
		{400, `{"error":"invalid_request"}`, ErrMisconfigured},
		{400, `{"error":"invalid_scope"}`, ErrMisconfigured},
		{400, `{"error":"unauthorized_client"}`, ErrMisconfigured},
		{400, `{"error":"unsupported_grant_type"}`, ErrMisconfigured},
		{401, `{"error":"invalid_client"}`, ErrMisconfigured},
		{400, `{"error":"invalid_client"}`, ErrMisconfigured},
		{401, `{"error":"access_denied","error_description":"Unauthorized"}`, ErrMisconfigured},
		{200, `{"error":"invalid_grant"}`, ErrStartAgain},
		{200, `{"error":"bad_verification_code"}`, ErrStartAgain},
		{200, `{"error":"incorrect_client_credentials"}`, ErrMisconfigured},
		{500, `{"error":"server_error"}`, ErrStartAgain},
		{503, `{"error":"temporarily_unavailable"}`, ErrStartAgain},
		{429, `{"error":"too_many_requests"}`, ErrStartAgain},
		{400, `{"error":"something_new"}`, ErrStartAgain},
		{401, `{"error":"something_new"}`, ErrMisconfigured},
		{400, `the body`, ErrStartAgain},
		{401, `the body`, ErrMisconfigured},
		{402, `the body`, ErrMisconfigured},
		{403, `<html>the body of a firewall</html>`, ErrStartAgain},
		{404, `the body`, ErrMisconfigured},
		{405, `the body`, ErrMisconfigured},
		{415, `the body`, ErrMisconfigured},
		{303, ``, ErrMisconfigured},
		{307, ``, ErrMisconfigured},
		{400, `{"error":"invalid_grant: the code has expired"}`, ErrStartAgain},
		{400, `{"error":"INVALID_CLIENT"}`, ErrMisconfigured},
		{400, `{"error":"login_required"}`, ErrStartAgain},
		{400, `{"error":"insufficient_scope"}`, ErrStartAgain},
		{500, `{"error":"invalid_client"}`, ErrStartAgain},
		{429, ``, ErrStartAgain},
		{500, `the body`, ErrStartAgain},
		{502, `<html>the body</html>`, ErrStartAgain},
		{200, `the body`, ErrStartAgain},
		{200, `{}`, ErrStartAgain},
		{200, `{"access_token":12}`, ErrStartAgain},
	} {
		t.Run(fmt.Sprint(tt.status, tt.body), func(t *testing.T) {
			p.token = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tt.status)
				fmt.Fprint(w, tt.body)
			}
			s := begun("k")
			callback := url.Values{"state": {s.State}, "code": {"code-of-the-provider"}}
			_, err := s.Exchange(t.Context(), p.config("http://localhost/callback"), callback)
			assert.ErrorIs(t, err, tt.want)
			checkError(t, err, s.State, s.Verifier, "code-of-the-provider", "the body")
			var answer *oauth2.RetrieveError
			if tt.status != 200 || strings.Contains(tt.body, "error") {
				require.ErrorAs(t, err, &answer, "the provider's answer isn't reachable")
				assert.Equal(t, tt.status, answer.Response.StatusCode)
				assert.Contains(t, err.Error(), fmt.Sprint("the provider answered status ", tt.status))
			}
		})
	}
}

// Errors that are not answers.
func TestExchangeErrors(t *testing.T) {
	const code = "code+of/the=provider"
	closed := httptest.NewServer(nil)
	closed.Close()
	secretURL := func(u string) *oauth2.Config {
		c := newProvider(t).config("http://localhost/callback")
		c.Endpoint.TokenURL = u + "?secret=" + clientSecret
		return c
	}
	failing := func(err error) *stubConfig {
		c := newStub()
		c.err = err
		return c
	}
	invalid := failing(errors.New("endpoints: Finch: the client id is missing"))
	invalid.url = func(string) string { return "" }
	slow := newProvider(t)
	slow.token = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

	for name, tt := range map[string]struct {
		config Exchanger
		want   error
		text   string
	}{
		"connection refused":    {secretURL(closed.URL), ErrStartAgain, "pkce: the exchange failed: no answer: dial tcp "},
		"no such scheme":        {secretURL("adapted://p.example"), ErrMisconfigured, `unsupported protocol scheme "adapted"`},
		"no host":               {secretURL("https:///token"), ErrMisconfigured, "no Host in request URL"},
		"timeout":               {slow.config(""), ErrStartAgain, "pkce: the exchange failed: no answer: context deadline exceeded"},
		"a URL in a URL's":      {failing(&url.Error{Op: "Post", URL: clientSecret, Err: fmt.Errorf("outer: %w", &url.Error{Op: "Get", URL: clientSecret, Err: errors.New("inner")})}), ErrStartAgain, "pkce: the exchange failed: no answer: inner"},
		"the code repeated":     {failing(errors.New("no: " + code + ", " + url.QueryEscape(code) + ", " + url.PathEscape(code))), ErrStartAgain, "pkce: the exchange failed: no: [redacted], [redacted], [redacted]"},
		"invalid config":        {invalid, ErrMisconfigured, "pkce: the exchange failed: endpoints: Finch: the client id is missing"},
		"decided by the Config": {failing(fmt.Errorf("closed account: %w", ErrDenied)), ErrDenied, "pkce: the exchange failed: closed account"},
		"decided, with an answer": {
			failing(fmt.Errorf("%w: %w", ErrStartAgain, &oauth2.RetrieveError{ErrorCode: "invalid_client"})), ErrStartAgain,
			`pkce: the exchange failed: the provider answered "invalid_client"`,
		},
		"an answer in a wrapper that prints it": {
			failing(fmt.Errorf("wrapped: %w", &oauth2.RetrieveError{Response: &http.Response{StatusCode: 500}, Body: []byte(accessToken)})), ErrStartAgain,
			"pkce: the exchange failed: the provider answered status 500",
		},
		"a foreign description": {
			failing(&oauth2.RetrieveError{ErrorCode: "x\n" + code, ErrorDescription: "code " + code + strings.Repeat(" and", 1000)}), ErrStartAgain,
			`pkce: the exchange failed: the provider answered "x [redacted]" "code [redacted] and`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := begun("k")
			ctx := t.Context()
			if name == "timeout" {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 5*time.Millisecond)
				defer cancel()
			}
			_, err := s.Exchange(ctx, tt.config, url.Values{"state": {s.State}, "code": {code}})
			assert.ErrorIs(t, err, tt.want)
			assert.ErrorContains(t, err, tt.text)
			assert.Less(t, len(err.Error()), 700)
			assert.False(t, leadsTo(err, clientSecret, accessToken, s.Verifier, code), "%v", err)
			checkError(t, err, s.State, s.Verifier, code, url.QueryEscape(code))
		})
	}

	s := begun("k")
	_, err := s.Exchange(t.Context(), secretURL(closed.URL), url.Values{"state": {s.State}, "code": {code}})
	var network net.Error
	assert.ErrorAs(t, err, &network, "the cause isn't reachable")
}
