package tokensource

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
)

// saysInvalidGrant reports whether err is what libraries that know x/oauth2 take for the end
// of a grant.
func saysInvalidGrant(err error) bool {
	var e *oauth2.RetrieveError
	return errors.As(err, &e) && e.ErrorCode == "invalid_grant" && e.Response != nil && e.Response.StatusCode == 400
}

func TestEveryErrorThatRequiresALoginHoldsAnInvalidGrantInEveryProcess(t *testing.T) {
	for reason, end := range map[Reason]func(f *fixture, m *Manager){
		ReasonNotConnected: func(f *fixture, m *Manager) { require.NoError(f, m.Forget(f.Context(), "k")) },
		ReasonRevoked: func(f *fixture, m *Manager) {
			f.revoke()
			time.Sleep(time.Hour)
			_, _ = m.Source("k").Token()
		},
		ReasonResponseLost: func(f *fixture, m *Manager) {
			f.loss = once(io.ErrUnexpectedEOF)
			time.Sleep(time.Hour)
			_, _ = m.Source("k").Token()
		},
		ReasonRejected: func(f *fixture, m *Manager) {
			require.NoError(f, m.Save(f.Context(), "k", &oauth2.Token{AccessToken: "alone"}))
			m.Source("k").Reject(&oauth2.Token{AccessToken: "alone"})
			_, _ = m.Source("k").Token()
		},
		ReasonExpired: func(f *fixture, m *Manager) {
			require.NoError(f, m.Save(f.Context(), "k", &oauth2.Token{AccessToken: "alone", Expiry: time.Now().Add(time.Minute)}))
			time.Sleep(time.Hour)
		},
	} {
		t.Run(string(reason), func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				m := f.connected()
				end(f, m)
				restarted := f.process()
				withAPI(restarted)
				for range 2 {
					for _, s := range []*Manager{m, restarted} {
						_, err := s.Source("k").Token()
						require.ErrorIs(f, err, ErrLoginRequired)
						assert.True(f, isReason(err, reason), "%v", err)
						assert.True(f, saysInvalidGrant(err))
						assert.Equal(f, reason == ReasonNotConnected, errors.Is(err, storage.ErrNotFound))
					}
					_, err := restarted.Client("k").Get(apiURL)
					require.ErrorIs(f, err, ErrLoginRequired)
					assert.True(f, saysInvalidGrant(err), "net/http has wrapped it")
					time.Sleep(time.Minute)
				}
				for _, e := range f.events {
					assert.Equal(f, e.Kind == EventLoginRequired, saysInvalidGrant(e.Err))
				}
			})
		})
	}
}

func TestErrorThatPassesHoldsNoInvalidGrant(t *testing.T) {
	causes := map[string]error{
		"a gateway that repeats the code":    answer(502, "invalid_grant"),
		"a limit that repeats the code":      answer(429, "invalid_grant"),
		"a redirect that repeats the code":   answer(302, "invalid_grant"),
		"an error of the server with a code": answer(500, "invalid_grant"),
	}
	for name, cause := range transient {
		causes[name] = cause
	}
	for name, cause := range causes {
		t.Run(name, func(t *testing.T) {
			onSwap(t, func(f *fixture) {
				m := f.connected()
				f.fault = func() error { return cause }
				time.Sleep(time.Hour)
				for _, s := range []*Manager{m, f.process()} {
					_, err := s.Source("k").Token()
					require.Error(f, err)
					assert.NotErrorIs(f, err, ErrLoginRequired)
					assert.False(f, saysInvalidGrant(err), "%v", err)
					var e *oauth2.RetrieveError
					if errors.As(err, &e) {
						assert.NotEqual(f, "invalid_grant", e.ErrorCode)
					}
				}
			})
		})
	}
}

// TestErrorOfARevocationHoldsNoInvalidGrant, since the user isn't to connect again because of
// it.
func TestErrorOfARevocationHoldsNoInvalidGrant(t *testing.T) {
	for _, code := range []string{"invalid_grant", "bad_refresh_token"} {
		onSwap(t, func(f *fixture) {
			m, _ := f.revocable(func(context.Context) error { return answer(400, code) })
			err := m.Disconnect(f.Context(), "k")
			assert.True(f, isReason(err, ReasonUnavailable), "%v", err)
			assert.NotErrorIs(f, err, ErrLoginRequired)
			assert.False(f, saysInvalidGrant(err), "%v", err)
		})
	}
}
