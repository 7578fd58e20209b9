package tokensource

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// endings are ways in which a connection comes to require a login: how it is prepared,
// and what makes a process notice.
var endings = map[string]func(f *fixture, login *oauth2.Token) (notice func(m *Manager)){
	"revoked": func(f *fixture, _ *oauth2.Token) func(*Manager) {
		f.revoke()
		return func(m *Manager) { _, _ = m.Source("k").Token() }
	},
	"expired": func(f *fixture, login *oauth2.Token) func(*Manager) {
		login.RefreshToken = ""
		return func(m *Manager) { _, _ = m.Source("k").Token() }
	},
	"rejected": func(f *fixture, login *oauth2.Token) func(*Manager) {
		login.RefreshToken, login.Expiry = "", time.Time{}
		return func(m *Manager) {
			if resp, err := m.Client("k").Get(apiURL); err == nil {
				resp.Body.Close()
			}
		}
	},
}

// A write that says that it failed may have happened.
func TestRequiredLoginIsToldOnceThoughItsWriteFails(t *testing.T) {
	for ending, prepare := range endings {
		for name, fail := range map[string]func(f *fixture){
			"not written": func(f *fixture) { f.raw.fail("put") },
			"written, and said not to be": func(f *fixture) {
				f.raw.set(nil, func(op string) error {
					if op == "put" {
						return errStoreDown
					}
					return nil
				})
			},
		} {
			t.Run(ending+", "+name, func(t *testing.T) {
				onEvery(t, func(f *fixture) {
					m, other := f.process(), f.process()
					for _, m := range []*Manager{m, other} {
						withAPI(m).respond = func(*http.Request, string, string) *http.Response {
							return reply(401, "", "WWW-Authenticate", `Bearer error="invalid_token"`)
						}
					}
					login := f.login()
					notice := prepare(f, login)
					require.NoError(f, m.Save(f.Context(), "k", login))
					time.Sleep(time.Hour)
					if login.RefreshToken == "" {
						fail(f)
					} else {
						f.during(func() { fail(f) }) // not the claim
					}
					notice(m)
					require.LessOrEqual(f, f.seen(EventLoginRequired), 1)
					time.Sleep(3 * time.Second)
					f.raw.mended()
					for range 10 {
						notice(m)
						time.Sleep(2 * time.Second)
					}
					assert.Equal(f, 1, f.seen(EventLoginRequired))
					assert.Equal(f, StateLoginRequired, f.status(m).State)
					notice(other)
					notice(m)
					assert.Equal(f, 1, f.seen(EventLoginRequired), "it is in the record")
				})
			})
		}
	}
}

func TestLoginAfterAFailureIsToldAsRecovery(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		time.Sleep(time.Hour)
		f.fault = func() error { return answer(503, "") }
		_, err := m.Source("k").Token()
		require.Error(f, err)
		require.Equal(f, 1, f.seen(EventFailed))
		f.fault = nil
		require.NoError(f, m.Save(f.Context(), "k", f.login()))
		assert.Equal(f, 1, f.seen(EventRecovered))
		assert.Equal(f, ReasonUnavailable, f.lastEvent(EventRecovered).Reason)
		time.Sleep(2 * time.Hour)
		f.access(m)
		assert.Equal(f, 1, f.seen(EventRecovered), "once")
	})
}
