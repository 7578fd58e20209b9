package tokensource

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// elsewhere are decisions of another process about a connection that this one uses, and what
// this one has of it in the end: an access token, or a Reason.
var elsewhere = map[string]struct {
	do     func(f *fixture, m *Manager) error
	access string
	reason Reason
}{
	"reconnected":  {func(f *fixture, m *Manager) error { return m.Save(f.Context(), "k", f.login()) }, "access-2", ""},
	"disconnected": {func(f *fixture, m *Manager) error { return m.Forget(f.Context(), "k") }, "", ReasonNotConnected},
	"moved": {func(f *fixture, m *Manager) error {
		return f.renamed().Move(f.Context(), "k", testOwner)
	}, "", ReasonOtherClient},
	"ended": {func(f *fixture, m *Manager) error {
		f.put(f.stored().ended(f.stored().ID, failure{Reason: ReasonRevoked, At: wall(time.Now()), Final: true}))
		return nil
	}, "", ReasonRevoked},
}

// eachElsewhere runs a test of a process that has served access-1 with each of these
// decisions, made by another one. noticed checks that the process knows of it.
func eachElsewhere(t *testing.T, run func(f *fixture, m *Manager, decide, noticed func())) {
	for name, e := range elsewhere {
		t.Run(name, func(t *testing.T) {
			onSwap(t, func(f *fixture) {
				f.life = -1 // for ever, as at many providers
				other := f.connected()
				m := f.process()
				require.Equal(f, "access-1", f.access(m))
				run(f, m, func() { require.NoError(f, e.do(f, other)) }, func() {
					f.Helper()
					token, err := m.Source("k").Token()
					if e.reason != "" {
						assert.True(f, isReason(err, e.reason), "%v", err)
						return
					}
					require.NoError(f, err)
					assert.Equal(f, e.access, token.AccessToken)
				})
			})
		})
	}
}

func TestWhatAnotherProcessDecidedIsNoticedAfterAMinuteOfUse(t *testing.T) {
	eachElsewhere(t, func(f *fixture, m *Manager, decide, noticed func()) {
		time.Sleep(time.Second)
		decide()
		assert.Equal(f, "access-1", f.access(m))
		for range 59 {
			time.Sleep(time.Second)
			f.access(m)
		}
		time.Sleep(2 * time.Second) // a call is late by a second at most
		_, _ = m.Source("k").Token()
		f.seen("") // what goes on in the background ends
		noticed()
	})
}

func TestWhatAnotherProcessDecidedLongAgoIsNoticedBeforeTheTokenIsServed(t *testing.T) {
	eachElsewhere(t, func(f *fixture, m *Manager, decide, noticed func()) {
		decide()
		time.Sleep(veryStale*defaultStale + time.Second)
		noticed()
	})
}

// Two tokens of a generation are of two processes that both sent the refresh token. The stored one is
// what all can agree on.
func TestTokenInTheStoreOfTheSameGenerationIsAdopted(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		rec := *f.stored()
		rec.ID, rec.AccessToken = newID(), "of another process"
		f.put(&rec)
		time.Sleep(veryStale*defaultStale + time.Second)
		assert.Equal(f, "of another process", f.access(m))
		assert.Equal(f, "of another process", f.stored().AccessToken)
	})
}

func TestOldTokenIsServedOnWhileTheStoreIsDown(t *testing.T) {
	eachElsewhere(t, func(f *fixture, m *Manager, decide, noticed func()) {
		decide()
		time.Sleep(veryStale*defaultStale + time.Second)
		f.raw.down()
		asked := f.raw.count("get")
		for range 200 {
			assert.Equal(f, "access-1", f.access(m))
			time.Sleep(3 * time.Second)
		}
		assert.Less(f, f.raw.count("get")-asked, 20, "it isn't asked with each call")
		f.raw.mended()
		time.Sleep(maxBackoff)
		_, _ = m.Source("k").Token()
		f.seen("")
		noticed()
	})
}

// TestHangingStoreHoldsUpAnOldTokenOnce: calls of the store end, and then it counts as down.
func TestHangingStoreHoldsUpAnOldTokenOnce(t *testing.T) {
	onSwap(t, func(f *fixture) {
		f.life = -1
		m := f.connected()
		time.Sleep(veryStale*defaultStale + time.Second)
		f.raw.set(func(string) error { return errHang }, nil)
		start := time.Now()
		f.access(m)
		assert.LessOrEqual(f, time.Since(start), storeTimeout)
		start = time.Now()
		f.access(m)
		assert.Zero(f, time.Since(start))
	})
}

func TestStaleAfterIsSettable(t *testing.T) {
	for _, c := range []struct{ set, want time.Duration }{
		{0, time.Minute}, {-time.Second, time.Minute}, {10 * time.Second, 10 * time.Second}, {time.Hour, time.Hour},
	} {
		onSwap(t, func(f *fixture) {
			f.life = -1
			other := f.connected()
			m := f.process()
			m.StaleAfter = c.set
			f.access(m)
			require.NoError(f, other.Save(f.Context(), "k", f.login()))
			time.Sleep(c.want - time.Second)
			f.access(m)
			assert.Zero(f, f.seen(EventAdopted))
			time.Sleep(2 * time.Second)
			f.access(m)
			assert.Equal(f, 1, f.seen(EventAdopted), "%v", c.set)
			assert.Equal(f, "access-2", f.access(m))
		})
	}
}

func TestStoreIsLookedAtOnceAMinute(t *testing.T) {
	onSwap(t, func(f *fixture) {
		f.life = -1
		m := f.connected()
		before := f.raw.count("get")
		for range 600 {
			f.access(m)
			time.Sleep(time.Second)
		}
		assert.InDelta(f, 10, f.raw.count("get")-before, 2)
	})
}

// TestReconnectionIsNoticedThoughRefreshesAreHeldOff: what holds them off is about the token
// that was replaced.
func TestReconnectionIsNoticedThoughRefreshesAreHeldOff(t *testing.T) {
	onSwap(t, func(f *fixture) {
		other := f.connected()
		m := f.process()
		f.fault = func() error { return answer(429, "slow_down", "Retry-After", "3600") }
		time.Sleep(56 * time.Minute) // due, and valid
		assert.Equal(f, "access-1", f.access(m))
		require.Equal(f, 1, f.seen(EventFailed))
		require.NoError(f, other.Save(f.Context(), "k", f.login()))
		time.Sleep(time.Minute + time.Second)
		f.access(m)
		f.seen("")
		assert.Equal(f, "access-2", f.access(m))

		time.Sleep(time.Hour) // over
		_, err := m.Source("k").Token()
		require.True(f, isReason(err, ReasonRateLimited), "%v", err)
		require.NoError(f, other.Save(f.Context(), "k", f.login()))
		time.Sleep(recheck)
		assert.Equal(f, "access-3", f.access(m))
	})
}

// TestValidTokenIsServedHoweverShortStaleAfterIs, also while refreshes fail.
func TestValidTokenIsServedHoweverShortStaleAfterIs(t *testing.T) {
	onSwap(t, func(f *fixture) {
		f.connected()
		m := f.process()
		m.StaleAfter = time.Millisecond
		f.fault = func() error { return answer(503, "") }
		time.Sleep(56 * time.Minute)
		for range 100 {
			assert.Equal(f, "access-1", f.access(m))
			time.Sleep(900 * time.Millisecond)
		}
		assert.Less(f, f.count(), 10)
	})
}

// TestLookInTheBackgroundOutlivesItsCaller: the next one has what it found.
func TestLookInTheBackgroundOutlivesItsCaller(t *testing.T) {
	onSwap(t, func(f *fixture) {
		f.life = -1
		other := f.connected()
		m := f.process()
		f.access(m)
		require.NoError(f, other.Save(f.Context(), "k", f.login()))
		time.Sleep(time.Minute + time.Second)
		f.raw.set(func(op string) error { time.Sleep(2 * time.Second); return nil }, nil)
		ctx, cancel := context.WithCancel(f.Context())
		token, err := m.Source("k").TokenContext(ctx)
		cancel()
		require.NoError(f, err)
		assert.Equal(f, "access-1", token.AccessToken)
		time.Sleep(3 * time.Second)
		r := later(func() (*oauth2.Token, error) { return m.Source("k").Token() })
		assert.Equal(f, "access-2", (<-r).AccessToken)
	})
}

func TestValidTokenIsServedHoweverShortStaleAfterIsWhileARefreshHangs(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.process()
		m.StaleAfter = time.Second
		require.NoError(f, m.Save(f.Context(), "k", f.login()))
		time.Sleep(56 * time.Minute)
		f.latency = after(time.Hour)
		for range 40 {
			r := <-later(m.Source("k").Token)
			require.NoError(f, r.err)
			assert.Zero(f, r.took)
			time.Sleep(time.Second)
		}
	})
}

// A look whose answer is late doesn't bring back the token that was replaced meanwhile.
func TestLateLookBringsNoOldTokenBack(t *testing.T) {
	onEvery(t, func(f *fixture) {
		s := f.connected().Source("k")
		first, err := s.Token()
		require.NoError(f, err)
		f.raw.set(nil, func(string) error {
			f.raw.mended()
			time.Sleep(5 * time.Second)
			return nil
		})
		looked := make(chan *view)
		go func() { looked <- s.lookNow(context.Background()) }()
		time.Sleep(time.Second)
		s.Reject(first)
		second, err := s.Token()
		require.NoError(f, err)
		require.Equal(f, "access-2", second.AccessToken)
		assert.Equal(f, "access-2", (<-looked).record.AccessToken)
	})
}
