package tokensource

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
)

// unsavedFrom makes f's store fail from the provider's next answer on.
func (f *fixture) unsavedFrom(ops ...string) {
	f.during(func() { f.raw.fail(ops...) })
}

func TestTokenThatCannotBeSavedIsServedAndSavedLater(t *testing.T) {
	t.Parallel() // beside TestProcesses, which waits
	for name, ops := range map[string][]string{"writes fail": {"put"}, "all fails": {"get", "put", "lock", "delete"}} {
		t.Run(name, func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				m := f.connected()
				f.unsavedFrom(ops...)
				time.Sleep(time.Hour)
				assert.Equal(f, "access-2", f.access(m), "rather than none")
				assert.Equal(f, "refresh-1", f.stored().RefreshToken)
				e := f.lastEvent(EventUnsaved)
				assert.Equal(f, ReasonStore, e.Reason)
				assert.ErrorIs(f, e.Err, errStoreDown)
				assert.Zero(f, f.seen(EventRefreshed), "not yet")
				st := f.status(m)
				assert.Equal(f, StateUnsaved, st.State)
				assert.True(f, st.Obtained.Equal(time.Now()), "of the token that is served")

				time.Sleep(2 * time.Minute)
				assert.Equal(f, "access-2", f.access(m))
				assert.Equal(f, 1, f.count())
				f.raw.mended()
				time.Sleep(renewal)
				assert.Equal(f, "access-2", f.stored().AccessToken)
				assert.Equal(f, "refresh-2", f.stored().RefreshToken)
				assert.Nil(f, f.stored().Attempt)
				assert.Equal(f, StateHealthy, f.status(m).State)
				assert.Equal(f, 1, f.seen(EventRefreshed))
				assert.Equal(f, "access-2", f.access(f.process()))
				time.Sleep(time.Hour)
				assert.Equal(f, "access-3", f.access(m))
			})
		})
	}
}

func TestParentOfAnUnsavedTokenIsNotSpentAgain(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		other := f.process()
		f.unsavedFrom("put")
		time.Sleep(time.Hour)
		f.access(m)
		c := later(other.Source("k").Token)
		time.Sleep(time.Minute)
		f.raw.mended()
		<-c // an error if it had to wait for too long
		time.Sleep(2 * time.Second)
		assert.Equal(f, "access-2", f.access(other), "adopted")
		assert.Equal(f, 1, f.count())
		assert.Zero(f, f.reused)
	})
}

// A write that failed may have happened.
func TestUnsavedTokenThatWasSavedAfterAllIsNotDropped(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.during(func() {
			f.raw.set(nil, func(op string) error {
				if op == "put" {
					return errStoreDown
				}
				return nil
			})
		})
		time.Sleep(time.Hour)
		assert.Equal(f, "access-2", f.access(m))
		assert.Equal(f, 1, f.seen(EventUnsaved))
		require.Equal(f, "access-2", f.stored().AccessToken)
		f.raw.mended()
		require.NoError(f, m.Flush(f.Context()))
		assert.Equal(f, 1, f.seen(EventRefreshed))
		assert.Zero(f, f.seen(EventAdopted))
		assert.Equal(f, "access-2", f.access(m))
	})
}

func TestUnsavedTokenThatAnotherProcessReadAndRefreshedIsReplaced(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		f.during(func() {
			f.raw.set(func(op string) error {
				if f.raw.count("put") > 3 {
					return errStoreDown
				}
				return nil
			}, func(op string) error {
				if op == "put" {
					return errStoreDown
				}
				return nil
			})
		})
		time.Sleep(time.Hour)
		assert.Equal(f, "access-2", f.access(m))
		require.Equal(f, StateUnsaved, f.status(m).State)
		require.Equal(f, "access-2", f.stored().AccessToken)
		f.put(f.sibling())
		f.raw.mended()
		require.NoError(f, m.Flush(f.Context()))
		assert.Equal(f, "access-3", f.access(m))
		assert.Equal(f, "access-3", f.stored().AccessToken)
	})
}

// Its refresh token may be in the store and with others, since a write that failed
// may have happened.
func TestUnsavedTokenIsNotRefreshedUntilItIsSaved(t *testing.T) {
	t.Parallel() // beside TestProcesses, which waits
	onEvery(t, func(f *fixture) {
		f.life = 2 * time.Minute // the store is tried every few seconds
		m := f.connected()
		f.unsavedFrom("put")
		time.Sleep(f.life)
		f.access(m)
		time.Sleep(f.life * 9 / 10)
		assert.Equal(f, "access-2", f.access(m), "due, but valid")
		time.Sleep(f.life / 10)
		_, err := m.Source("k").Token()
		assert.ErrorIs(f, err, errStoreDown)
		assert.NotErrorIs(f, err, ErrLoginRequired)
		assert.Equal(f, 1, f.count())
		f.raw.mended()
		time.Sleep(renewal)
		assert.Equal(f, "access-3", f.access(m))
		assert.Equal(f, 2, f.count())
	})
}

func TestFlushSavesAtOnceWhatIsUnsaved(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.unsavedFrom("put")
		time.Sleep(time.Hour)
		f.access(m)
		f.raw.mended()
		before := time.Now()
		require.NoError(f, m.Flush(f.Context()))
		assert.Zero(f, time.Since(before))
		assert.Equal(f, "access-2", f.stored().AccessToken)
	})
}

func TestFlushWaitsForTheStore(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.unsavedFrom("put")
		time.Sleep(time.Hour)
		f.access(m)
		time.AfterFunc(30*time.Second, f.raw.mended)
		before := time.Now()
		require.NoError(f, m.Flush(f.Context()))
		assert.GreaterOrEqual(f, time.Since(before), 30*time.Second)
		assert.Less(f, time.Since(before), 30*time.Second+renewal)
		assert.Equal(f, "access-2", f.stored().AccessToken)
	})
}

func TestFlushSaysHowManyConnectionsWouldBeLost(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		require.NoError(f, m.Save(f.Context(), "l", f.login()))
		f.unsavedFrom("put")
		time.Sleep(time.Hour)
		f.access(m)
		ctx, cancel := context.WithTimeout(f.Context(), 20*time.Second)
		defer cancel()
		before := time.Now()
		err := m.Flush(ctx)
		assert.ErrorIs(f, err, context.DeadlineExceeded)
		assert.ErrorContains(f, err, "1 ")
		assert.Equal(f, 20*time.Second, time.Since(before))
		f.raw.mended()
	})
}

func TestFlushWaitsForARefreshInFlight(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.latency = after(10 * time.Second)
		m := f.connected()
		time.Sleep(58 * time.Minute)
		f.access(m)
		before := time.Now()
		require.NoError(f, m.Flush(f.Context()))
		assert.Equal(f, 10*time.Second, time.Since(before))
		assert.Equal(f, "access-2", f.stored().AccessToken)
	})
}

func TestFlushOfAnIdleManagerReturnsAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	assert.NoError(t, new(Manager).Flush(ctx))
}

func TestLoginWinsOverAnUnsavedToken(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.unsavedFrom("put")
		time.Sleep(time.Hour)
		f.access(m)
		f.raw.mended()
		require.NoError(f, m.Save(f.Context(), "k", f.login()))
		assert.Equal(f, StateHealthy, f.status(m).State, "what is unsaved is of no use any more")
		require.NoError(f, m.Flush(f.Context()))
		assert.Equal(f, "access-3", f.access(m))
		assert.Equal(f, "access-3", f.stored().AccessToken)
	})
}

func TestUnsavedTokenOfADeletedRecordIsDropped(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.unsavedFrom("put")
		time.Sleep(time.Hour)
		f.access(m)
		f.raw.mended()
		_, v, err := f.raw.Store.Get(f.Context(), "k")
		require.NoError(f, err)
		require.NoError(f, f.raw.Store.Delete(f.Context(), "k", v))
		require.NoError(f, m.Flush(f.Context()))
		_, err = m.Source("k").Token()
		assert.ErrorIs(f, err, storage.ErrNotFound)
		assert.Empty(f, m.unsaved)
	})
}

func TestSourceIsNotCollectedWhileItsTokenIsUnsaved(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		f.unsavedFrom("put")
		time.Sleep(time.Hour)
		f.access(m)
		f.kept = nil // nobody uses it any more
		f.collect()
		require.NotNil(f, m.existing("k"))
		assert.Equal(f, StateUnsaved, f.status(m).State)
		assert.Equal(f, "access-2", f.access(m))
		f.raw.mended()
		require.NoError(f, m.Flush(f.Context()))
		assert.Equal(f, "access-2", f.stored().AccessToken)
	})
}

func TestFlushThatIsCutShortSaysWhatIsGoingOn(t *testing.T) {
	onSwap(t, func(f *fixture) {
		f.latency = after(10 * time.Second)
		m := f.connected()
		time.Sleep(time.Hour)
		c := later(func() (*oauth2.Token, error) { return m.Source("k").TokenContext(f.Context()) })
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(f.Context(), time.Second)
		defer cancel()
		err := m.Flush(ctx)
		assert.ErrorIs(f, err, context.DeadlineExceeded)
		assert.NotContains(f, err.Error(), "0 connections")
		<-c
	})
}
