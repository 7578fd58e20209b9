package tokensource

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
)

// How tokens were lost elsewhere, one test each. Lessons 14 to 18 are about packages
// storage and pkce.

func TestLesson01TheRefreshedTokenIsSaved(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		for _, want := range []string{"access-2", "access-3", "access-4"} {
			time.Sleep(time.Hour)
			assert.Equal(f, want, f.access(m))
			m = f.process() // the program is started anew
			assert.Equal(f, want, f.access(m))
		}
		assert.Equal(f, 3, f.count())
		assert.Zero(f, f.reused)
	})
}

func TestLesson02TwoProcessesDoNotSpendOneRefreshToken(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.latency = after(2 * time.Second)
		f.connected()
		managers := []*Manager{f.process(), f.process(), f.process()}
		for expiry := range 10 {
			time.Sleep(time.Hour)
			var wg sync.WaitGroup
			for _, m := range managers {
				wg.Go(func() { f.access(m) })
			}
			wg.Wait()
			assert.Equal(f, expiry+1, f.count())
		}
		assert.Zero(f, f.reused)
	})
}

func TestLesson03TheTokenIsReadAgainUnderTheLock(t *testing.T) {
	onLock(t, func(f *fixture) {
		m := f.connected()
		time.Sleep(time.Hour)
		unlock, err := f.raw.Store.(storage.Locker).Lock(f.Context(), "k")
		require.NoError(f, err)
		c := later(m.Source("k").Token)
		time.Sleep(time.Second) // it has read the record, and waits for the lock
		require.Equal(f, 1, f.raw.count("lock"))
		puts := f.raw.count("put")
		f.put(f.sibling())
		unlock()
		r := <-c
		require.NoError(f, r.err)
		assert.Equal(f, "access-2", r.AccessToken)
		assert.Zero(f, f.count(), "refresh-1 was spent by whoever held the lock")
		assert.Equal(f, puts, f.raw.count("put"), "what was read before isn't even tried")
	})
}

func TestLesson04ALateOwnerDoesNotFreeAnothersAttempt(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		f.loss = func() error {
			f.loss = nil
			f.put(f.stored().with(&attempt{ID: "of who took over"}, nil))
			return answer(503, "")
		}
		time.Sleep(time.Hour)
		c := later(m.Source("k").Token)
		time.Sleep(leaseTime / 2)
		require.NotNil(f, f.stored().Attempt)
		assert.Equal(f, "of who took over", f.stored().Attempt.ID)
		<-c
	})
	onEvery(t, func(f *fixture) { // and an exchange may take longer than a lease
		f.latency = after(3 * leaseTime)
		m := f.connected()
		other := f.process()
		time.Sleep(time.Hour)
		c, d := later(m.Source("k").Token), later(other.Source("k").Token)
		require.NoError(f, (<-c).err)
		require.NoError(f, (<-d).err)
		assert.Equal(f, 1, f.count())
	})
}

func TestLesson05InvalidGrantDoesNotEndWhatASiblingHasSaved(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.spent("refresh-1")
		f.reuse = false
		f.fault = func() error {
			f.fault = nil
			f.put(f.sibling())
			return nil // and the provider says invalid_grant
		}
		time.Sleep(time.Hour)
		assert.Equal(f, "access-2", f.access(m))
		rec := f.stored()
		assert.Equal(f, "access-2", rec.AccessToken)
		assert.Equal(f, "refresh-2", rec.RefreshToken)
		assert.Nil(f, rec.Failure)
	})
}

func TestLesson06ACallerWhoLeavesBetweenTheAnswerAndTheSaveLosesNothing(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		ctx, cancel := context.WithCancel(f.Context())
		f.during(func() {
			cancel()
			f.raw.set(func(op string) error {
				if op == "put" {
					time.Sleep(time.Second)
				}
				return nil
			}, nil)
		})
		time.Sleep(time.Hour)
		_, err := m.Source("k").TokenContext(ctx)
		assert.ErrorIs(f, err, context.Canceled)
		require.NoError(f, m.Flush(f.Context()))
		assert.Equal(f, "refresh-2", f.stored().RefreshToken)
		assert.Equal(f, "access-2", f.access(m))
	})
}

func TestLesson07AFailedSaveIsToldAndRepeated(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.unsavedFrom("put")
		time.Sleep(time.Hour)
		f.access(m)
		assert.Equal(f, 1, f.seen(EventUnsaved))
		assert.ErrorIs(f, f.lastEvent(EventUnsaved).Err, errStoreDown)
		assert.Equal(f, StateUnsaved, f.status(m).State)
		ctx, cancel := context.WithTimeout(f.Context(), time.Minute)
		defer cancel()
		assert.Error(f, m.Flush(ctx))
		f.raw.mended()
		require.NoError(f, m.Flush(f.Context()))
		assert.Equal(f, "refresh-2", f.stored().RefreshToken)
	})
}

func TestLesson08NoOtherWritePutsAnOldTokenBack(t *testing.T) {
	onSwap(t, func(f *fixture) { // the renewal of an attempt
		f.latency = after(15 * time.Second)
		m := f.connected()
		time.Sleep(time.Hour)
		c := later(m.Source("k").Token)
		time.Sleep(time.Second)
		f.put(f.sibling())
		time.Sleep(10 * time.Second)
		assert.Equal(f, "access-2", f.stored().AccessToken)
		<-c
		assert.Equal(f, "access-2", f.stored().AccessToken)
	})
	onEvery(t, func(f *fixture) { // the record of a failure, and of a rejection
		m := f.connected()
		f.fault = func() error {
			f.fault = nil
			f.put(f.sibling())
			return answer(503, "")
		}
		time.Sleep(time.Hour)
		f.access(m)
		assert.Equal(f, "access-2", f.stored().AccessToken)
		assert.Nil(f, f.stored().Failure)

		old := m.Source("k").known()
		f.put(f.sibling())
		m.Source("k").recordRejection(old, "invalid_token")
		assert.Equal(f, "access-3", f.stored().AccessToken)
		assert.Nil(f, f.stored().Failure)
	})
}

func TestLesson09TheRefreshTokenIsKeptWhenTheProviderOmitsIt(t *testing.T) {
	onEvery(t, func(f *fixture) {
		n := 0
		m := f.processWith(func(_ context.Context, refresh string) (*oauth2.Token, error) {
			n++
			assert.Equal(f, "refresh-1", refresh)
			return &oauth2.Token{AccessToken: "new", Expiry: time.Now().Add(time.Hour)}, nil
		})
		require.NoError(f, m.Save(f.Context(), "k", f.login()))
		for range 3 {
			time.Sleep(time.Hour)
			tok, err := m.Source("k").Token()
			require.NoError(f, err)
			assert.Equal(f, "refresh-1", tok.RefreshToken)
			assert.Equal(f, "refresh-1", f.stored().RefreshToken)
		}
		assert.Equal(f, 3, n)
	})
}

func TestLesson10AnAnswerThatIsNoTokenIsNeitherStoredNorTheEnd(t *testing.T) {
	for name, resp := range map[string]func() *http.Response{
		"a 4xx without an error": func() *http.Response {
			return reply(400, `{"access_token":"","message":"no"}`, "Content-Type", "application/json")
		},
		"a firewall's 403":            func() *http.Response { return reply(403, "<html>", "Content-Type", "text/html") },
		"a firewall's 200":            func() *http.Response { return reply(200, "<html>", "Content-Type", "text/html") },
		"200 without an access token": func() *http.Response { return reply(200, `{}`, "Content-Type", "application/json") },
		"an empty 200":                func() *http.Response { return reply(200, "") },
		"401 in JSON": func() *http.Response {
			return reply(401, `{"message":"Unauthorized"}`, "Content-Type", "application/json")
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &Manager{
					Config: &oauth2.Config{Endpoint: oauth2.Endpoint{TokenURL: "https://login.example.com", AuthStyle: oauth2.AuthStyleInParams}},
					Store:  newMemory(),
					Base: roundTripper(func(r *http.Request) (*http.Response, error) {
						resp := resp()
						resp.Request = r
						return resp, nil
					}),
				}
				s := m.Source("k")
				require.NoError(t, m.Save(t.Context(), "k", &oauth2.Token{AccessToken: "a", RefreshToken: "r", Expiry: time.Now().Add(time.Hour)}))
				time.Sleep(time.Hour)
				_, err := s.Token()
				require.Error(t, err)
				assert.NotErrorIs(t, err, ErrLoginRequired)
				rec, err := m.read(t.Context(), "k")
				require.NoError(t, err)
				assert.Equal(t, "a", rec.AccessToken)
				assert.Equal(t, "r", rec.RefreshToken)
				assert.False(t, rec.Failure.Final)
			})
		})
	}
}

func TestLesson11InvalidClientDuringARolloverEndsNoGrant(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.connected()
		rolledOver := false
		m := f.processWith(func(ctx context.Context, refresh string) (*oauth2.Token, error) {
			if !rolledOver {
				return nil, answer(401, "invalid_client")
			}
			return f.refresh(ctx, refresh)
		})
		time.Sleep(time.Hour)
		for range 10 {
			_, err := m.Source("k").Token()
			assert.Error(f, err)
			assert.NotErrorIs(f, err, ErrLoginRequired)
			time.Sleep(time.Minute)
		}
		assert.Zero(f, f.seen(EventLoginRequired))
		rolledOver = true
		time.Sleep(maxBackoff)
		assert.Equal(f, "access-2", f.access(m))
	})
}

func TestLesson12AFixedMarginDoesNotRefreshAtEveryCall(t *testing.T) {
	onSwap(t, func(f *fixture) {
		f.life = 10 * time.Minute
		m := f.process()
		m.EarlyExpiry = 15 * time.Minute
		require.NoError(f, m.Save(f.Context(), "k", f.login()))
		for range 100 {
			f.access(m)
		}
		time.Sleep(4 * time.Minute)
		for range 100 {
			f.access(m)
		}
		assert.Zero(f, f.count())
		time.Sleep(2 * time.Minute)
		for range 100 {
			f.access(m)
		}
		require.NoError(f, m.Flush(f.Context()))
		assert.Equal(f, 1, f.count())
	})
}

func TestLesson13AClientMadeForEachRequestSharesTheRefresh(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.latency = after(time.Second)
		m := f.connected()
		api := withAPI(m)
		time.Sleep(time.Hour)
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				if i%2 == 0 {
					status, _ := f.get(m.Client("k"))
					assert.Equal(f, 200, status)
					return
				}
				_, err := m.Source("k").Token()
				assert.NoError(f, err)
			})
		}
		wg.Wait()
		assert.Equal(f, 1, f.count())
		for _, c := range api.calls() {
			assert.Equal(f, "Bearer access-2", c.token)
		}
	})
}
