package tokenerror

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"golang.org/x/oauth2"
)

// answer is the error that x/oauth2 makes of an answer.
func answer(status int, code, description string, header ...string) *oauth2.RetrieveError {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	u := &url.URL{Scheme: "https", Host: "auth.example", Path: "/token"}
	return &oauth2.RetrieveError{
		Response:  &http.Response{StatusCode: status, Header: h, Request: &http.Request{Method: "POST", URL: u}},
		ErrorCode: code, ErrorDescription: description,
	}
}

// adapted is that error when package endpoints has made the request.
func adapted(e *oauth2.RetrieveError, grant string, kind Kind) *oauth2.RetrieveError {
	e.Response.Request = e.Response.Request.WithContext(WithAdapted(context.Background(), Adapted{grant, kind}))
	return e
}

func TestMeaningOfAnAnswer(t *testing.T) {
	const recital = "The provided authorization grant is invalid, expired, revoked, does not match the redirection URI used in the authorization request, or was issued to another client."
	const concurrent = "The request is missing a required parameter, includes an invalid parameter value, includes a parameter more than once, or is otherwise malformed. " +
		"Failed to refresh token because of multiple concurrent requests using the same token. Please retry the request." // Ory Hydra's
	for _, test := range []struct {
		status            int
		code, description string
		kind              Kind
		printed           string
	}{
		{400, "invalid_grant", "", GrantRejected, "invalid_grant"},
		{401, "invalid_grant", "", GrantRejected, "invalid_grant"},
		{404, "invalid_grant", "some servers say that too", GrantRejected, "invalid_grant"},
		{200, "invalid_grant", "", GrantRejected, "invalid_grant"},
		{0, "invalid_grant", "", GrantRejected, "invalid_grant"},
		{400, "INVALID_GRANT", "", GrantRejected, "invalid_grant"},
		{400, "invalid_grant: Token is expired.", "", GrantRejected, "invalid_grant"},
		{400, " Invalid_Grant_Error ", "", GrantRejected, "invalid_grant"},
		{400, "invalid_grant", recital, GrantRejected, "invalid_grant"},
		{400, "invalid_grant", "redirect_uri mismatch", RedirectMismatch, "invalid_grant"},
		{403, "unauthorized_client", "The redirect URI is wrong.", RedirectMismatch, "unauthorized_client"},
		{200, "bad_refresh_token", "", LoginRequired, "bad_refresh_token"},
		{400, "invalid_refresh_token", "", LoginRequired, "invalid_refresh_token"},
		{400, "interaction_required", "", LoginRequired, "interaction_required"},
		{400, "login_required", "", LoginRequired, "login_required"},
		{400, "invalid_request", "Refresh token is invalid or has already been claimed by another client.", LoginRequired, "invalid_request"},
		{400, "invalid_request", "Refresh token expired.", LoginRequired, "invalid_request"},
		{500, "invalid_request", "Refresh token expired.", Unavailable, "invalid_request"},
		{400, "invalid_request", "No refresh token is found in request.", ClientRejected, "invalid_request"},
		{400, "invalid_request", concurrent, ClientRejected, "invalid_request"},
		{401, "invalid_client", "", ClientRejected, "invalid_client"},
		{401, "access_denied", "", ClientRejected, "access_denied"},
		{400, "slow_down", "", RateLimited, "slow_down"},
		{400, "temporarily_unavailable", "", Unavailable, "temporarily_unavailable"},
		// The status says more than the code.
		{429, "invalid_grant", "", RateLimited, "invalid_grant"},
		{500, "invalid_grant", "", Unavailable, "invalid_grant"},
		{503, "invalid_client", "", Unavailable, "invalid_client"},
		{302, "invalid_grant", "", ClientRejected, "invalid_grant"},
		// There is no code, or none that says anything.
		{400, "", "", Unreadable, ""},
		{403, "", "", Unreadable, ""},
		{401, "", "", ClientRejected, ""},
		{404, "", "", ClientRejected, ""},
		{405, "what", "", ClientRejected, Unprintable},
		{307, "", "", ClientRejected, ""},
		{429, "", "", RateLimited, ""},
		{502, "", "", Unavailable, ""},
		{0, "", "", Unreadable, ""},
		{415, "", "", NotAdapted, ""},
		{400, "something_new", "", Unknown, Unprintable},
		{401, "something_new", "", ClientRejected, Unprintable},
		{400, "the-refresh-token-itself", "", Unknown, Unprintable},
		{400, "invalid_grant\nlevel=INFO", "", Unknown, Unprintable},
		{400, strings.Repeat("invalid_grant:", 1000), "", Unknown, Unprintable},
		// What package endpoints has called unreadable.
		{403, CodeUnreadable, "", Unreadable, CodeUnreadable},
		{401, CodeUnreadable, "", Unreadable, CodeUnreadable},
		{502, CodeUnreadable, "", Unreadable, CodeUnreadable},
		{503, CodeUnreadable, "", Unavailable, CodeUnreadable},
		{307, CodeUnreadable, "", ClientRejected, CodeUnreadable},
		{404, CodeUnreadable, "", ClientRejected, CodeUnreadable},
	} {
		err := error(answer(test.status, test.code, test.description))
		for _, err := range []error{err, fmt.Errorf("wrapped: %w", err)} {
			m, ok := Of(err)
			assert.True(t, ok)
			assert.Equal(t, Meaning{Kind: test.kind, Code: test.printed, Status: test.status}, m, "%d %q", test.status, test.code)
		}
	}
	m, _ := Of(answer(401, "", "", "Content-Type", "text/html; charset=utf-8"))
	assert.Equal(t, Unreadable, m.Kind, "a page that asks who one is")
}

func TestMeaningOfWhatWasAdapted(t *testing.T) {
	for _, test := range []struct {
		err  *oauth2.RetrieveError
		want Meaning
	}{
		{adapted(answer(400, "invalid_grant", ""), "authorization_code", Unknown), Meaning{Kind: GrantRejected, Code: "invalid_grant"}},
		{adapted(answer(400, "invalid_grant", ""), "refresh_token", Unknown), Meaning{Kind: LoginRequired, Code: "invalid_grant"}},
		{adapted(answer(400, "invalid_grant", "redirect_uri?"), "refresh_token", Unknown), Meaning{Kind: LoginRequired, Code: "invalid_grant"}},
		{adapted(answer(400, "40029", ""), "refresh_token", GrantRejected), Meaning{Kind: LoginRequired, Code: "40029"}},
		{adapted(answer(500, "40029", ""), "", LoginRequired), Meaning{Kind: LoginRequired, Code: "40029"}},
		{adapted(answer(400, "invalid_grant", ""), "refresh_token", ClientRejected), Meaning{Kind: ClientRejected, Code: "invalid_grant"}},
		{adapted(answer(400, "something_new", ""), "", Unknown), Meaning{Kind: Unknown, Code: "something_new"}},
		{adapted(answer(415, "what", ""), "", Unknown), Meaning{Kind: ClientRejected, Code: "what"}},
	} {
		m, ok := Of(test.err)
		assert.True(t, ok)
		test.want.Status = test.err.Response.StatusCode
		a, _ := AdaptedFrom(test.err.Response.Request.Context())
		test.want.Grant = a.Grant
		assert.Equal(t, test.want, m)
	}
}

func TestFormSentToAProviderThatTakesNone(t *testing.T) {
	for _, u := range tokenURLs {
		e := answer(403, "invalid_grant", "")
		e.Response.Request.URL, _ = url.Parse(u)
		m, _ := Of(e)
		assert.Equal(t, NotAdapted, m.Kind, u)
		m, _ = Of(adapted(e, "refresh_token", Unknown))
		assert.Equal(t, LoginRequired, m.Kind, u)
	}
}

func TestMeaningHasWhatIsAskedFor(t *testing.T) {
	m, _ := Of(answer(429, "", "", "Retry-After", "120"))
	assert.Equal(t, 2*time.Minute, m.RetryAfter)
}

func TestWhatIsNoAnswerHasNoMeaning(t *testing.T) {
	for _, err := range []error{nil, errors.New("anything"), context.Canceled, (*oauth2.RetrieveError)(nil)} {
		m, ok := Of(err)
		assert.False(t, ok)
		assert.Zero(t, m)
	}
	for _, e := range []*oauth2.RetrieveError{{}, {Response: &http.Response{}}, {Response: &http.Response{Request: &http.Request{}}}} {
		m, ok := Of(e)
		assert.True(t, ok)
		assert.Equal(t, Unreadable, m.Kind)
	}
}

func TestEveryCodeIsFoundAsItIsWritten(t *testing.T) {
	for code, kind := range kinds {
		known, got := Lookup(code)
		assert.Equal(t, code, known)
		assert.Equal(t, kind, got)
		assert.True(t, LooksLikeCode(code) && code == strings.ToLower(code), code)
		assert.NotEqual(t, Unknown, kind, code)
	}
}

func TestLooksLikeCode(t *testing.T) {
	for s, want := range map[string]bool{
		"invalid_grant": true, "40029": true, "AADSTS700082": true, "a.b-c": true, strings.Repeat("x", 64): true,
		"": false, "a b": false, "a\n": false, "é": false, `"`: false, "https://x": false, strings.Repeat("x", 65): false,
	} {
		assert.Equal(t, want, LooksLikeCode(s), s)
	}
}

// ownMistake is what another package marks by a method.
type ownMistake bool

func (ownMistake) Error() string   { return "a mistake" }
func (m ownMistake) NotSent() bool { return bool(m) }

func TestNotSent(t *testing.T) {
	cause := errors.New("no such scheme")
	err := NotSent(cause)
	assert.Equal(t, "no such scheme", err.Error())
	assert.ErrorIs(t, err, cause)
	for err, want := range map[error]bool{
		nil: false, cause: false, err: true, ownMistake(true): true, ownMistake(false): false,
		&url.Error{Op: "Post", URL: "https://x", Err: err}: true,
	} {
		assert.Equal(t, want, WasNotSent(err))
	}
	assert.True(t, WasNotSent(fmt.Errorf("wrapped: %w", err)))

	for err, want := range map[error]string{
		nil: "", cause: "", ownMistake(true): "", err: "no such scheme",
		&url.Error{Op: "Post", URL: "https://x?secret", Err: fmt.Errorf("secret: %w", err)}: "no such scheme",
	} {
		text, ok := Mistake(err)
		assert.Equal(t, want, text)
		assert.Equal(t, want != "", ok)
	}
}

// FuzzOf reads what a hostile provider answers.
func FuzzOf(f *testing.F) {
	f.Add(400, "invalid_grant: x", "redirect", "120", "text/html", true)
	f.Add(502, "the-secret", "expired", "Sat, 01 Jan 2000 00:01:30 GMT", "", false)
	f.Add(415, "İNVALİD_GRANT", "", "", "a/b;", false)
	f.Fuzz(func(t *testing.T, status int, code, description, retryAfter, contentType string, byEndpoints bool) {
		e := answer(status, code, description, "Retry-After", retryAfter, "Content-Type", contentType)
		if byEndpoints {
			adapted(e, "refresh_token", Unknown)
		}
		m, ok := Of(e)
		switch {
		case !ok || m.Kind < Unknown || m.Kind > NotAdapted:
			t.Errorf("%+v", m)
		case m.Code != "" && m.Code != Unprintable && !byEndpoints && kinds[m.Code] == Unknown:
			t.Errorf("the code %q is printed", m.Code)
		case byEndpoints && m.Kind == GrantRejected:
			t.Errorf("a refresh: %+v", m)
		}
	})
}

func TestInput(t *testing.T) {
	cause := errors.New("the shop isn't accepted")
	err := fmt.Errorf("wrapped: %w", Input(cause))
	assert.True(t, IsInput(err))
	assert.True(t, WasNotSent(err))
	assert.ErrorIs(t, err, cause)
	assert.False(t, IsInput(NotSent(cause)))
	assert.False(t, IsInput(nil))
}

func TestUnusableAnswer(t *testing.T) {
	err := UnusableAnswer("it is about someone else")
	assert.EqualError(t, err, `oauth2: "unreadable_response" "the answer can't be used: it is about someone else"`)
	m, answered := Of(err)
	assert.True(t, answered)
	assert.Equal(t, Meaning{Kind: Unreadable, Code: CodeUnreadable, Status: 502}, m)
}
