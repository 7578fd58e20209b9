package tokensource

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// told returns the events since the last call, and checks what holds for each.
func (f *fixture) told() (kinds []EventKind) {
	f.Helper()
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.events {
		kinds = append(kinds, e.Kind)
		if e.Err != nil {
			own, ok := e.Err.(*Error)
			if assert.True(f, ok, "%T", e.Err) {
				assert.Equal(f, e.Reason, own.Reason)
				assert.Equal(f, e.Connection, own.Connection)
			}
		}
		trouble := e.Kind == EventFailed || e.Kind == EventLoginRequired || e.Kind == EventUnsaved
		assert.Equal(f, trouble, e.Err != nil, e.Kind)
	}
	f.events = nil
	return kinds
}

func TestEveryChapterOfAConnectionsLifeIsToldOnceAndInOrder(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, _ := f.revocable(nil)
		assert.Equal(f, []EventKind{EventSaved}, f.told())
		use := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(30 * time.Second) {
				_, _ = m.Source("k").Token()
			}
		}
		use(70 * time.Minute)
		assert.Equal(f, []EventKind{EventRefreshed}, f.told())

		f.fault = func() error { return answer(503, "") }
		time.Sleep(time.Hour)
		_, err := m.Source("k").Token()
		require.Error(f, err)
		assert.Equal(f, []EventKind{EventFailed}, f.told())
		f.fault = nil
		use(maxBackoff)
		assert.Equal(f, []EventKind{EventRefreshed, EventRecovered}, f.told())

		f.unsavedAnswer()
		time.Sleep(time.Hour)
		use(time.Minute)
		assert.Equal(f, []EventKind{EventUnsaved}, f.told())
		f.raw.mended()
		use(time.Minute)
		assert.Equal(f, []EventKind{EventRefreshed}, f.told())

		f.revoke()
		time.Sleep(time.Hour)
		use(10 * time.Minute)
		assert.Equal(f, []EventKind{EventLoginRequired}, f.told())

		require.NoError(f, m.Save(f.Context(), "k", f.login()))
		assert.Equal(f, []EventKind{EventSaved}, f.told())
		use(time.Minute)
		require.NoError(f, m.Save(f.Context(), "k", &oauth2.Token{AccessToken: "access-alone"}))
		assert.Equal(f, []EventKind{EventSaved, EventNoRefreshToken}, f.told())
		require.NoError(f, m.Save(f.Context(), "k", &oauth2.Token{AccessToken: "access-alone"}))
		assert.Equal(f, []EventKind{EventSaved}, f.told(), "the login before had none either")
		require.NoError(f, m.Disconnect(f.Context(), "k"))
		require.NoError(f, m.Disconnect(f.Context(), "k"))
		use(time.Minute)
		assert.Equal(f, []EventKind{EventDisconnected}, f.told())
	})
}

func TestRecoveryOfTheStoreIsTold(t *testing.T) {
	for _, expired := range []bool{false, true} {
		for _, ops := range [][]string{{"get", "put", "lock"}, {"put"}} {
			onEvery(t, func(f *fixture) {
				m := f.connected()
				f.told()
				f.raw.fail(ops...)
				time.Sleep(56*time.Minute + 30*time.Second) // it is due
				if expired {
					time.Sleep(time.Hour)
				}
				_, err := m.Source("k").Token()
				assert.Equal(f, expired, err != nil)
				assert.Equal(f, []EventKind{EventFailed}, f.told())
				time.Sleep(10 * time.Second)
				_, _ = m.Source("k").Token()
				kinds := f.told()
				assert.NotContains(f, kinds, EventRecovered, "it is as before: %v", kinds)
				f.raw.mended()
				time.Sleep(time.Minute)
				f.access(m)
				assert.Equal(f, []EventKind{EventRefreshed, EventRecovered}, f.told())
			})
		}
	}
}

func TestRecoveryOfAStoreThatNobodyHadToWriteIsTold(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.told()
		f.raw.down()
		time.Sleep(2 * time.Minute)
		assert.Equal(f, "access-1", f.access(m))
		assert.Equal(f, []EventKind{EventFailed}, f.told())
		assert.Equal(f, ReasonStore, f.lastReason(m))
		f.raw.mended()
		time.Sleep(2 * time.Minute)
		assert.Equal(f, "access-1", f.access(m))
		assert.Equal(f, []EventKind{EventRecovered}, f.told())
		time.Sleep(2 * time.Minute)
		f.access(m)
		assert.Empty(f, f.told(), "once")
		assert.Equal(f, StateHealthy, f.status(m).State)
	})
}

// lastReason is what m itself remembers.
func (f *fixture) lastReason(m *Manager) Reason {
	if t := m.Source("k").known().lastFailure; t != nil {
		return t.Reason
	}
	return ""
}

func TestRecoveryByTheLoginOfAnotherProcessIsTold(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, other := f.connected(), f.process()
		f.revoke()
		time.Sleep(time.Hour)
		_, err := m.Source("k").Token()
		require.ErrorIs(f, err, ErrLoginRequired)
		_, err = other.Source("k").Token()
		require.ErrorIs(f, err, ErrLoginRequired)
		f.told()
		other.OnEvent = nil
		require.NoError(f, other.Save(f.Context(), "k", f.login()))
		time.Sleep(2 * time.Second)
		f.access(m)
		assert.Equal(f, []EventKind{EventAdopted, EventRecovered}, f.told())
		f.access(m)
		assert.Empty(f, f.told())
	})
}

func TestFirstLoginIsNoRecovery(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, other := f.process(), f.process()
		_, err := m.Source("k").Token()
		require.ErrorIs(f, err, ErrLoginRequired)
		assert.Empty(f, f.told(), "nothing has happened to what isn't there")
		require.NoError(f, other.Save(f.Context(), "k", f.login()))
		time.Sleep(2 * time.Second)
		f.access(m)
		assert.Equal(f, []EventKind{EventSaved}, f.told())
	})
}

func TestEventsOfRefreshesCarryNothingOfACaller(t *testing.T) {
	type key struct{}
	onEvery(t, func(f *fixture) {
		m := f.connected()
		var carried []any
		m.OnEvent = func(ctx context.Context, e Event) {
			f.record(ctx, e)
			f.mu.Lock()
			defer f.mu.Unlock()
			carried = append(carried, ctx.Value(key{}))
			_, ok := ctx.Deadline()
			assert.False(f, ok || ctx.Done() != nil)
		}
		ctx := context.WithValue(f.Context(), key{}, "the caller's")
		time.Sleep(time.Hour)
		f.unsavedAnswer()
		_, err := m.Source("k").TokenContext(ctx)
		require.NoError(f, err)
		f.raw.mended()
		f.flush()
		f.revoke()
		time.Sleep(time.Hour)
		_, err = m.Source("k").TokenContext(ctx)
		require.ErrorIs(f, err, ErrLoginRequired)
		assert.Equal(f, []any{nil, nil, nil}, carried)
	})
}

func TestRunTellsOfAListThatCannotBeReadByAnErrorOfItsOwn(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		store := &switchable{Store: f.raw.Store}
		store.off.Store(true)
		m.Store = encrypted(store)
		f.told()
		ctx, cancel := context.WithTimeout(f.Context(), time.Second)
		defer cancel()
		require.ErrorIs(f, m.Run(ctx), context.DeadlineExceeded)
		e := f.lastEvent(EventFailed)
		require.ErrorIs(f, e.Err, errDown)
		assert.EqualError(f, e.Err, "tokensource: can't list the connections: "+errDown.Error())
		assert.Equal(f, []EventKind{EventFailed}, f.told())
	})
}
