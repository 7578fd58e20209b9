package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/redisstore"
)

// TestFailoverKeepsWhatAllReplicasConfirmed kills the master in the middle of writes,
// all of whose replicas must confirm. The records of each writer go up to the last
// that was acknowledged, or to a later one that wasn't: no further back, and nowhere
// else.
func TestFailoverKeepsWhatAllReplicasConfirmed(t *testing.T) {
	inSoaks(t)
	t.Parallel()
	w := watch(t)
	s := w.store(t, 2)
	writers := make([]*writer, 4)
	lies := make([]error, len(writers))
	done, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	for i := range writers {
		writers[i] = &writer{name: fmt.Sprint("name ", i)}
		wg.Go(func() {
			for done.Err() == nil && lies[i] == nil {
				lies[i] = writers[i].step(s)
			}
		})
	}
	defer wg.Wait()
	defer stop()
	each := func(what string, count func(*writer) *atomic.Int64, n int64) {
		t.Helper()
		before := make([]int64, len(writers))
		for i, w := range writers {
			before[i] = count(w).Load()
		}
		eventually(t, what, func() bool {
			for i, w := range writers {
				if count(w).Load() < before[i]+n && !w.lied.Load() {
					return false
				}
			}
			return true
		})
	}
	acknowledged := func(w *writer) *atomic.Int64 { return &w.acknowledged }
	each("writes are acknowledged", acknowledged, 20)
	promoted := w.failover(t, w.servers[0].Kill)
	// One replica is left, and two don't confirm: but the new master writes.
	each("writes go on", func(w *writer) *atomic.Int64 { return &w.unconfirmed }, 1)
	require.NoError(t, w.servers[0].Run())
	each("writes are acknowledged again", acknowledged, 10)
	stop()
	wg.Wait()
	require.NoError(t, errors.Join(lies...))

	follows(t, w.servers[0])
	inStep(t, promoted, 2)
	existing := make(map[string]bool)
	for _, l := range writers {
		for _, server := range w.servers { // what each would say if it were the master
			known, lie := l.read(at(t, server))
			require.NoError(t, lie)
			require.True(t, known)
		}
		if l.now != "" {
			existing[l.name] = true
		}
		t.Logf("%s: %d writes acknowledged, %d unconfirmed, %d unknown, %d conflicts", l.name,
			l.acknowledged.Load(), l.unconfirmed.Load(), l.unknown.Load(), l.conflicts.Load())
	}
	for name, err := range s.Names(ctx) {
		require.NoError(t, err)
		require.True(t, existing[name])
		delete(existing, name)
	}
	require.Empty(t, existing)
}

// writer is the only one of a record, and knows what may be in it.
type writer struct {
	name  string
	n     int
	value string          // the last that was acknowledged, "" for a deletion
	v     storage.Version // of that
	maybe []string        // written since, neither acknowledged nor refused
	now   storage.Version // the last that was seen

	acknowledged, unconfirmed, unknown, conflicts atomic.Int64
	lied                                          atomic.Bool
}

// step writes once, and reads what became of it. The error is a lie of the store's.
func (w *writer) step(s storage.Store) (lie error) {
	defer func() { w.lied.Store(lie != nil) }()
	limited, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	w.n++
	var value string
	var v storage.Version
	var err error
	if w.n%5 == 0 && w.now != "" {
		err = s.Delete(limited, w.name, w.now)
	} else {
		value = fmt.Sprint("value ", w.n)
		v, err = s.Put(limited, w.name, []byte(value), w.now)
	}
	switch {
	case err == nil:
		w.acknowledged.Add(1)
		w.value, w.v, w.now, w.maybe = value, v, v, nil
	case !errors.Is(err, storage.ErrConflict):
		w.maybe = append(w.maybe, value)
		if errors.Is(err, redisstore.ErrUnconfirmed) {
			w.unconfirmed.Add(1)
		} else {
			w.unknown.Add(1)
		}
	case w.now == w.v && len(w.maybe) == 0:
		return fmt.Errorf("%s: a conflict with nobody", w.name)
	default:
		w.conflicts.Add(1)
	}
	if err != nil || w.n%3 == 0 {
		_, lie = w.read(s)
	}
	return lie
}

// read holds what is stored against what may be.
func (w *writer) read(s storage.Store) (known bool, lie error) {
	limited, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	value, v, err := s.Get(limited, w.name)
	switch {
	case err != nil && !errors.Is(err, storage.ErrNotFound):
		return false, nil
	case v == w.v && string(value) != w.value:
		return true, fmt.Errorf("%s: %q has the version of %q", w.name, value, w.value)
	case v != w.v && !slices.Contains(w.maybe, string(value)):
		return true, fmt.Errorf("%s: there is %q; %q was acknowledged, and after it there may be %q", w.name, value, w.value, w.maybe)
	}
	w.now = v
	return true, nil
}

// TestFailoverLosesWhatItMay has a master die when replicas are behind, and checks
// what the documentation says of each case: what WaitReplicas is, what a write then
// returns, and what becomes of it. The second replica is the one that is promoted.
func TestFailoverLosesWhatItMay(t *testing.T) {
	inSoaks(t)
	t.Parallel()
	for _, c := range []struct {
		name         string
		waitReplicas int
		behind       []int
		unconfirmed  bool
		lost         bool
	}{
		{name: "without WaitReplicas what was acknowledged may be lost", behind: []int{1, 2}, lost: true},
		{name: "what another replica confirmed may be lost", waitReplicas: 1, behind: []int{2}, lost: true},
		{name: "what was not confirmed may be lost", waitReplicas: 2, behind: []int{1, 2}, unconfirmed: true, lost: true},
		{name: "what was not confirmed may be there", waitReplicas: 2, behind: []int{1}, unconfirmed: true},
		{name: "what all confirmed is there", waitReplicas: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := watch(t)
			s := w.store(t, c.waitReplicas)
			s.WaitTimeout = 20 * time.Second
			var versions []storage.Version // before
			names := []string{"replaced", "deleted", "created"}
			for _, name := range names[:2] {
				versions = append(versions, mustPut(t, s, name, "before", ""))
			}
			versions = append(versions, "")
			inStep(t, w.servers[0], 2)

			var restore []func()
			for _, i := range c.behind {
				restore = append(restore, cutOff(t, w.servers[i]))
			}
			if c.unconfirmed {
				s.WaitTimeout = 200 * time.Millisecond
			}
			requireOutcome := func(err error) {
				t.Helper()
				if c.unconfirmed {
					require.ErrorIs(t, err, redisstore.ErrUnconfirmed)
				} else {
					require.NoError(t, err)
				}
			}
			_, err := s.Put(ctx, "replaced", []byte("after"), versions[0])
			requireOutcome(err)
			requireOutcome(s.Delete(ctx, "deleted", versions[1]))
			_, err = s.Put(ctx, "created", []byte("after"), "")
			requireOutcome(err)
			after := make([]storage.Version, len(names)) // which Put doesn't tell if it is unconfirmed
			for i, name := range names {
				_, after[i], _ = s.Get(ctx, name)
			}

			promoted := w.failover(t, func() {
				w.servers[0].Kill()
				for _, f := range restore { // too late
					f()
				}
			})
			require.Equal(t, w.servers[2], promoted)
			there, values := after, []string{"after", "", "after"}
			if c.lost {
				there, values = versions, []string{"before", "before", ""}
			}
			requireState := func() {
				t.Helper()
				for i, name := range names {
					var value []byte
					var v storage.Version
					eventually(t, "the store goes on by itself", func() bool {
						var err error
						value, v, err = s.Get(ctx, name)
						return err == nil || errors.Is(err, storage.ErrNotFound)
					})
					require.Equal(t, values[i], string(value), name)
					require.Equal(t, there[i], v, name)
				}
			}
			requireState()
			s.WaitReplicas = 0 // and one replica is left
			if c.lost {        // and nobody overwrites without knowing
				for i, name := range names {
					_, err := s.Put(ctx, name, []byte("next"), after[i])
					require.ErrorIs(t, err, storage.ErrConflict, name)
					require.ErrorIs(t, s.Delete(ctx, name, after[i]), storage.ErrConflict, name)
				}
				requireState()
			}
			for i, name := range names {
				v := mustPut(t, s, name, "next", there[i])
				require.Equal(t, v, requireValue(t, at(t, promoted), name, "next"))
			}
		})
	}
}

// TestFailoverLeavesAnOldMasterBehind has a master that was replaced go on, and then
// learn of it: started again on its old data, or stopped for a while, as if it had
// been cut off.
func TestFailoverLeavesAnOldMasterBehind(t *testing.T) {
	inSoaks(t)
	t.Parallel()
	for _, stopped := range []bool{false, true} {
		name := "started again"
		if stopped {
			name = "stopped for a while"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := watch(t, "--min-replicas-to-write", "1",
				"--replica-priority", "10") // it will be the master again
			old := w.servers[0]
			s := w.store(t, 1)
			s.WaitTimeout = 20 * time.Second
			first := mustPut(t, s, "replaced", "first", "")
			deleted := mustPut(t, s, "deleted", "first", "")
			require.NoError(t, s.Check(ctx))
			require.ErrorContains(t, w.store(t, 3).Check(ctx), "redisstore: the master that Sentinel names has 2 replicas, and WaitReplicas is 3")

			inStep(t, old, 2)
			goOn := func() { require.NoError(t, old.Run()) }
			hit := old.Kill
			if stopped {
				hit = func() { old.Pause(t) }
				goOn = old.GoOn
				defer goOn()
			}
			promoted := w.failover(t, hit)
			require.Equal(t, w.servers[2], promoted)
			var second storage.Version
			eventually(t, "the store goes on by itself", func() bool {
				_, v, err := s.Get(ctx, "replaced")
				if err != nil || v != first {
					return false
				}
				second, err = s.Put(ctx, "replaced", []byte("second"), first)
				return err == nil
			})
			require.NoError(t, s.Delete(ctx, "deleted", deleted))

			// Nobody tells the old master.
			w.sentinel.Kill()
			goOn()
			eventually(t, "the old master notices that its replicas are gone", func() bool {
				return field(t, old, "role") == "master" && field(t, old, "connected_slaves") == "0"
			})
			stray := at(t, old)
			require.Equal(t, first, requireValue(t, stray, "replaced", "first")) // old, and it can't know
			for old, write := range map[storage.Version]func(old storage.Version) error{
				first:   func(v storage.Version) error { _, err := stray.Put(ctx, "replaced", []byte("stray"), v); return err },
				"":      func(v storage.Version) error { _, err := stray.Put(ctx, "created", []byte("stray"), v); return err },
				deleted: func(v storage.Version) error { return stray.Delete(ctx, "deleted", v) },
			} {
				err := write(old)
				require.ErrorContains(t, err, "NOREPLICAS")
				require.ErrorContains(t, err, "bring them back")
				require.NotErrorIs(t, err, storage.ErrConflict)
				require.NotErrorIs(t, err, redisstore.ErrUnconfirmed)
			}
			require.Equal(t, first, requireValue(t, stray, "replaced", "first"))
			require.Equal(t, deleted, requireValue(t, stray, "deleted", "first"))
			_, _, err := stray.Get(ctx, "created")
			require.ErrorIs(t, err, storage.ErrNotFound)
			// Without the setting it does what it is told, and WaitReplicas says that
			// nobody else does.
			require.NoError(t, stray.Client.ConfigSet(ctx, "min-replicas-to-write", "0").Err())
			waiting := &redisstore.Store{Client: stray.Client, WaitReplicas: 1, WaitTimeout: 50 * time.Millisecond}
			_, err = waiting.Put(ctx, "created", []byte("stray"), "")
			require.ErrorIs(t, err, redisstore.ErrUnconfirmed)
			mustPut(t, stray, "replaced", "stray", first)

			// Now it is told.
			require.NoError(t, w.sentinel.Run())
			w.hasten(t)
			follows(t, old)
			_, err = stray.Put(ctx, "replaced", []byte("stray"), second)
			require.ErrorContains(t, err, "let Client lead to the master")
			requireNow := func(s storage.Store) {
				t.Helper()
				require.Equal(t, second, requireValue(t, s, "replaced", "second"))
				for _, name := range []string{"deleted", "created"} {
					_, _, err := s.Get(ctx, name)
					require.ErrorIs(t, err, storage.ErrNotFound, name)
				}
			}
			inStep(t, promoted, 2)
			for _, server := range w.servers {
				requireNow(at(t, server))
			}
			require.Equal(t, old, w.failover(t, promoted.Kill)) // and it is the master again
			eventually(t, "the store goes on by itself", func() bool {
				_, _, err := s.Get(ctx, "replaced")
				return err == nil
			})
			requireNow(s)
		})
	}
}
