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
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
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
		{500, "invalid_grant", outcome{reason: ReasonUnavailable, code: "invalid_grant", mayBeSpent: true}},
		{401, "invalid_client", outcome{reason: ReasonMisconfigured, code: "invalid_client"}},
		{400, "unauthorized_client", outcome{reason: ReasonMisconfigured, code: "unauthorized_client"}},
		{400, "invalid_request", outcome{reason: ReasonMisconfigured, code: "invalid_request"}},
		{400, "invalid_scope", outcome{reason: ReasonMisconfigured, code: "invalid_scope"}},
		{400, "invalid_target", outcome{reason: ReasonMisconfigured, code: "invalid_target"}},
		{400, "unsupported_grant_type", outcome{reason: ReasonMisconfigured, code: "unsupported_grant_type"}},
		{401, "", outcome{reason: ReasonMisconfigured}},
		{403, "", outcome{reason: ReasonUnavailable}},
		{400, "INVALID_GRANT", outcome{reason: ReasonRevoked, code: "invalid_grant"}},
		{400, "bad_refresh_token", outcome{reason: ReasonRevoked, code: "bad_refresh_token"}},
		{400, "interaction_required", outcome{reason: ReasonRevoked, code: "interaction_required"}},
		{302, "", outcome{reason: ReasonMisconfigured}},
		{400, "a \"quoted\" code", outcome{reason: ReasonUnavailable}},
		{501, "", outcome{reason: ReasonUnavailable}},
		{503, "", outcome{reason: ReasonUnavailable}},
		{502, "", outcome{reason: ReasonUnavailable, mayBeSpent: true}},
	} {
		assert.Equal(t, test.want, outcomeOf(answer(test.status, test.code), new(wire)), "%d %q", test.status, test.code)
		wrapped := fmt.Errorf("wrapped: %w", answer(test.status, test.code))
		assert.Equal(t, test.want, outcomeOf(wrapped, new(wire)), "%d %q", test.status, test.code)
	}
	assert.Equal(t, outcome{reason: ReasonRevoked, code: "invalid_grant"},
		outcomeOf(&oauth2.RetrieveError{ErrorCode: "invalid_grant"}, new(wire)), "without a response")
}

func TestRetryAfterIsObeyed(t *testing.T) {
	assert.Equal(t, 2*time.Minute, outcomeOf(answer(503, "", "Retry-After", "120"), new(wire)).retryAfter)
}

// mistake is what another package returns for a Refresher that can't work.
type mistake struct{}

func (mistake) Error() string { return "a text that could be a secret" }
func (mistake) NotSent() bool { return true }

func TestMistakeThatSentNothingIsNamedAndEndsNoGrant(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.fault = func() error { return mistake{} }
		time.Sleep(time.Hour)
		_, err := m.Source("k").Token()
		require.ErrorContains(f, err, "the application is misconfigured; next try")
		time.Sleep(time.Minute)
		f.fault = func() error {
			return fmt.Errorf("a secret: %w", tokenerror.NotSent(errors.New("endpoints: Acme: TokenURL is not set")))
		}
		_, err = m.Source("k").Token()
		require.ErrorContains(f, err, "the application is misconfigured: endpoints: Acme: TokenURL is not set; next try")
		assert.NotErrorIs(f, err, ErrLoginRequired)
		assert.Equal(f, 2, f.count())
		rec := f.stored()
		assert.Equal(f, ReasonMisconfigured, rec.Failure.Reason)
		assert.False(f, rec.MayBeSpent)
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
		want := outcome{reason: ReasonUnavailable, answerLost: test.lost, mayBeSpent: test.lost, neverLeft: errors.Is(test.err, dial) || test.wire == used}
		assert.Equal(t, want, outcomeOf(test.err, test.wire), test.name)
	}
}

// Against a real server, since only net/http knows how far a request got.
func TestLostAnswersAreRecognizedOnARealConnection(t *testing.T) {
	t.Parallel() // beside TestProcesses, which waits
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
		name, url       string
		lost, neverLeft bool
		said            string
	}{
		{"the connection is cut", drop.URL, true, false, "the connection was cut"},
		{"the answer is cut short", short.URL, true, false, "the answer can't be read"},
		{"the answer is unreadable", html.URL, true, false, "the answer can't be read"},
		{"the answer is late", slow.URL, true, false, "timeout"},
		{"nobody listens", gone.URL, false, true, "refused"},
		{"a firewall answers", teapot.URL, false, false, "status 403"},
		{"the certificate is unknown", tlsOnly.URL, false, true, "the server's certificate can't be verified"},
		{"the host doesn't exist", "https://host.invalid", false, true, "the host's name can't be resolved"},
		{"the URL is wrong", "http://[", false, false, "the provider is unavailable"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := &Manager{
				Config:         &oauth2.Config{Endpoint: oauth2.Endpoint{TokenURL: test.url, AuthStyle: oauth2.AuthStyleInParams}},
				RefreshTimeout: 100 * time.Millisecond,
			}
			if test.name != "the answer is late" {
				m.RefreshTimeout = 10 * time.Second
			}
			fl := &flight{m: m, carried: t.Context()}
			_, o, err := fl.send(&record{RefreshToken: "secret-refresh"})
			require.Error(t, err)
			assert.Equal(t, test.lost, o.answerLost)
			assert.Equal(t, test.lost, o.mayBeSpent)
			assert.Equal(t, test.neverLeft, o.neverLeft)
			assert.Equal(t, ReasonUnavailable, o.reason)
			text := newError("k", failure{Reason: o.reason}, err).Error()
			assert.NotContains(t, text, "secret")
			assert.NotContains(t, text, "html")
			assert.Contains(t, text, test.said)
		})
	}
}

func TestErrorsSayWhatHappenedWithoutQuotingAnAnswer(t *testing.T) {
	next := utc(2026, 1, 2, 3, 4, 5, 0)
	body := fmt.Errorf("oauth2: cannot fetch token: secret: %w", answer(500, ""))
	for want, err := range map[string]error{
		`tokensource: can't refresh the token of connection "k": the provider is unavailable: status 500`:                                                      newError("k", failure{Reason: ReasonUnavailable}, body),
		`tokensource: can't refresh the token of connection "k": the provider asked to slow down (slow_down): status 500; next try after 2026-01-02T03:04:05Z`: newError("k", failure{Reason: ReasonRateLimited, Code: "slow_down", Next: next}, body),
		`tokensource: can't refresh the token of connection "k": the provider is unavailable: timeout`:                                                         newError("k", failure{Reason: ReasonUnavailable}, fmt.Errorf("secret: %w", context.DeadlineExceeded)),
		`tokensource: can't refresh the token of connection "k": the provider is unavailable: the connection was cut`:                                          newError("k", failure{Reason: ReasonUnavailable}, fmt.Errorf("secret: %w", io.ErrUnexpectedEOF)),
		`tokensource: can't refresh the token of connection "k": the provider is unavailable: the answer can't be read`:                                        newError("k", failure{Reason: ReasonUnavailable}, errors.New("oauth2: server response missing access_token")),
		`tokensource: can't refresh the token of connection "k": the provider is unavailable: connection reset by peer`:                                        newError("k", failure{Reason: ReasonUnavailable}, &url.Error{Op: "Post", URL: "https://secret", Err: cut}),
		`tokensource: can't refresh the token of connection "k": the application is misconfigured (invalid_client)`:                                            newError("k", failure{Reason: ReasonMisconfigured, Code: "invalid_client"}, nil),
		`tokensource: can't load or save connection "k": it is down; next try after 2026-01-02T03:04:05Z`:                                                      newError("k", failure{Reason: ReasonStore, Next: next}, errors.New("it is down")),
		`tokensource: can't load or save connection "k"`:                                                                                                       newError("k", failure{Reason: ReasonStore}, nil),
		`tokensource: can't refresh the token of connection "\n": purple`:                                                                                      newError("\n", failure{Reason: "purple"}, nil),
		`tokensource: login required for connection "k": the grant was revoked or has expired (invalid_grant)`:                                                 newError("k", failure{Reason: ReasonRevoked, Code: "invalid_grant"}, body),
		`tokensource: login required for connection "k": the refresh token was spent by a request whose answer was lost`:                                       newError("k", failure{Reason: ReasonResponseLost}, body),
		`tokensource: login required for connection "k": the API rejected the token, and there is no refresh token (reauthenticate_user)`:                      newError("k", failure{Reason: ReasonRejected, Code: "reauthenticate_user"}, nil),
		`tokensource: login required for connection "k": the token has expired, and there is no refresh token`:                                                 newError("k", failure{Reason: ReasonExpired}, nil),
	} {
		assert.EqualError(t, err, want)
	}
	assert.ErrorIs(t, newError("k", failure{Reason: ReasonRevoked}, cut), ErrLoginRequired)
	assert.NotErrorIs(t, newError("k", failure{Reason: ReasonRevoked}, cut), cut)
	assert.ErrorIs(t, newError("k", failure{Reason: ReasonUnavailable}, cut), syscall.ECONNRESET)
	assert.NotErrorIs(t, newError("k", failure{Reason: ReasonUnavailable}, nil), ErrLoginRequired)
}
