package tokensource

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// ignoring is a process whose Refresher answers after the given time, whatever its context
// says, and has a RefreshTimeout of a second.
func (f *fixture) ignoring(latency time.Duration) *Manager {
	m := f.processWith(func(_ context.Context, refresh string) (*oauth2.Token, error) {
		t, err := f.spend(refresh)
		time.Sleep(latency)
		return t, err
	})
	m.RefreshTimeout = time.Second
	return m
}

// lateAnswer begins a refresh that is answered in a minute, and returns when its callers
// have been let go.
func (f *fixture) lateAnswer() (m *Manager) {
	f.Helper()
	m = f.ignoring(time.Minute)
	require.NoError(f, m.Save(f.Context(), "k", f.login()))
	time.Sleep(time.Hour)
	r := <-later(m.Source("k").Token)
	var e *Error
	require.ErrorAs(f, r.err, &e)
	assert.Equal(f, ReasonUnavailable, e.Reason)
	assert.ErrorIs(f, r.err, context.DeadlineExceeded)
	assert.LessOrEqual(f, r.took, m.RefreshTimeout+2*lateness)
	assert.NotErrorIs(f, r.err, ErrLoginRequired)
	begun := time.Now()
	require.NoError(f, m.Flush(f.Context()))
	assert.Zero(f, time.Since(begun), "Flush doesn't wait for it")
	f.kept = append(f.kept, m.Source("k"))
	return m
}

func TestRefresherThatIgnoresItsContextHoldsNobodyUpAndItsAnswerIsSaved(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.lateAnswer()
		assert.Nil(f, f.stored().Attempt, "no other process waits")
		assert.True(f, f.stored().MayBeSpent)
		time.Sleep(time.Minute)
		assert.Equal(f, "access-2", f.stored().AccessToken)
		assert.Equal(f, "access-2", f.access(m))
		assert.Equal(f, "access-2", f.access(f.process()))
		assert.Equal(f, 1, f.seen(EventFailed))
		assert.Equal(f, 1, f.seen(EventRefreshed))
		assert.Equal(f, 1, f.seen(EventRecovered))
		assert.Equal(f, StateHealthy, f.status(m).State)
	})
}

func TestLateAnswerIsKeptWhileTheStoreIsDown(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.lateAnswer()
		f.raw.down()
		time.Sleep(2 * time.Minute)
		assert.Equal(f, "access-2", f.access(m))
		assert.Equal(f, 1, f.seen(EventUnsaved))
		ctx, cancel := context.WithTimeout(f.Context(), time.Second)
		defer cancel()
		require.Error(f, m.Flush(ctx), "it is in memory only")
		f.raw.mended()
		require.NoError(f, m.Flush(f.Context()))
		assert.Equal(f, "access-2", f.stored().AccessToken)
		assert.Equal(f, "access-2", f.access(m))
		assert.Equal(f, 1, f.seen(EventRefreshed))
		assert.Equal(f, 1, f.seen(EventRecovered))
	})
}

func TestLateAnswerLosesToTheTokenThatAnotherProcessGot(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.grace = time.Hour
		m := f.lateAnswer()
		other := f.process()
		time.Sleep(10 * time.Second)
		token := f.access(other)
		time.Sleep(2 * time.Minute)
		assert.Equal(f, token, f.stored().AccessToken)
		assert.Equal(f, token, f.access(m))
		assert.Equal(f, token, f.access(other))
	})
}

func TestLateAnswerLosesToALogin(t *testing.T) {
	for name, down := range map[string]bool{"": false, ", also while the store is down": true} {
		for who, elsewhere := range map[string]bool{"here": false, "elsewhere": true} {
			t.Run(who+name, func(t *testing.T) {
				onEvery(t, func(f *fixture) {
					m := f.lateAnswer()
					login := f.login()
					if elsewhere {
						require.NoError(f, f.process().Save(f.Context(), "k", login))
						time.Sleep(2 * time.Second)
						f.access(m) // it is seen
					} else {
						require.NoError(f, m.Save(f.Context(), "k", login))
					}
					if down {
						f.raw.down()
					}
					time.Sleep(2 * time.Minute)
					assert.Equal(f, login.AccessToken, f.access(m))
					f.raw.mended()
					f.flush()
					assert.Equal(f, login.AccessToken, f.access(m))
					assert.Equal(f, login.AccessToken, f.stored().AccessToken)
					assert.Zero(f, f.seen(EventRefreshed))
					assert.Zero(f, f.seen(EventUnsaved))
					if !elsewhere {
						assert.Zero(f, f.seen(EventAdopted), "it is this process's own")
					}
				})
			})
		}
	}
}

func TestLateAnswerDoesNotBringBackWhatWasDisconnected(t *testing.T) {
	for name, down := range map[string]bool{"": false, "while the store is down": true} {
		t.Run(name, func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				m := f.lateAnswer()
				require.NoError(f, m.Forget(f.Context(), "k"))
				if down {
					f.raw.down()
				}
				time.Sleep(2 * time.Minute)
				_, err := m.Source("k").Token()
				require.Error(f, err)
				f.raw.mended()
				f.flush()
				time.Sleep(time.Minute)
				f.gone(m)
				assert.Zero(f, f.seen(EventRefreshed))
			})
		})
	}
}

func TestAnswerOfALoginThatWasReplacedIsNotServedWhenTheStoreGoesDown(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		time.Sleep(time.Hour)
		f.latency = after(5 * time.Second)
		c := later(m.Source("k").Token)
		time.Sleep(time.Second)
		login := f.login()
		require.NoError(f, m.Save(f.Context(), "k", login))
		f.raw.down()
		<-c
		assert.Equal(f, login.AccessToken, f.access(m), "it is another account, perhaps")
		f.raw.mended()
		f.flush()
		assert.Equal(f, login.AccessToken, f.access(m))
		assert.Equal(f, login.AccessToken, f.stored().AccessToken)
	})
}

func TestRevokerThatIgnoresItsContextHoldsNobodyUp(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, r := f.revocable(func(context.Context) error {
			time.Sleep(time.Hour / 2)
			return errors.New("too late")
		})
		m.RefreshTimeout = time.Second
		begun := time.Now()
		err := m.Disconnect(f.Context(), "k")
		assert.ErrorIs(f, err, context.DeadlineExceeded)
		assert.LessOrEqual(f, time.Since(begun), m.RefreshTimeout+2*lateness)
		assert.Nil(f, f.stored().Attempt)
		assert.Equal(f, "access-1", f.access(f.process()))
		f.flush()
		r.mu.Lock()
		r.act = nil
		r.mu.Unlock()
		require.NoError(f, m.Disconnect(f.Context(), "k"))
		f.gone(m)
		time.Sleep(time.Hour)
		synctest.Wait()
	})
}
