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

// shortly is how long the tests watch for a lock that ought not to be granted.
const shortly = 30 * time.Millisecond

// lockFunc is Locker.Lock.
type lockFunc func(ctx context.Context, key string) (unlock func(), err error)

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

// tryFor calls lock with a context that ends after a while, and fails if lock doesn't
// return then.
func tryFor(t *testing.T, lock lockFunc, key string, end func(context.Context) (context.Context, context.CancelFunc)) error {
	t.Helper()
	ctx, cancel := end(t.Context())
	defer cancel()
	result := make(chan error, 1)
	go func() {
		unlock, err := lock(ctx, key)
		if err == nil {
			unlock()
		}
		result <- err
	}()
	select {
	case err := <-result:
		return err
	case <-eventually(t).Done():
		t.Fatalf("Lock(%s) went on waiting when its context was done", brief(key))
		return nil
	}
}

// wantHeld fails if someone gets the lock.
func wantHeld(t *testing.T, lock lockFunc, key string) {
	t.Helper()
	err := tryFor(t, lock, key, func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, shortly)
	})
	if err == nil {
		t.Fatalf("Lock(%s) was granted to two at the same time", brief(key))
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Lock(%s) while another holds it = %v; want %v when the context ends", brief(key), err, context.DeadlineExceeded)
	}
}

func wantLock(t *testing.T, lock lockFunc, key string) (unlock func()) {
	t.Helper()
	unlock, err := lock(eventually(t), key)
	if err != nil {
		t.Fatalf("Lock(%s), which nobody should hold = %v", brief(key), err)
	}
	return unlock
}

var lockChecks = []check{
	{"lock waits until no one else holds it", func(t *testing.T, s storage.Store) {
		lock := locker(t, s)
		handles := shares(t, s, handleCount)
		var holders, turns atomic.Int32
		together(t, workerCount, func(ctx context.Context, i int) error {
			s := handles[i%len(handles)]
			for range 5 {
				unlock, err := lock(s)(ctx, "key")
				if err != nil {
					return fmt.Errorf("store: Lock = %w", err)
				}
				n := holders.Add(1)
				time.Sleep(time.Millisecond / 2)
				holders.Add(-1)
				turns.Add(1)
				unlock()
				if n != 1 {
					return fmt.Errorf("%d held the lock at the same time", n)
				}
			}
			return nil
		})
		if got := turns.Load(); got != workerCount*5 {
			t.Fatalf("the lock was had %d times, want %d", got, workerCount*5)
		}
	}},

	{"lock waits until its context is done", func(t *testing.T, s storage.Store) {
		lock := locker(t, s)
		for _, other := range shares(t, s, 2) {
			unlock := wantLock(t, lock(s), "key")
			wantHeld(t, lock(other), "key")

			err := tryFor(t, lock(other), "key", func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(ctx)
				time.AfterFunc(shortly/3, cancel) // most likely it waits by then; if not, it must return all the same
				return ctx, cancel
			})
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("Lock whose context was canceled = %v; want %v", err, context.Canceled)
			}
			// Who gave up must have left no trace.
			unlock()
			wantLock(t, lock(s), "key")()
			wantLock(t, lock(other), "key")()
		}
	}},

	{"unlock releases the lock", func(t *testing.T, s storage.Store) {
		lock := locker(t, s)
		handles := shares(t, s, handleCount)
		for range 3 {
			for _, s := range handles {
				wantLock(t, lock(s), "key")()
			}
		}
	}},

	{"unlock is safe to call more than once", func(t *testing.T, s storage.Store) {
		lock := locker(t, s)
		for _, other := range shares(t, s, 2) {
			unlock := wantLock(t, lock(s), "key")
			unlock()
			unlock()
			unlockOther := wantLock(t, lock(other), "key")
			unlock() // must not take away what is someone else's by now
			wantHeld(t, lock(s), "key")
			unlockOther()
			unlockOther()
			wantLock(t, lock(s), "key")()
		}
	}},

	{"locks of different keys must not wait for each other", func(t *testing.T, s storage.Store) {
		lock := locker(t, s)
		// So many that they would meet if they shared a fixed number of locks.
		keys := append([]string(nil), oddKeys...)
		for i := range 100 {
			keys = append(keys, fmt.Sprint("key number ", i))
		}
		for _, key := range keys {
			defer wantLock(t, lock(s), key)()
		}
		for _, key := range keys[:3] {
			wantHeld(t, lock(s), key)
		}
	}},

	{"a lock must not keep get, put or delete from working", func(t *testing.T, s storage.Store) {
		lock := locker(t, s)
		for _, other := range shares(t, s, 2) {
			unlock := wantLock(t, lock(s), "key")
			for _, user := range []storage.Store{s, other} {
				together(t, 1, func(ctx context.Context, _ int) error {
					v, err := user.Put(ctx, "key", []byte("value"), "")
					if err != nil {
						return fmt.Errorf("store: Put under a lock = %w", err)
					}
					if _, _, err := user.Get(ctx, "key"); err != nil {
						return fmt.Errorf("store: Get under a lock = %w", err)
					}
					if err := user.Delete(ctx, "key", v); err != nil {
						return fmt.Errorf("store: Delete under a lock = %w", err)
					}
					return nil
				})
			}
			unlock()
		}
	}},

	{"a lock needs no record and makes none", func(t *testing.T, s storage.Store) {
		lock := locker(t, s)
		unlock := wantLock(t, lock(s), "key")
		wantAbsent(t, s, "key")
		v := put(t, s, "key", "value", "")
		unlock()
		want(t, s, "key", "value", v)
		remove(t, s, "key", v)
		wantLock(t, lock(s), "key")()
		wantAbsent(t, s, "key")
	}},
}
