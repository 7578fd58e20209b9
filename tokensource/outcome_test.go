package tokensource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

func TestOnlyInvalidGrantEndsAGrant(t *testing.T) {
	for _, test := range []struct {
		status int
		code   string
		want   outcome
	}{
		{400, "invalid_grant", outcome{reason: ReasonRevoked, code: "invalid_grant"}},
		{401, "invalid_grant", outcome{reason: ReasonRevoked, code: "invalid_grant"}},
		{403, "invalid_grant", outcome{reason: ReasonRevoked, code: "invalid_grant"}},
		{200, "invalid_grant", outcome{reason: ReasonRevoked, code: "invalid_grant"}},
		{429, "invalid_grant", outcome{reason: ReasonRateLimited, code: "invalid_grant"}},
		{500, "invalid_grant", outcome{reason: ReasonUnavailable, code: "invalid_grant", inDoubt: true}},
		{401, "invalid_client", outcome{reason: ReasonMisconfigured, code: "invalid_client"}},
		{400, "unauthorized_client", outcome{reason: ReasonMisconfigured, code: "unauthorized_client"}},
		{400, "invalid_request", outcome{reason: ReasonMisconfigured, code: "invalid_request"}},
		{400, "invalid_scope", outcome{reason: ReasonMisconfigured, code: "invalid_scope"}},
		{400, "invalid_target", outcome{reason: ReasonMisconfigured, code: "invalid_target"}},
		{400, "unsupported_grant_type", outcome{reason: ReasonMisconfigured, code: "unsupported_grant_type"}},
		{401, "", outcome{reason: ReasonUnavailable}},
		{403, "", outcome{reason: ReasonUnavailable}},
		{400, "INVALID_GRANT", outcome{reason: ReasonUnavailable, code: "INVALID_GRANT"}},
		{400, "a \"quoted\" code", outcome{reason: ReasonUnavailable, code: "(unprintable)"}},
		{501, "", outcome{reason: ReasonUnavailable}},
		{503, "", outcome{reason: ReasonUnavailable}},
		{502, "", outcome{reason: ReasonUnavailable, inDoubt: true}},
	} {
		assert.Equal(t, test.want, outcomeOf(answer(test.status, test.code), new(wire)), "%d %q", test.status, test.code)
		wrapped := fmt.Errorf("wrapped: %w", answer(test.status, test.code))
		assert.Equal(t, test.want, outcomeOf(wrapped, new(wire)), "%d %q", test.status, test.code)
	}
	assert.Equal(t, outcome{reason: ReasonRevoked, code: "invalid_grant"},
		outcomeOf(&oauth2.RetrieveError{ErrorCode: "invalid_grant"}, new(wire)), "without a response")
}

func TestRetryAfterIsReadInBothForms(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, "120": 2 * time.Minute, "-5": 0, "soon": 0, "1.5": 0,
		"99999999999":             time.Hour,
		"99999999999999999999999": 0,
		time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat): 0,
	} {
		assert.Equal(t, want, retryAfter(http.Header{"Retry-After": {value}}), "%q", value)
	}
	at := time.Now().Add(10 * time.Minute).UTC()
	assert.InDelta(t, 10*time.Minute, retryAfter(http.Header{"Retry-After": {at.Format(http.TimeFormat)}}), float64(2*time.Second))
	assert.Equal(t, 2*time.Minute, outcomeOf(answer(503, "", "Retry-After", "120"), new(wire)).retryAfter)
}

func TestErrorCodeIsPrintedOnlyIfItLooksLikeOne(t *testing.T) {
	for code, want := range map[string]string{
		"": "", "invalid_grant": "invalid_grant", "a code!": "a code!",
		strings.Repeat("x", 64): strings.Repeat("x", 64),
		strings.Repeat("x", 65): "(unprintable)",
		"tab\t":                 "(unprintable)", "ü": "(unprintable)", `"`: "(unprintable)", `\`: "(unprintable)", "\x7f": "(unprintable)",
	} {
		assert.Equal(t, want, printableCode(code))
	}
}

// mistake is what package endpoints returns for a Provider that can't work.
type mistake struct{}

func (mistake) Error() string { return "endpoints: Acme: TokenURL is not set" }
func (mistake) NotSent() bool { return true }

func TestMistakeThatSentNothingIsNamedAndEndsNoGrant(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.fault = func() error { return fmt.Errorf("wrapped: %w", mistake{}) }
		time.Sleep(time.Hour)
		_, err := m.Source("k").Token()
		require.ErrorContains(f, err, "the application is misconfigured: wrapped: endpoints: Acme: TokenURL is not set")
		assert.NotErrorIs(f, err, ErrLoginRequired)
		assert.Equal(f, 1, f.count())
		rec := f.stored()
		assert.Equal(f, ReasonMisconfigured, rec.Failure.Reason)
		assert.False(f, rec.InDoubt)
		f.fault = nil
		assert.Equal(f, "access-2", f.access(f.process()), "of a process that is configured rightly")
	})
}

// timeoutError is a net.Error.
type timeoutError struct{}

func (timeoutError) Error() string   { return "it took too long" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

func TestAnswerIsLostOnlyIfTheRequestMayHaveBeenSent(t *testing.T) {
	used, wrote := new(wire), new(wire)
	used.used.Store(true)
	wrote.used.Store(true)
	wrote.wrote.Store(true)
	dial := &url.Error{Op: "Post", URL: "https://secret", Err: &net.OpError{Op: "dial", Err: errors.New("refused")}}
	for _, test := range []struct {
		name string
		err  error
		wire *wire
		lost bool
	}{
		{"written", errors.New("anything"), wrote, true},
		{"written, then cut", cut, wrote, true},
		{"not written", cut, used, false},
		{"unseen, connection refused", dial, new(wire), false},
		{"unseen, cut", cut, new(wire), true},
		{"unseen, timeout", timeoutError{}, new(wire), true},
		{"unseen, end of file", io.EOF, new(wire), true},
		{"unseen, unexpected end of file", io.ErrUnexpectedEOF, new(wire), true},
		{"unseen, deadline", context.DeadlineExceeded, new(wire), true},
		{"unseen, cancelled", context.Canceled, new(wire), true},
		{"unseen, something else", errors.New("a mistake in the configuration"), new(wire), false},
	} {
		want := outcome{reason: ReasonUnavailable, lost: test.lost, inDoubt: test.lost}
		assert.Equal(t, want, outcomeOf(test.err, test.wire), test.name)
	}
}

// Against a real server, since only net/http knows how far a request got.
func TestLostAnswersAreRecognizedOnARealConnection(t *testing.T) {
	drop := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer drop.Close()
	short := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, `{"access_token":`)
	}))
	defer short.Close()
	html := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<html>Please log in to the hotel's network</html>")
	}))
	defer html.Close()
	hang := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer slow.Close()
	defer close(hang)
	gone := httptest.NewServer(nil)
	gone.Close()
	teapot := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, "<html>blocked</html>")
	}))
	defer teapot.Close()
	tlsOnly := httptest.NewUnstartedServer(nil)
	tlsOnly.Config.ErrorLog = log.New(io.Discard, "", 0)
	tlsOnly.StartTLS()
	defer tlsOnly.Close()

	for _, test := range []struct {
		name, url string
		lost      bool
	}{
		{"the connection is cut", drop.URL, true},
		{"the answer is cut short", short.URL, true},
		{"the answer is unreadable", html.URL, true},
		{"the answer is late", slow.URL, true},
		{"nobody listens", gone.URL, false},
		{"a firewall answers", teapot.URL, false},
		{"the certificate is unknown", tlsOnly.URL, false},
		{"the host doesn't exist", "http://host.invalid", false},
		{"the URL is wrong", "http://[", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := &Manager{
				Config:         &oauth2.Config{Endpoint: oauth2.Endpoint{TokenURL: test.url, AuthStyle: oauth2.AuthStyleInParams}},
				RefreshTimeout: 100 * time.Millisecond,
			}
			if test.name != "the answer is late" {
				m.RefreshTimeout = 10 * time.Second
			}
			tn := &refresh{m: m, ctx: t.Context()}
			_, o, err := tn.send("secret-refresh")
			require.Error(t, err)
			assert.Equal(t, test.lost, o.lost)
			assert.Equal(t, test.lost, o.inDoubt)
			assert.Equal(t, ReasonUnavailable, o.reason)
			text := (&refreshError{"k", failure{Reason: o.reason}, err}).Error()
			assert.NotContains(t, text, "secret")
			assert.NotContains(t, text, "html")
		})
	}
}

func TestErrorsSayWhatHappenedWithoutQuotingAnAnswer(t *testing.T) {
	next := utc(2026, 1, 2, 3, 4, 5, 0)
	body := fmt.Errorf("oauth2: cannot fetch token: secret: %w", answer(500, ""))
	for want, err := range map[string]error{
		`tokensource: can't refresh the token of connection "k": the provider is unavailable`:                                                      &refreshError{"k", failure{Reason: ReasonUnavailable}, body},
		`tokensource: can't refresh the token of connection "k": the provider asked to slow down (slow_down); next try after 2026-01-02T03:04:05Z`: &refreshError{"k", failure{Reason: ReasonRateLimited, Code: "slow_down", Next: next}, body},
		`tokensource: can't refresh the token of connection "k": the provider is unavailable: timeout`:                                             &refreshError{"k", failure{Reason: ReasonUnavailable}, fmt.Errorf("secret: %w", context.DeadlineExceeded)},
		`tokensource: can't refresh the token of connection "k": the provider is unavailable: the connection was cut`:                              &refreshError{"k", failure{Reason: ReasonUnavailable}, fmt.Errorf("secret: %w", io.ErrUnexpectedEOF)},
		`tokensource: can't refresh the token of connection "k": the provider is unavailable: read tcp: connection reset by peer`:                  &refreshError{"k", failure{Reason: ReasonUnavailable}, &url.Error{Op: "Post", URL: "https://secret", Err: cut}},
		`tokensource: can't refresh the token of connection "k": the application is misconfigured (invalid_client)`:                                &refreshError{"k", failure{Reason: ReasonMisconfigured, Code: "invalid_client"}, nil},
		`tokensource: can't read connection "k": it is down; next try after 2026-01-02T03:04:05Z`:                                                  &refreshError{"k", failure{Reason: ReasonStore, Next: next}, errors.New(`tokensource: can't read connection "k": it is down`)},
		`tokensource: can't refresh the token of connection "k": the store is unavailable`:                                                         &refreshError{"k", failure{Reason: ReasonStore}, nil},
		`tokensource: can't refresh the token of connection "\n": purple`:                                                                          &refreshError{"\n", failure{Reason: "purple"}, nil},
		`tokensource: login required for connection "k": the grant was revoked or has expired (invalid_grant)`:                                     &loginError{"k", failure{Reason: ReasonRevoked, Code: "invalid_grant"}, body},
		`tokensource: login required for connection "k": the refresh token was spent by a request whose answer was lost`:                           &loginError{"k", failure{Reason: ReasonResponseLost}, body},
		`tokensource: login required for connection "k": the API rejected the token, and there is no refresh token (reauthenticate_user)`:          &loginError{"k", failure{Reason: ReasonRejected, Code: "reauthenticate_user"}, nil},
		`tokensource: login required for connection "k": the token has expired, and there is no refresh token`:                                     &loginError{"k", failure{Reason: ReasonExpired}, nil},
	} {
		assert.EqualError(t, err, want)
	}
	assert.ErrorIs(t, &loginError{"k", failure{}, cut}, ErrLoginRequired)
	assert.ErrorIs(t, &loginError{"k", failure{}, cut}, cut)
	assert.ErrorIs(t, &refreshError{"k", failure{}, cut}, cut)
	assert.NotErrorIs(t, &refreshError{"k", failure{}, nil}, ErrLoginRequired)
}
