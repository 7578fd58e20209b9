package storagetest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
)

// shortly is how long calls wait that ought to wait until their context ends, or longer if
// the store takes longer to answer others.
const shortly = 10 * time.Millisecond

// ends are the ways in which a context ends after a time, by the error that it has then.
var ends = map[error]func(context.Context, time.Duration) (context.Context, context.CancelFunc){
	context.DeadlineExceeded: context.WithTimeout,
	context.Canceled: func(ctx context.Context, after time.Duration) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(after, cancel)
		return ctx, cancel
	},
}

// wantEnd fails unless each of the calls, by what they are, returns when its context ends
// after a time, with the error of that: once for each of the ends. All wait at the same time.
func wantEnd(t *testing.T, after time.Duration, calls map[string]func(context.Context) error) {
	t.Helper()
	ctx := t.Context()
	type answer struct {
		what     string
		err, end error
	}
	answers := make(chan answer, len(calls)*len(ends))
	waiting := make(map[string]int)
	for what, call := range calls {
		for end, ending := range ends {
			waiting[what]++
			go func() {
				ctx, cancel := ending(ctx, after)
				defer cancel()
				answers <- answer{what, call(ctx), end}
			}()
		}
	}
	for late := time.After(after + patience); len(waiting) > 0; {
		select {
		case a := <-answers:
			if !errors.Is(a.err, a.end) {
				t.Fatalf("%s, with a context that ends = %v; want %v", a.what, a.err, a.end)
			}
			if waiting[a.what]--; waiting[a.what] == 0 {
				delete(waiting, a.what)
			}
		case <-late:
			t.Fatalf("%q: doesn't return when its context is done", slices.Sorted(maps.Keys(waiting)))
		}
	}
}

var contextChecks = []check{
	{"a method whose context is done must return the context's error and change nothing", func(t *testing.T, s storage.Store) {
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		expired, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Hour))
		defer cancel()

		there := put(t, s, "there", "value", "")
		for _, ctx := range []context.Context{canceled, expired} {
			for _, c := range []struct {
				name string
				call func() error
			}{
				{"Get", func() error { _, _, err := s.Get(ctx, "there"); return err }},
				{"Get of an absent name", func() error { _, _, err := s.Get(ctx, "absent"); return err }},
				{"Put that creates", func() error { _, err := s.Put(ctx, "absent", []byte("new"), ""); return err }},
				{"Put that replaces", func() error { _, err := s.Put(ctx, "there", []byte("new"), there); return err }},
				{"Put of a wrong version", func() error { _, err := s.Put(ctx, "there", []byte("new"), "wrong"); return err }},
				{"Delete", func() error { return s.Delete(ctx, "there", there) }},
				{"Delete of an absent name", func() error { return s.Delete(ctx, "absent", "") }},
			} {
				if err := c.call(); !errors.Is(err, ctx.Err()) {
					t.Fatalf("%s with a context that is done = %v; want %v", c.name, err, ctx.Err())
				}
				want(t, s, "there", "value", there)
				wantAbsent(t, s, "absent")
			}
		}
	}},

	{"a lock whose context is done must return the context's error", func(t *testing.T, s storage.Store) {
		lock := locker(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 20 {
			if unlock, err := lock(s)(ctx, "name"); !errors.Is(err, context.Canceled) {
				t.Fatalf("Lock with a context that is done = %p, %v; want %v", unlock, err, context.Canceled)
			}
		}
		unlock, err := lock(s)(eventually(t), "name")
		if err != nil {
			t.Fatalf("Lock after a Lock that was refused for its context = %v", err)
		}
		unlock()
	}},
}
