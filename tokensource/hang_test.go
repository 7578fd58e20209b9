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
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
)

// own returns a Manager of another process, and its own way to the store.
func (f *fixture) own() (*Manager, *faultyStore) {
	own := &faultyStore{Store: f.raw.Store}
	m := f.process()
	if f.locked {
		m.Store = encrypted(faultyLocker{own})
	} else {
		m.Store = encrypted(own)
	}
	return m, own
}

// hangOnce makes the next operation of this kind hang for so long, or, if d is 0, until its
// context is done.
func (f *faultyStore) hangOnce(op string, d time.Duration) {
	var hung atomic.Bool
	f.set(func(o string) error {
		switch {
		case o != op || !hung.CompareAndSwap(false, true):
			return nil
		case d == 0:
			return errHang
		}
		time.Sleep(d)
		return nil
	}, nil)
}

// A lease is over after 7.5 s, and a call of the store ends after 10 s.
func TestSaveThatHangsLosesNothing(t *testing.T) {
	for _, hang := range []time.Duration{2 * time.Second, 5 * time.Second, 7 * time.Second, 8 * time.Second, 9 * time.Second, 0} {
		t.Run(fmt.Sprint(hang), func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				f.latency = after(300 * time.Millisecond)
				other := f.connected()
				m, own := f.own()
				time.Sleep(time.Hour)
				f.during(func() { own.hangOnce("put", hang) })
				ours := later(m.Source("k").Token)
				time.Sleep(100 * time.Millisecond)
				others := later(other.Source("k").Token)
				for _, c := range []<-chan result{ours, others} {
					r := <-c
					require.NoError(f, r.err)
					assert.Equal(f, "access-2", r.AccessToken)
					assert.Less(f, r.took, storeLimit+time.Second, "it is tried again beside the call that hangs")
				}
				assert.Equal(f, 1, f.count())
				time.Sleep(2 * time.Hour)
				assert.Equal(f, "access-3", f.access(m), "nothing was revoked")
				assert.Equal(f, "access-3", f.access(other))
				assert.Zero(f, f.reused)
			})
		})
	}
}

// clogged is a store that hangs in writes of one name.
type clogged struct {
	*faultyStore
	name string
	on   atomic.Bool
}

func (c *clogged) Put(ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	if name == c.name && c.on.Load() {
		<-ctx.Done()
		return "", ctx.Err()
	}
	return c.faultyStore.Put(ctx, name, value, old)
}

func TestSaveBesideOneThatHangsMayFail(t *testing.T) {
	onSwap(t, func(f *fixture) {
		f.latency = after(300 * time.Millisecond)
		f.connected()
		m, own := f.own()
		time.Sleep(time.Hour)
		var puts atomic.Int32
		f.during(func() {
			own.set(func(op string) error {
				if op == "put" && puts.Add(1) > 1 {
					return errStoreDown
				}
				if op == "put" {
					time.Sleep(5 * time.Second)
				}
				return nil
			}, nil)
		})
		r := <-later(m.Source("k").Token)
		require.NoError(f, r.err)
		assert.Equal(f, "access-2", r.AccessToken)
		assert.Greater(f, puts.Load(), int32(1))
		assert.Zero(f, f.seen(EventUnsaved), "the first one succeeded")
		own.mended()
	})
}

func TestNameWhoseWritesHangKeepsNoOtherFromBeingSaved(t *testing.T) {
	times := 8 // tokens are saved in random order
	if testing.Short() {
		times = 1
	}
	for range times {
		synctest.Test(t, testNameWhoseWritesHang)
	}
}

func testNameWhoseWritesHang(t *testing.T) {
	const n = 2 * saveAtATime
	p := &fakeProvider{rotate: true, reuse: true, grace: -1, latency: after(200 * time.Millisecond)}
	raw := &faultyStore{Store: unlocked{new(storage.Memory)}}
	clogged := &clogged{faultyStore: raw, name: "0"}
	m := &Manager{Config: p, Store: encrypted(clogged)}
	other := &Manager{Config: p, Store: encrypted(raw)}
	var sources, others []*Source
	for i := range n {
		name := fmt.Sprint(i)
		require.NoError(t, m.Save(t.Context(), name, p.login()))
		sources, others = append(sources, m.Source(name)), append(others, other.Source(name))
	}
	time.Sleep(time.Hour)
	for _, s := range sources {
		go s.Token()
	}
	time.Sleep(100 * time.Millisecond)
	raw.down() // while the answers are awaited
	time.Sleep(2 * time.Second)
	synctest.Wait()
	require.Len(t, m.unsaved, n)
	clogged.on.Store(true)
	raw.mended()
	var wg sync.WaitGroup
	for i, s := range others {
		wg.Go(func() {
			token, err := s.Token()
			if i == 0 {
				return // its lease is over before it can be saved
			}
			ours, oursErr := sources[i].Token()
			if assert.NoError(t, err) && assert.NoError(t, oursErr) {
				assert.Equal(t, ours.AccessToken, token.AccessToken, "saved by the process that refreshed it")
			}
		})
	}
	wg.Wait()
	synctest.Wait()
	assert.LessOrEqual(t, p.count(), n+1)
	assert.LessOrEqual(t, p.reused, 1)
	clogged.on.Store(false)
	require.NoError(t, m.Flush(t.Context()))
	require.NoError(t, other.Flush(t.Context()))
}

// A name whose writes hang for long takes one of the places where tokens are saved, and not
// one more in each round.
func TestNameWhoseWritesHangTakesOnePlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &fakeProvider{rotate: true, reuse: true, grace: -1, latency: after(200 * time.Millisecond)}
		raw := &faultyStore{Store: unlocked{new(storage.Memory)}}
		clogged := &clogged{faultyStore: raw, name: "hangs"}
		m := &Manager{Config: p, Store: encrypted(clogged)}
		for _, name := range []string{"hangs", "other"} {
			require.NoError(t, m.Save(t.Context(), name, p.login()))
		}
		time.Sleep(time.Hour)
		unsaved := func(name string) {
			go m.Source(name).Token()
			time.Sleep(100 * time.Millisecond)
			raw.down() // while the answer is awaited
			time.Sleep(2 * time.Second)
			raw.mended()
		}
		unsaved("hangs")
		clogged.on.Store(true)
		time.Sleep(2 * saveAtATime * saveRound)
		unsaved("other")
		time.Sleep(leaseTime)
		served, err := m.Source("other").Token()
		require.NoError(t, err)
		stored, err := m.Source("other").Stored(t.Context())
		require.NoError(t, err)
		assert.Equal(t, served.AccessToken, stored.AccessToken, "saved before its lease is over")
		clogged.on.Store(false)
		require.NoError(t, m.Flush(t.Context()))
		assert.Zero(t, p.reused)
	})
}

// TestOnEventThatHangsKeepsNoTokenFromBeingSaved: it may write to a disk that is full.
func TestOnEventThatHangsKeepsNoTokenFromBeingSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 2 * saveAtATime
		p := &fakeProvider{rotate: true, reuse: true, grace: -1, latency: after(200 * time.Millisecond)}
		raw := &faultyStore{Store: unlocked{new(storage.Memory)}}
		goOn := make(chan struct{})
		m := &Manager{Config: p, Store: encrypted(raw), OnEvent: func(_ context.Context, e Event) {
			if e.Kind == EventRefreshed {
				<-goOn
			}
		}}
		var sources []*Source
		for i := range n {
			require.NoError(t, m.Save(t.Context(), fmt.Sprint(i), p.login()))
			sources = append(sources, m.Source(fmt.Sprint(i)))
		}
		time.Sleep(time.Hour)
		for _, s := range sources {
			go s.Token()
		}
		time.Sleep(100 * time.Millisecond)
		raw.down() // while the answers are awaited
		time.Sleep(2 * time.Second)
		raw.mended()
		time.Sleep(leaseTime)
		for _, s := range sources {
			served, err := s.Token()
			require.NoError(t, err)
			stored, err := s.Stored(t.Context())
			require.NoError(t, err)
			assert.Equal(t, served.AccessToken, stored.AccessToken)
		}
		close(goOn)
		require.NoError(t, m.Flush(t.Context()))
		assert.Zero(t, p.reused)
	})
}

// A renewal that begins with a conflict has to read and to write again, which is three calls
// of a store that answers three in more than storeLimit.
func TestRenewalRecoversFromAWriteThatSeemedToFailOnASlowStore(t *testing.T) {
	onSwap(t, func(f *fixture) {
		f.latency = after(25 * time.Second)
		other := f.connected()
		m, own := f.own()
		m.Store = encrypted(narrow{own, make(semaphore, 4), 1200 * time.Millisecond})
		own.set(nil, func(op string) error {
			if op == "put" && own.count("put") == 3 { // the second renewal is written, and says that it isn't
				return errStoreDown
			}
			return nil
		})
		time.Sleep(time.Hour)
		ours := later(m.Source("k").Token)
		time.Sleep(3 * time.Second)
		others := later(other.Source("k").Token)
		for _, c := range []<-chan result{ours, others} {
			r := <-c
			require.NoError(f, r.err)
			assert.Equal(f, "access-2", r.AccessToken)
		}
		assert.Zero(f, f.seen(EventTakenOver))
		assert.Equal(f, 1, f.count())
		assert.Zero(f, f.reused)
	})
}

// Also if so many tokens are to be looked at that they wait for one another.
func TestHangingStoreHoldsAValidTokenUpForOneCallAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := new(fakeProvider)
		raw := &faultyStore{Store: unlocked{new(storage.Memory)}}
		m := &Manager{Config: p, Store: encrypted(raw)}
		var sources []*Source
		for i := range 4 * maxLooks {
			require.NoError(t, m.Save(t.Context(), fmt.Sprint(i), p.login()))
			sources = append(sources, m.Source(fmt.Sprint(i)))
		}
		time.Sleep(veryStale*defaultStale + time.Minute)
		raw.set(func(string) error { return errHang }, nil)
		for range 3 {
			var wg sync.WaitGroup
			for _, s := range sources {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), storeLimit+time.Second)
					defer cancel()
					r := <-later(func() (*oauth2.Token, error) { return s.TokenContext(ctx) })
					assert.NoError(t, r.err)
					assert.LessOrEqual(t, r.took, storeLimit)
				})
			}
			wg.Wait()
			time.Sleep(storeLimit)
		}
		raw.mended()
		require.NoError(t, m.Flush(t.Context()))
	})
}

// Another process, which isn't as busy, can refresh the token meanwhile.
func TestStoresLockIsNotHeldWhileWaitingForAPlaceAmongTheClaims(t *testing.T) {
	notShort(t, "has a crowd of connections")
	synctest.Test(t, func(t *testing.T) {
		p := new(fakeProvider)
		hanging := configFunc(func(ctx context.Context, refresh string) (*oauth2.Token, error) {
			if refresh == "hangs" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return p.refresh(ctx, refresh)
		})
		memory := encrypted(new(storage.Memory))
		busy, idle := &Manager{Config: hanging, Store: memory}, &Manager{Config: hanging, Store: memory}
		require.NoError(t, busy.Save(t.Context(), "k", &oauth2.Token{RefreshToken: p.login().RefreshToken}))
		for i := range maxClaims {
			name := fmt.Sprint(i)
			require.NoError(t, busy.Save(t.Context(), name, &oauth2.Token{RefreshToken: "hangs"}))
			go busy.Source(name).Token()
		}
		synctest.Wait()
		require.Len(t, busy.set.claims, maxClaims)
		waits := later(busy.Source("k").Token)
		synctest.Wait()
		r := <-later(idle.Source("k").Token)
		require.NoError(t, r.err)
		assert.Zero(t, r.took)
		w := <-waits
		require.NoError(t, w.err)
		assert.Equal(t, r.AccessToken, w.AccessToken, "adopted")
		assert.Equal(t, 1, p.count())
		require.NoError(t, busy.Flush(t.Context()))
		require.NoError(t, idle.Flush(t.Context()))
	})
}

// The lock is kept by a process that is stopped and lives. It may go on, and send.
func TestNobodyRefreshesWhileAProcessThatIsStoppedHasTheLock(t *testing.T) {
	onLock(t, func(f *fixture) {
		f.connected()
		time.Sleep(time.Hour)
		f.put(f.stored().claimed("stopped", true, time.Now()))
		unlock, err := encrypted(f.raw.Store).Lock(f.Context(), "k")
		require.NoError(f, err)
		m := f.process()
		for range 3 {
			_, err := m.Source("k").Token()
			assert.ErrorIs(f, err, context.DeadlineExceeded)
			time.Sleep(time.Hour)
		}
		assert.Zero(f, f.count())
		unlock()
		assert.Equal(f, "access-2", f.access(m))
		assert.Equal(f, 1, f.count())
	})
}

// A renewal that the store doesn't let end goes on beside what follows it. What both use is a matter
// of the race detector.
func TestRevocationThatFailsWhileARenewalHangsLeavesNoAttempt(t *testing.T) {
	onEvery(t, func(f *fixture) {
		failure := errors.New("the provider is in trouble")
		m, _ := f.revocable(func(context.Context) error { time.Sleep(renewal + time.Millisecond); return failure })
		var puts atomic.Int32
		f.raw.set(func(op string) error {
			if op != "put" || puts.Add(1) != 2 {
				return nil
			}
			time.Sleep(storeLimit)
			return errStoreDown
		}, nil)
		assert.ErrorContains(f, m.Disconnect(f.Context(), "k"), "can't revoke")
		time.Sleep(storeLimit)
		assert.EqualValues(f, 3, puts.Load())
		assert.Nil(f, f.stored().Attempt)
	})
}
