package tokensource

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

// narrow is a store with a few connections, and a way to it.
type narrow struct {
	storage.Store
	connections semaphore
	way         time.Duration // there and back
}

func (n narrow) pass(ctx context.Context) error {
	if err := n.connections.lock(ctx); err != nil {
		return err
	}
	defer n.connections.unlock()
	select {
	case <-time.After(n.way):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (n narrow) Get(ctx context.Context, name string) ([]byte, storage.Version, error) {
	if err := n.pass(ctx); err != nil {
		return nil, "", err
	}
	return n.Store.Get(ctx, name)
}

func (n narrow) Put(ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	if err := n.pass(ctx); err != nil {
		return "", err
	}
	return n.Store.Put(ctx, name, value, old)
}

// Claims mustn't crowd out saves and renewals.
func TestAThousandConnectionsThatFallDueAtOnceAreRefreshedOnce(t *testing.T) {
	t.Parallel() // beside TestProcesses, which waits
	for _, test := range []struct {
		connections int
		way         time.Duration
	}{{4, 20 * time.Millisecond}, {1, 5 * time.Millisecond}} {
		t.Run(fmt.Sprintf("%d connections, %v", test.connections, test.way), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 1000
				if testing.Short() {
					n = 12
				}
				p := &fakeProvider{rotate: true, reuse: true, grace: -1, latency: after(300 * time.Millisecond)}
				memory := new(storage.Memory)
				connections := make(semaphore, test.connections)
				var managers []*Manager
				for range 2 {
					managers = append(managers, &Manager{Config: p, Store: unlocked{narrow{memory, connections, test.way}}.store()})
				}
				saver := &Manager{Config: p, Store: unlocked{memory}.store()}
				var sources []*Source
				for i := range n {
					name := fmt.Sprint(i)
					require.NoError(t, saver.Save(t.Context(), name, p.login()))
					sources = append(sources, managers[0].Source(name), managers[1].Source(name))
				}
				time.Sleep(time.Hour)
				var wg sync.WaitGroup
				var mu sync.Mutex
				failed := make(map[string]int)
				for _, s := range sources {
					wg.Go(func() {
						for {
							_, err := s.Token()
							if err == nil {
								return
							}
							mu.Lock()
							failed[err.Error()[len(err.Error())-40:]]++
							mu.Unlock()
							if errors.Is(err, ErrLoginRequired) {
								return
							}
							time.Sleep(time.Second)
						}
					})
				}
				wg.Wait()
				assert.Zero(t, p.reused)
				assert.Equal(t, n, p.count())
				assert.Empty(t, failed, "no call fails, however long it waits for its turn")
				for _, m := range managers {
					require.NoError(t, m.Flush(t.Context()))
				}
			})
		})
	}
}

// A write that returned an error isn't durable, even if it can be read: the old token
// may be back after a power cut.
func TestOnlyAWriteThatReturnedNilCountsAsSaved(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		time.Sleep(time.Hour)
		var writes atomic.Int32
		f.raw.set(nil, func(op string) error { // it is done, and says that it isn't
			if rec := f.stored(); op == "put" && rec.Generation == 2 {
				writes.Add(1)
				return errStoreDown
			}
			return nil
		})
		assert.Equal(f, "access-2", f.access(m))
		assert.Equal(f, "access-2", f.stored().AccessToken)
		assert.Equal(f, StateUnsaved, f.status(m).State)
		assert.Zero(f, f.seen(EventRefreshed))
		assert.Equal(f, 1, f.seen(EventUnsaved))
		ctx, cancel := context.WithTimeout(f.Context(), 20*time.Second)
		defer cancel()
		assert.Error(f, m.Flush(ctx))
		assert.Greater(f, int(writes.Load()), 10, "it is written again and again")
		f.raw.mended()
		require.NoError(f, m.Flush(f.Context()))
		assert.Equal(f, 1, f.seen(EventRefreshed))
		assert.Equal(f, StateHealthy, f.status(m).State)
		assert.Equal(f, 1, f.count())
	})
}

// An application's own attempt or a sibling's stays when the token is written once more.
func TestWritingATokenOnceMoreKeepsWhatOthersWroteAboutIt(t *testing.T) {
	first := &record{LoginID: "l", Generation: 1, ID: "1"}
	next := &record{LoginID: "l", Generation: 2, ID: "2"}
	claimed := next.claimed("other", false, time.Now())
	assert.Same(t, claimed, claimed.advanced(next, "ours"))
	assert.Same(t, next, first.advanced(next, "ours"))
}

// Such as a trigger that swallows writes, or reads from a replica.
func TestStoreThatRefusesTheVersionItReturnsIsAskedWithPausesAndGivenUp(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		time.Sleep(time.Hour)
		f.raw.set(func(op string) error {
			if op == "put" {
				return storage.ErrConflict
			}
			return nil
		}, nil)
		gets, puts := f.raw.count("get"), f.raw.count("put")
		r := <-later(m.Source("k").Token)
		require.Error(f, r.err)
		assert.NotErrorIs(f, r.err, ErrLoginRequired)
		assert.Less(f, f.raw.count("put")-puts, 10*int(r.took/time.Second)+10, "in %v", r.took)
		assert.Less(f, f.raw.count("get")-gets, 10*int(r.took/time.Second)+10)

		puts = f.raw.count("put")
		before := time.Now()
		require.ErrorContains(f, m.Save(f.Context(), "k", f.login()), "refused")
		assert.LessOrEqual(f, f.raw.count("put")-puts, maxConflicts+1)
		assert.Less(f, time.Since(before), 30*time.Second)
		f.raw.mended()
	})
}

// Reads that lag behind writes, as those of a replica.
func TestStoreWhoseReadsLagIsNotAskedInATightLoop(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		time.Sleep(time.Hour)
		data, version, err := f.raw.Store.Get(f.Context(), "k")
		require.NoError(f, err)
		f.put(f.sibling())
		lagging := &laggingStore{faultyStore: f.raw, data: data, version: version, until: time.Now().Add(2 * time.Second)}
		m.Store = encrypted(lagging)
		other := f.process()
		other.Store = m.Store
		r := <-later(other.Source("k").Token)
		require.NoError(f, r.err)
		assert.Equal(f, "access-2", r.AccessToken, "adopted, when it can be seen")
		assert.Less(f, lagging.gets, 40, "in %v", r.took)
		assert.Zero(f, f.count())
	})
}

type laggingStore struct {
	*faultyStore
	data    []byte
	version storage.Version
	until   time.Time
	gets    int
}

func (l *laggingStore) Get(ctx context.Context, name string) ([]byte, storage.Version, error) {
	l.gets++
	if time.Now().Before(l.until) {
		return l.data, l.version, nil
	}
	return l.faultyStore.Get(ctx, name)
}

func TestStoreThatIsTooSlowForARefreshIsNamed(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		f.raw.set(func(op string) error {
			if op == "put" {
				time.Sleep(claimLimit + 200*time.Millisecond)
			}
			return nil
		}, nil)
		time.Sleep(58 * time.Minute)
		assert.Equal(f, "access-1", f.access(m), "served on while it is valid")
		require.NoError(f, m.Flush(f.Context()))
		assert.Equal(f, ReasonStore, f.lastEvent(EventFailed).Reason)
		assert.ErrorContains(f, f.lastEvent(EventFailed).Err, "takes more than 3s to write")
		assert.Equal(f, ReasonStore, f.status(m).Reason)
		time.Sleep(time.Hour)
		_, err := m.Source("k").Token()
		require.ErrorContains(f, err, "takes more than 3s to write")
		assert.Zero(f, f.count())
		f.raw.mended()
		time.Sleep(maxBackoff)
		assert.Equal(f, "access-2", f.access(m))
		assert.Positive(f, f.seen(EventRecovered))
	})
}

// The inequality that lease.go is built on.
func TestLeaseOutlastsAClaimARenewalAndACallOfTheStore(t *testing.T) {
	assert.Less(t, claimLimit+renewal+storeLimit, leaseTime)
	assert.Greater(t, maxGap, storeLimit+pollMax, "a look that takes as long as it may is no gap")
	assert.Less(t, renewal+maxGap+time.Second, leaseTime, "what an observer doesn't notice is shorter than a lease")
}

func TestObservationCountsOnlyWhatWasSeen(t *testing.T) {
	start := time.Now()
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	look := func(began, ended float64) span { return span{at(began), at(ended)} }
	for name, test := range map[string]struct {
		looks []span
		over  bool
	}{
		"one look":                        {[]span{look(0, 20)}, false},
		"a lease apart":                   {[]span{look(0, 0.1), look(2, 2.1), look(4, 4.1), look(6, 6.1), look(7.7, 7.8)}, true},
		"a little less":                   {[]span{look(0, 0.3), look(2, 2.1), look(4, 4.1), look(6, 6.1), look(7.7, 7.8)}, false},
		"began before it was over":        {[]span{look(0, 0.1), look(2, 2.1), look(4, 4.1), look(6, 6.1), look(7.5, 9)}, false},
		"a look that hung":                {[]span{look(0, 0.1), look(2, 2.1), look(2.5, 9), look(9.1, 9.2)}, false},
		"the observer slept":              {[]span{look(0, 0.1), look(2, 2.1), look(9, 9.1)}, false},
		"slow looks that aren't too slow": {[]span{look(0, 2.9), look(3.2, 6.1), look(6.4, 9.3), look(9.6, 12), look(12.2, 12.3)}, true},
	} {
		var o observation
		over := false
		for _, l := range test.looks {
			over = o.see("v", l)
		}
		assert.Equal(t, test.over, over, name)
	}
	var o observation
	o.see("v", look(0, 0.1))
	o.see("v", look(3, 3.1))
	o.see("v", look(6, 6.1))
	assert.False(t, o.see("w", look(8, 8.1)), "it was written again")
	// A machine that was asleep: its wall clock has run on, its monotonic clock hasn't.
	o = observation{}
	o.see("v", span{at(0).Round(0), at(0.1).Round(0)})
	assert.False(t, o.see("v", span{at(60).Round(0), at(60).Round(0)}))
}

// A process that was stopped within a call of the store finds its deadline over and the answer
// there, in this order. That says nothing about the store.
func TestCallOfTheStoreThatAProcessSleptThroughIsMadeAgain(t *testing.T) {
	for _, op := range []string{"get", "put"} {
		t.Run(op, func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				m := f.connected()
				time.Sleep(time.Hour)
				var once sync.Once
				f.raw.set(func(o string) error {
					if o == op {
						once.Do(func() { time.Sleep(15 * time.Second) })
					}
					return nil
				}, nil)
				assert.Equal(f, "access-2", f.access(m))
				assert.Zero(f, f.seen(EventFailed))
				assert.Equal(f, 1, f.count())
			})
		})
	}
}
