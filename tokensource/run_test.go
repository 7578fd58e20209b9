package tokensource

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

const day = 24 * time.Hour

// TestRunKeepsIdleConnectionsAlive has many connections that nobody uses, at a
// provider that forgets refresh tokens after 100 days, and Run in three replicas.
func TestRunKeepsIdleConnectionsAlive(t *testing.T) {
	notShort(t, "lives through four weeks")
	t.Parallel() // beside TestProcesses, which waits
	synctest.Test(t, func(t *testing.T) {
		var inFlight, most atomic.Int32
		p := &fakeProvider{rotate: true, reuse: true, latency: func() time.Duration {
			most.Store(max(most.Load(), inFlight.Add(1)))
			time.AfterFunc(300*time.Millisecond, func() { inFlight.Add(-1) })
			return 300 * time.Millisecond
		}}
		store := encrypted(new(storage.Memory))
		const connections, replicas, days = 8, 3, 28
		first := &Manager{Config: p, Store: store}
		for i := range connections {
			require.NoError(t, first.Save(t.Context(), fmt.Sprint("c", i), p.login()))
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		managers := make([]*Manager, replicas)
		for i := range managers {
			managers[i] = &Manager{Config: p, Store: store}
			wg.Go(func() { assert.ErrorIs(t, managers[i].Run(ctx), context.Canceled) })
		}
		time.Sleep(days * day)
		for i := range connections {
			st, err := first.Status(t.Context(), fmt.Sprint("c", i))
			require.NoError(t, err)
			assert.Less(t, time.Since(st.Obtained), defaultKeepAlive+3*time.Hour)
			assert.Empty(t, st.Reason)
		}
		cancel()
		wg.Wait()
		for _, m := range managers {
			require.NoError(t, m.Flush(context.Background()))
		}
		assert.Zero(t, p.reused)
		assert.LessOrEqual(t, most.Load(), int32(replicas*runWorkers))
		perWeek := float64(p.count()) / connections / (days / 7.0)
		assert.InDelta(t, 1.15, perWeek, 0.2, "refreshes for each connection and week")
	})
}

// TestRunSpreadsWhatWasMadeAtOnce looks at when connections are refreshed that were
// imported in the same second.
func TestRunSpreadsWhatWasMadeAtOnce(t *testing.T) {
	notShort(t, "looks at thousands of records")
	now := time.Now()
	var before int
	const connections = 2000
	for range connections {
		rec, err := newLogin((&fakeProvider{}).login(), testOwner, now)
		require.NoError(t, err)
		assert.False(t, idle(rec, now.Add(5*day), 7*day))
		assert.True(t, idle(rec, now.Add(7*day+time.Second), 7*day))
		if idle(rec, now.Add(7*day-7*day/8), 7*day) {
			before++
		}
	}
	assert.InDelta(t, connections/2, before, connections/10, "half are refreshed in the first half of the time")
}

func TestRunLeavesAlone(t *testing.T) {
	now := time.Now()
	old := now.Add(-30 * day)
	for name, rec := range map[string]*record{
		"no refresh token":                 {ID: "x", Obtained: old},
		"needs a login":                    {ID: "x", Obtained: old, RefreshToken: "r", Failure: &failure{Final: true}},
		"is held off":                      {ID: "x", Obtained: old, RefreshToken: "r", Failure: &failure{At: now, Next: now.Add(time.Minute)}},
		"is being refreshed":               {ID: "x", Obtained: old, RefreshToken: "r", Attempt: &attempt{Started: now.Add(-time.Minute)}},
		"is being used, and new":           {ID: "x", Obtained: now.Add(-day), RefreshToken: "r"},
		"by a clock that is a little fast": {ID: "x", Obtained: now.Add(maxSkew), RefreshToken: "r"},
	} {
		assert.False(t, idle(rec, now, 7*day), name)
	}
	assert.True(t, idle(&record{ID: "x", Obtained: old, RefreshToken: "r", Attempt: &attempt{Started: old}}, now, 7*day), "was abandoned")
	assert.True(t, idle(&record{ID: "x", Obtained: now.Add(365 * day), RefreshToken: "r"}, now, 7*day), "nobody knows how old it is")
	assert.True(t, idle(&record{ID: "x", Obtained: old, RefreshToken: "r", Failure: &failure{At: now.Add(365 * day), Next: now.Add(366 * day)}}, now, 7*day), "nobody knows until when it is held off")
}

// TestRunGoesOnAfterTrouble has a record that can't be read, a store that is down
// for a while, and a connection that is alive all the same.
func TestRunGoesOnAfterTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &fakeProvider{rotate: true}
		memory := new(storage.Memory)
		down := &switchable{Store: memory}
		var mu sync.Mutex
		var failed []string
		m := &Manager{Config: p, Store: encrypted(down), OnEvent: func(_ context.Context, e Event) {
			mu.Lock()
			defer mu.Unlock()
			if e.Kind == EventFailed {
				failed = append(failed, e.Connection)
				assert.Equal(t, ReasonStore, e.Reason)
			}
		}}
		require.NoError(t, m.Save(t.Context(), "good", p.login()))
		_, err := memory.Put(t.Context(), "bad", []byte("not a sealed record"), "")
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- m.Run(ctx) }()
		time.Sleep(day)
		down.off.Store(true)
		time.Sleep(8 * day)
		down.off.Store(false)
		time.Sleep(day)
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
		require.NoError(t, m.Flush(context.Background()))
		assert.Equal(t, 1, p.count(), "the good one was refreshed as soon as the store was back")
		mu.Lock()
		defer mu.Unlock()
		assert.Contains(t, failed, "bad")
		assert.Contains(t, failed, "", "the list itself failed")
	})
}

func TestRunNeedsAListOfKeys(t *testing.T) {
	m := &Manager{Config: &fakeProvider{}, Store: encrypted(unlocked{new(storage.Memory)})}
	require.ErrorIs(t, m.Run(t.Context()), errors.ErrUnsupported)
	require.ErrorContains(t, (&Manager{}).Run(t.Context()), "Manager.Config is not set")
}

// TestRunRefreshesWhatDoesNotExpire has an access token that outlives its refresh
// token's idle time.
func TestRunRefreshesWhatDoesNotExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &fakeProvider{rotate: true, life: -1}
		m := &Manager{Config: p, Store: encrypted(new(storage.Memory)), KeepAlive: 3 * day}
		require.NoError(t, m.Save(t.Context(), "k", p.login()))
		ctx, cancel := context.WithTimeout(t.Context(), 10*day)
		defer cancel()
		require.ErrorIs(t, m.Run(ctx), context.DeadlineExceeded)
		require.NoError(t, m.Flush(context.Background()))
		assert.InDelta(t, 3.5, p.count(), 1)
	})
}

// switchable is a store that can be switched off.
type switchable struct {
	storage.Store
	off atomic.Bool
}

func (s *switchable) Names(ctx context.Context) iter.Seq2[string, error] {
	if s.off.Load() {
		return func(yield func(string, error) bool) { yield("", errDown) }
	}
	return s.Store.(storage.Lister).Names(ctx)
}

func (s *switchable) Get(ctx context.Context, key string) ([]byte, storage.Version, error) {
	if s.off.Load() {
		return nil, "", errDown
	}
	return s.Store.Get(ctx, key)
}
