package tokensource

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
)

// finch is a Config like that of package endpoints for Finch: tokens neither expire
// nor can they be refreshed, and the body of a 401 says what is wrong.
type finch struct{ *fakeProvider }

func (finch) APIURLs(*oauth2.Token) ([]string, error) { return []string{apiURL}, nil }

func (finch) APIHeader(*oauth2.Token) http.Header { return nil }

func (finch) TokenRejected(resp *http.Response) (code string, rejected bool) {
	if resp.StatusCode != http.StatusUnauthorized {
		return "", false
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	var e struct {
		Code string `json:"finch_code"`
	}
	_ = json.Unmarshal(body, &e)
	return e.Code, e.Code == "" || e.Code == "reauthenticate_user"
}

const (
	mustReconnect = `{"code":401,"name":"authentication_error","finch_code":"reauthenticate_user"}`
	mustSetUp     = `{"code":401,"name":"authentication_error","finch_code":"account_setup_required"}`
)

// atFinch returns a Manager of a process, and saves a login if there is none.
func (f *fixture) atFinch() (*Manager, *fakeAPI) {
	f.Helper()
	m := f.process()
	m.Config = finch{f.fakeProvider}
	if _, err := m.Status(f.Context(), "k"); err != nil {
		require.NoError(f, m.Save(f.Context(), "k", &oauth2.Token{AccessToken: "finch-1"}))
	}
	return m, withAPI(m)
}

func TestRejectionThatMeansReconnectIsRecorded(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, api := f.atFinch()
		api.respond = func(*http.Request, string, string) *http.Response { return reply(401, mustReconnect) }
		status, body := f.get(m.Client("k"))
		assert.Equal(f, 401, status)
		assert.Equal(f, mustReconnect, body, "the caller sees it too")
		e := f.lastEvent(EventLoginRequired)
		assert.Equal(f, ReasonRejected, e.Reason)
		assert.EqualError(f, e.Err, `tokensource: login required for connection "k": the API rejected the token, and there is no refresh token (reauthenticate_user)`)

		restarted, _ := f.atFinch()
		for range 3 {
			for _, m := range []*Manager{m, restarted, f.process()} {
				_, err := m.Source("k").Token()
				assert.ErrorIs(f, err, ErrLoginRequired)
				assert.ErrorContains(f, err, "reauthenticate_user")
				_, err = m.Source("k").Token()
				assert.ErrorIs(f, err, ErrLoginRequired, "the second time too")
				st := f.status(m)
				assert.Equal(f, StateLoginRequired, st.State)
				assert.Equal(f, ReasonRejected, st.Reason)
				assert.Equal(f, "reauthenticate_user", st.ErrorCode)
				assert.False(f, st.FailedAt.IsZero())
			}
			_, err := m.Client("k").Get(apiURL)
			assert.ErrorIs(f, err, ErrLoginRequired)
			time.Sleep(time.Hour)
		}
		assert.Len(f, api.calls(), 1, "nothing is sent until the next login")
		assert.Zero(f, f.count())
		assert.Equal(f, 1, f.seen(EventLoginRequired))

		require.NoError(f, restarted.Save(f.Context(), "k", &oauth2.Token{AccessToken: "finch-2"}))
		time.Sleep(recheck)
		for _, m := range []*Manager{m, restarted, f.process()} {
			assert.Equal(f, "finch-2", f.access(m))
			assert.Equal(f, StateHealthy, f.status(m).State)
		}
	})
}

func TestProcessThatHoldsTheTokenLearnsOfTheRejectionFromItsOwnRequest(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, api := f.atFinch()
		other, otherAPI := f.atFinch()
		assert.Equal(f, "finch-1", f.access(other))
		refuse := func(*http.Request, string, string) *http.Response { return reply(401, mustReconnect) }
		api.respond, otherAPI.respond = refuse, refuse
		f.get(m.Client("k"))
		f.get(other.Client("k"))
		_, err := other.Source("k").Token()
		assert.ErrorIs(f, err, ErrLoginRequired)
		assert.Equal(f, 1, f.seen(EventLoginRequired), "told by who was first")
	})
}

func TestResponsesThatDoNotMeanReconnectAreHandedThrough(t *testing.T) {
	for name, resp := range map[string]func() *http.Response{
		"401 of another kind": func() *http.Response { return reply(401, mustSetUp) },
		"a firewall's 401":    func() *http.Response { return reply(401, "<html>") },
		"403":                 func() *http.Response { return reply(403, mustReconnect) },
		"429":                 func() *http.Response { return reply(429, "slow down", "Retry-After", "7") },
		"500":                 func() *http.Response { return reply(500, mustReconnect) },
		"404":                 func() *http.Response { return reply(404, "") },
	} {
		t.Run(name, func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				m, api := f.atFinch()
				api.respond = func(*http.Request, string, string) *http.Response { return resp() }
				puts := f.raw.count("put")
				for range 3 {
					got, err := m.Client("k").Get(apiURL)
					require.NoError(f, err)
					want := resp()
					assert.Equal(f, want.StatusCode, got.StatusCode)
					assert.Equal(f, want.Header, got.Header)
					_, body := f.read(got)
					wantBody, _ := io.ReadAll(want.Body)
					assert.Equal(f, string(wantBody), body)
				}
				assert.Len(f, api.calls(), 3, "each once")
				assert.Equal(f, puts, f.raw.count("put"))
				assert.Equal(f, StateHealthy, f.status(m).State)
				assert.Equal(f, "finch-1", f.access(m))
				assert.Zero(f, f.seen(EventLoginRequired))
			})
		})
	}
}

// For a Config that doesn't know its API: RFC 6750, section 3.
func TestChallengeOfARefusalIsUnderstood(t *testing.T) {
	for challenge, want := range map[string]struct {
		code     string
		rejected bool
	}{
		"":       {"", true},
		"Bearer": {"", true},
		`Bearer realm="x", error="invalid_token", error_description="expired"`: {"invalid_token", true},
		`Bearer error="insufficient_scope", scope="more"`:                      {"", false},
		`Bearer error="expired_token"`:                                         {"expired_token", true},
		`Bearer error="invalid_request"`:                                       {"", false},
		`Bearer error_description="error"`:                                     {"", true},
	} {
		m := &Manager{Config: new(fakeProvider)}
		resp := reply(401, "")
		if challenge != "" {
			resp.Header.Set("WWW-Authenticate", challenge)
		}
		code, rejected := m.tokenRejected(resp)
		assert.Equal(t, want.code, code, challenge)
		assert.Equal(t, want.rejected, rejected, challenge)
	}
	resp := reply(401, "")
	resp.Header["Www-Authenticate"] = []string{"Basic", `Bearer error="invalid_token"`}
	code, rejected := (&Manager{Config: new(fakeProvider)}).tokenRejected(resp)
	assert.Equal(t, "invalid_token", code)
	assert.True(t, rejected)
}

func TestPlainConfigRecordsARejectionOnlyOnTheAPIsWord(t *testing.T) {
	for challenge, recorded := range map[string]bool{
		"":                                  false,
		`Bearer error="invalid_token"`:      true,
		`Bearer error="insufficient_scope"`: false,
	} {
		t.Run(challenge, func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				m := f.process()
				api := withAPI(m)
				require.NoError(f, m.Save(f.Context(), "k", &oauth2.Token{AccessToken: "a"}))
				api.respond = func(*http.Request, string, string) *http.Response {
					return reply(401, "", "WWW-Authenticate", challenge)
				}
				status, _ := f.get(m.Client("k"))
				assert.Equal(f, 401, status)
				_, err := m.Source("k").Token()
				if !recorded {
					assert.NoError(f, err)
					assert.Nil(f, f.stored().Failure)
					return
				}
				assert.ErrorIs(f, err, ErrLoginRequired)
				assert.Equal(f, ReasonRejected, f.stored().Failure.Reason)
				assert.Equal(f, "invalid_token", f.status(m).ErrorCode)
			})
		})
	}
}

// With a refresh token a refusal is no disaster, whatever the code.
func TestRefusalThatMeansSomethingElseDoesNotRefresh(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		api := withAPI(m)
		api.respond = func(*http.Request, string, string) *http.Response {
			return reply(401, "", "WWW-Authenticate", `Bearer error="insufficient_scope"`)
		}
		status, _ := f.get(m.Client("k"))
		assert.Equal(f, 401, status)
		assert.Zero(f, f.count())
		assert.Len(f, api.calls(), 1)
		assert.Equal(f, "access-1", f.access(m))
	})
}

func TestConcurrentRejectionsAreRecordedOnce(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, api := f.atFinch()
		api.respond = func(*http.Request, string, string) *http.Response {
			time.Sleep(time.Second)
			return reply(401, mustReconnect)
		}
		puts := f.raw.count("put")
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { f.get(m.Client("k")) })
		}
		wg.Wait()
		assert.Equal(f, puts+1, f.raw.count("put"))
		assert.Equal(f, 1, f.seen(EventLoginRequired))
	})
}

func TestRejectionIsNotRecordedAgainstANewLogin(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, api := f.atFinch()
		api.respond = func(*http.Request, string, string) *http.Response {
			require.NoError(f, f.process().Save(f.Context(), "k", &oauth2.Token{AccessToken: "finch-2"}))
			return reply(401, mustReconnect)
		}
		f.get(m.Client("k"))
		assert.Nil(f, f.stored().Failure)
		assert.Equal(f, "finch-2", f.access(m), "adopted")
		assert.Zero(f, f.seen(EventLoginRequired))
	})
}

func TestRejectionIsRecordedAgainstConcurrentWriters(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, api := f.atFinch()
		api.respond = func(*http.Request, string, string) *http.Response {
			conflicts := 0
			f.raw.set(func(op string) error {
				if op == "put" && conflicts < 2 {
					conflicts++
					f.put(f.stored()) // as Rekey does
				}
				return nil
			}, nil)
			return reply(401, mustReconnect)
		}
		f.get(m.Client("k"))
		assert.Equal(f, ReasonRejected, f.stored().Failure.Reason)
	})
}

func TestRejectionThatCannotBeRecordedIsKnownToThisProcess(t *testing.T) {
	for _, op := range []string{"get", "put"} {
		t.Run(op, func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				m, api := f.atFinch()
				f.access(m)
				api.respond = func(*http.Request, string, string) *http.Response {
					f.raw.fail(op)
					return reply(401, mustReconnect)
				}
				f.get(m.Client("k"))
				f.raw.mended()
				assert.Equal(f, StateLoginRequired, f.status(m).State)
				assert.Equal(f, ReasonRejected, f.status(m).Reason)
				for range 2 {
					_, err := m.Source("k").Token()
					assert.ErrorIs(f, err, ErrLoginRequired)
				}
				assert.Equal(f, StateLoginRequired, f.status(m).State)
				assert.Len(f, api.calls(), 1)
			})
		})
	}
}

// The request was cancelled, but not what it has shown.
func TestRejectionIsRecordedForACallerWhoHasGone(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, api := f.atFinch()
		r, err := http.NewRequest("GET", apiURL, nil)
		require.NoError(f, err)
		api.respond = func(*http.Request, string, string) *http.Response {
			f.raw.set(func(op string) error {
				if op == "put" {
					time.Sleep(5 * time.Second)
				}
				return nil
			}, nil)
			return reply(401, mustReconnect)
		}
		ctx, cancel := context.WithTimeout(f.Context(), time.Second)
		defer cancel()
		resp, err := m.Client("k").Do(r.WithContext(ctx))
		require.NoError(f, err)
		f.read(resp)
		assert.Equal(f, ReasonRejected, f.stored().Failure.Reason)
	})
}

func TestRejectionSurvivesTheSourceThatSawIt(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m, api := f.atFinch()
		api.respond = func(*http.Request, string, string) *http.Response { return reply(401, mustReconnect) }
		f.get(m.Client("k"))
		f.kept = nil
		f.collect()
		_, err := m.Client("k").Get(apiURL)
		assert.ErrorIs(f, err, ErrLoginRequired)
	})
}

// Found, but not read: what a rejection is about has been deleted.
func TestRejectionOfADeletedConnectionDoesNotBringItBack(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, api := f.atFinch()
		api.respond = func(*http.Request, string, string) *http.Response {
			require.NoError(f, f.process().Forget(f.Context(), "k"))
			return reply(401, mustReconnect)
		}
		f.get(m.Client("k"))
		_, err := m.Source("k").Token()
		assert.ErrorIs(f, err, storage.ErrNotFound)
	})
}

// By a clock that runs, unlike that of a test's bubble.
func TestRejectionWhoseWriteSeemedToFailIsToldByTheNextCall(t *testing.T) {
	raw := &faultyStore{Store: new(storage.Memory)}
	var events atomic.Int32
	m := &Manager{Config: new(fakeProvider), Store: encrypted(raw), OnEvent: func(_ context.Context, e Event) {
		if e.Kind == EventLoginRequired {
			events.Add(1)
		}
	}}
	withAPI(m).respond = func(*http.Request, string, string) *http.Response {
		return reply(401, "", "WWW-Authenticate", `Bearer error="invalid_token"`)
	}
	require.NoError(t, m.Save(t.Context(), "k", &oauth2.Token{AccessToken: "access"}))
	raw.set(nil, func(op string) error {
		if op == "put" {
			return errStoreDown
		}
		return nil
	})
	s := m.Source("k")
	resp, err := m.Client("k").Get(apiURL)
	require.NoError(t, err)
	resp.Body.Close()
	raw.mended()
	require.Zero(t, events.Load())
	for range 2 {
		_, err = s.Token()
		require.ErrorIs(t, err, ErrLoginRequired)
		require.NoError(t, m.Flush(t.Context()))
	}
	assert.EqualValues(t, 1, events.Load())
}

// A look that has begun doesn't count for a token that is refused after that: the next one
// may have been saved meanwhile.
func TestRefusalDoesNotJoinALookThatHasBegun(t *testing.T) {
	onEvery(t, func(f *fixture) {
		s := f.connected().Source("k")
		f.raw.set(nil, func(string) error {
			f.raw.mended()
			time.Sleep(time.Second)
			return nil
		})
		first := s.lookSoon()
		time.Sleep(lookPause / 2)
		assert.Same(f, first, s.lookSoon())
		time.Sleep(lookPause)
		second := s.lookSoon()
		assert.NotSame(f, first, second)
		<-first.done
		<-second.done
	})
}
