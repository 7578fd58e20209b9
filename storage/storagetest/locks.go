package storagetest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
)

// lockFunc is Locker.Lock.
type lockFunc func(ctx context.Context, name string) (unlock func(), err error)

// locker returns how to lock by any handle of s. It skips the test if s can't.
func locker(t *testing.T, s storage.Store) func(storage.Store) lockFunc {
	t.Helper()
	l, ok := s.(storage.Locker)
	if !ok {
		t.Skip("the store isn't a Locker")
	}
	unlock, err := l.Lock(eventually(t), "is there a lock")
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("the store has no locks: ", err)
	}
	if err != nil {
		t.Fatalf("Lock = %v", err)
	}
	unlock()
	return func(s storage.Store) lockFunc { return s.(storage.Locker).Lock }
}

// wantHeld fails if someone gets one of the locks, or doesn't go away when a context ends. It
// waits for several times as long as the store takes to grant a lock, however far away it is.
func wantHeld(t *testing.T, lock lockFunc, names ...string) {
	t.Helper()
	calls := make(map[string]func(context.Context) error)
	for _, name := range names {
		calls[fmt.Sprintf("Lock(%s) while another holds it", brief(name))] = func(ctx context.Context) error {
			unlock, err := lock(ctx, name)
			if err == nil {
				unlock()
			}
			return err
		}
	}
	wantEnd(t, max(shortly, 4*grantTime(t, lock)), calls)
}

func wantLock(t *testing.T, lock lockFunc, name string) (unlock func()) {
	t.Helper()
	unlock, err := lock(eventually(t), name)
	if err != nil {
		t.Fatalf("Lock(%s), which nobody should hold = %v", brief(name), err)
	}
	return unlock
}

// grantTime is the longest that the store takes, of a few times, to grant and release a lock.
func grantTime(t *testing.T, lock lockFunc) (longest time.Duration) {
	t.Helper()
	for range 3 {
		start := time.Now()
		wantLock(t, lock, "how long does a lock take")()
		longest = max(longest, time.Since(start))
	}
	return longest
}

// takeTurns has workers take a lock again and again, each in one of several ways, and
// fails if two have it at once.
func takeTurns(t *testing.T, locks []lockFunc) {
	t.Helper()
	// Two that asked at the same time may get it at times that are as far apart as answers are.
	hold := max(100*time.Microsecond, grantTime(t, locks[0])/4)
	var holders atomic.Int32
	together(t, workerCount, func(ctx context.Context, i int) error {
		for range 5 {
			unlock, err := locks[i%len(locks)](ctx, "name")
			if err != nil {
				return fmt.Errorf("store: Lock = %w", err)
			}
			n := holders.Add(1)
			spin(hold)
			holders.Add(-1)
			unlock()
			if n != 1 {
				return fmt.Errorf("%d held the lock at the same time", n)
			}
		}
		return nil
	})
}

var lockChecks = []check{
	{"lock waits until no one else holds it", func(t *testing.T, s storage.Store) {
		lock := locker(t, s)
		handles := shares(t, s, handleCount)
		var locks []lockFunc
		for _, s := range handles {
			locks = append(locks, lock(s))
		}
		takeTurns(t, locks)
	}},

	{"lock waits until its context is done", func(t *testing.T, s storage.Store) {
		lock := locker(t, s)
		for _, other := range shares(t, s, 2) {
			unlock := wantLock(t, lock(s), "name")
			wantHeld(t, lock(other), "name")
			// Who gave up must have left no trace.
			unlock()
			wantLock(t, lock(s), "name")()
			wantLock(t, lock(other), "name")()
		}
	}},

	{"unlock releases the lock", func(t *testing.T, s storage.Store) {
		lock := locker(t, s)
		handles := shares(t, s, handleCount)
		for range 3 {
			for _, s := range handles {
				wantLock(t, lock(s), "name")()
			}
		}
	}},

	{"unlock is safe to call more than once", func(t *testing.T, s storage.Store) {
		lock := locker(t, s)
		for _, other := range shares(t, s, 2) {
			unlock := wantLock(t, lock(s), "name")
			unlock()
			unlock()
			unlockOther := wantLock(t, lock(other), "name")
			unlock() // must not take away what is someone else's by now
			wantHeld(t, lock(s), "name")
			unlockOther()
			unlockOther()
			wantLock(t, lock(s), "name")()
		}
	}},

	{"locks of different names must not wait for each other", func(t *testing.T, s storage.Store) {
		lock := locker(t, s)
		// So many that they would meet if they shared a fixed number of locks.
		names := append([]string(nil), oddNames...)
		for i := range 100 {
			names = append(names, fmt.Sprint("name number ", i))
		}
		for _, name := range names {
			defer wantLock(t, lock(s), name)()
		}
		wantHeld(t, lock(s), names[:3]...)
	}},

	{"a lock must not keep get, put or delete from working", func(t *testing.T, s storage.Store) {
		lock := locker(t, s)
		for _, other := range shares(t, s, 2) {
			unlock := wantLock(t, lock(s), "name")
			for _, user := range []storage.Store{s, other} {
				if err := useAll(eventually(t), user, "name", "value"); err != nil {
					t.Fatalf("under a lock, %v", err)
				}
			}
			unlock()
		}
	}},

	{"a lock needs no record and makes none", func(t *testing.T, s storage.Store) {
		lock := locker(t, s)
		unlock := wantLock(t, lock(s), "name")
		wantAbsent(t, s, "name")
		v := put(t, s, "name", "value", "")
		unlock()
		want(t, s, "name", "value", v)
		remove(t, s, "name", v)
		wantLock(t, lock(s), "name")()
		wantAbsent(t, s, "name")
	}},
}
