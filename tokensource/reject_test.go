package tokensource

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

func TestRejectedTokenIsRefreshedByTheNextCall(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		s := m.Source("k")
		token, err := s.Token()
		require.NoError(f, err)
		s.Reject(token)
		assert.Zero(f, f.count(), "until someone needs it")
		assert.Equal(f, "access-2", f.access(m))
		assert.Equal(f, "access-2", f.stored().AccessToken)
		s.Reject(token)
		assert.Equal(f, "access-2", f.access(m), "the old one was replaced")
		assert.Equal(f, 1, f.count())
	})
}

func TestRejectOfWhatTheConnectionDoesNotHaveDoesNothing(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		require.NoError(f, m.Save(f.Context(), "other", f.login()))
		other, err := m.Source("other").Token()
		require.NoError(f, err)
		for _, token := range []*oauth2.Token{nil, {}, {AccessToken: "unknown"}, {RefreshToken: "refresh-1"}, other} {
			m.Source("k").Reject(token)
			m.Source("nobody").Reject(token)
		}
		assert.Equal(f, "access-1", f.access(m))
		assert.Zero(f, f.count())
		assert.Equal(f, StateHealthy, f.status(m).State)
		_, err = m.Source("nobody").Token()
		assert.True(f, isReason(err, ReasonNotConnected))
	})
}

func TestRejectedTokenWithoutRefreshTokenHasEndedTheConnection(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, other := f.process(), f.process()
		login := f.login()
		login.RefreshToken = ""
		require.NoError(f, m.Save(f.Context(), "k", login))
		assert.Equal(f, "access-1", f.access(other))
		m.Source("k").Reject(login)
		assert.Equal(f, StateLoginRequired, f.status(m).State)
		assert.Equal(f, ReasonRejected, f.status(m).Reason)
		for range 3 {
			_, err := m.Source("k").Token()
			require.ErrorIs(f, err, ErrLoginRequired)
			require.True(f, isReason(err, ReasonRejected))
		}
		assert.Equal(f, 1, f.seen(EventLoginRequired))
		time.Sleep(2 * time.Minute)
		f.access(other) // it learns of it
		time.Sleep(time.Second)
		_, err := other.Source("k").Token()
		require.True(f, isReason(err, ReasonRejected))
		assert.Equal(f, 1, f.seen(EventLoginRequired))
	})
}

// A user connects again, and revokes that within a minute as well.
func TestTokenOfANewLoginIsNotTakenForOneInPlaceOfTheRejected(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.process()
		for _, access := range []string{"access-a", "access-b", "access-c"} {
			login := &oauth2.Token{AccessToken: access}
			require.NoError(f, m.Save(f.Context(), "k", login))
			require.Equal(f, access, f.access(m))
			m.Source("k").Reject(login)
			assert.Equal(f, StateLoginRequired, f.status(m).State, access)
			time.Sleep(time.Second)
		}
	})
}

func TestFloodOfRejectionsMakesOneRefreshAMinute(t *testing.T) {
	for name, collected := range map[string]bool{"": false, "with a Source for each call": true} {
		t.Run(name, func(t *testing.T) {
			onSwap(t, func(f *fixture) {
				m := f.connected()
				if collected {
					f.kept = nil
				}
				for range 4 {
					token, err := m.Source("k").Token()
					require.NoError(f, err)
					m.Source("k").Reject(token)
					if collected {
						f.collect()
					}
					time.Sleep(30 * time.Second)
				}
				assert.InDelta(f, 2, f.count(), 1)
			})
		})
	}
}

// A program may make a Source for each call, and the garbage collector may run in between.
func TestRejectionIsNotForgottenWithItsSource(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.kept = nil
		token, err := m.Source("k").Token()
		require.NoError(f, err)
		f.collect()
		m.Source("k").Reject(token)
		f.collect()
		assert.Equal(f, "access-2", f.access(m))
	})
}

// A process whose API refuses its token finds that another process has replaced it long ago,
// and that its own turn to refresh has come.
func TestDueTokenOfAnotherProcessIsNotTakenForRejected(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.life = 10 * time.Minute
		f.connected()
		m, other := f.process(), f.process()
		api := withAPI(m)
		f.access(m)
		other.Source("k").Reject(&oauth2.Token{AccessToken: f.access(other)})
		require.Equal(f, "access-2", f.access(other))
		time.Sleep(8 * time.Minute) // both tokens are due
		f.fault = func() error { return answer(503, "") }
		api.respond = refusing("access-2")
		for range 3 {
			status, body := f.get(m.Client("k"))
			assert.Equal(f, 200, status, body)
			assert.Equal(f, "access-2", f.access(m))
			assert.Equal(f, "access-2", f.access(other))
			time.Sleep(5 * time.Second)
		}
	})
}

// An API ends tokens that live for seconds before the client counts them as over, because the
// answer took a while and ends are in whole seconds. So two in a row may be refused.
func TestShortLivedTokenThatIsRefusedAgainAndAgainIsReplaced(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.life = 5 * time.Second
		m := f.connected()
		api := withAPI(m)
		for _, next := range []string{"access-2", "access-3", "access-4"} {
			time.Sleep(2750 * time.Millisecond) // none is due yet
			api.respond = refusing(next)
			status, body := f.get(m.Client("k"))
			assert.Equal(f, 200, status)
			assert.Equal(f, "ok "+next, body)
		}
		api.respond = refusing()
		for range 3 {
			status, _ := f.get(m.Client("k"))
			assert.Equal(f, 401, status)
		}
		assert.Equal(f, 3, f.count(), "a new one wouldn't help")
	})
}

func TestResetTokenOlderThan(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		s := m.Source("k")
		f.process().Source("k").ResetTokenOlderThan(time.Now().Add(time.Hour)) // of nothing that it has served
		assert.Equal(f, "access-1", f.access(m))
		s.ResetTokenOlderThan(f.stored().Obtained)
		assert.Equal(f, "access-1", f.access(m), "it was new then")
		time.Sleep(time.Minute)
		before := time.Now()
		s.ResetTokenOlderThan(before)
		assert.Zero(f, f.count(), "until someone needs it")
		time.Sleep(time.Millisecond)
		assert.Equal(f, "access-2", f.access(m))
		s.ResetTokenOlderThan(before) // of a request made at the same time
		assert.Equal(f, "access-2", f.access(m))
		assert.Equal(f, 1, f.count())
		m.Source("nobody").ResetTokenOlderThan(before)
	})
}
