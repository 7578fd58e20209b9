package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/oauth2keep/oauth2keep/storage"
)

// lister returns s as a Lister. It skips the test if s can't list.
func lister(t *testing.T, s storage.Store) storage.Lister {
	t.Helper()
	l, ok := s.(storage.Lister)
	if !ok {
		t.Skip("the store isn't a Lister")
	}
	for _, err := range l.Names(t.Context()) {
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip("the store can't list its keys: ", err)
		}
		break
	}
	return l
}

// keysOf returns what Keys yields, sorted.
func keysOf(t *testing.T, l storage.Lister) []string {
	t.Helper()
	var keys []string
	for key, err := range l.Names(t.Context()) {
		if err != nil {
			t.Fatalf("Keys: %v", err)
		}
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func wantKeys(t *testing.T, l storage.Lister, want []string) {
	t.Helper()
	got := keysOf(t, l)
	want = slices.Sorted(slices.Values(want))
	for i := 1; i < len(got); i++ {
		if got[i] == got[i-1] {
			t.Fatalf("Keys yielded %s more than once", brief(got[i]))
		}
	}
	for _, key := range want {
		if _, ok := slices.BinarySearch(got, key); !ok {
			t.Fatalf("Keys left out %s", brief(key))
		}
	}
	for _, key := range got {
		if _, ok := slices.BinarySearch(want, key); !ok {
			t.Fatalf("Keys yielded %s, which has no record", brief(key))
		}
	}
}

var listChecks = []check{
	{"keys yields every key that has a record exactly once", func(t *testing.T, s storage.Store) {
		l := lister(t, s)
		wantKeys(t, l, nil)
		var keys []string
		for _, key := range oddKeys {
			put(t, s, key, "value", "")
			keys = append(keys, key)
		}
		for i := range 150 { // more than a page of most engines
			key := fmt.Sprint("key number ", i)
			put(t, s, key, "", "")
			keys = append(keys, key)
		}
		put(t, s, "a", "replaced", versionOf(t, s, "a"))
		wantKeys(t, l, keys)
		for _, key := range keys[10:] {
			remove(t, s, key, versionOf(t, s, key))
		}
		wantKeys(t, l, keys[:10])
		for _, other := range shares(t, s, 2) {
			wantKeys(t, lister(t, other), keys[:10])
		}
	}},

	{"keys yields ten thousand keys exactly once", func(t *testing.T, s storage.Store) {
		if testing.Short() {
			t.Skip("takes a while; run without -short")
		}
		l := lister(t, s)
		const writers, batches, each = 16, 25, 25
		keys := make([]string, 0, writers*batches*each)
		for b := range batches {
			together(t, writers, func(ctx context.Context, i int) error {
				for n := range each {
					if _, err := s.Put(ctx, fmt.Sprintf("customer/%d/%d/%d", b, i, n), []byte("value"), ""); err != nil {
						return err
					}
				}
				return nil
			})
			for i := range writers * each {
				keys = append(keys, fmt.Sprintf("customer/%d/%d/%d", b, i/each, i%each))
			}
		}
		wantKeys(t, l, keys)
		wantKeys(t, lister(t, shares(t, s, 2)[1]), keys)
	}},

	{"keys has what was stored before reopening", func(t *testing.T, s storage.Store) {
		lister(t, s)
		put(t, s, "a", "value", "")
		put(t, s, "b", "value", "")
		wantKeys(t, lister(t, reopened(t, s)), []string{"a", "b"})
	}},

	{"the caller may call the store's other methods in between", func(t *testing.T, s storage.Store) {
		l := lister(t, s)
		const n = 40
		for i := range n {
			put(t, s, fmt.Sprint("key ", i), "old", "")
		}
		together(t, 1, func(ctx context.Context, _ int) error {
			seen := make(map[string]int)
			for key, err := range l.Names(ctx) {
				if err != nil {
					return fmt.Errorf("store: Keys while records are replaced: %w", err)
				}
				seen[key]++
				// Each key is replaced when it comes by, and one that may be yet to come.
				for _, key := range []string{key, fmt.Sprint("key ", (len(seen)*7)%n)} {
					_, v, err := s.Get(ctx, key)
					if err != nil {
						return fmt.Errorf("store: Get inside the walk: %w", err)
					}
					if _, err := s.Put(ctx, key, []byte("new"), v); err != nil {
						return fmt.Errorf("store: Put inside the walk: %w", err)
					}
				}
			}
			for i := range n {
				if key := fmt.Sprint("key ", i); seen[key] != 1 {
					return fmt.Errorf("a walk during which records were replaced yielded %q %d times", key, seen[key])
				}
			}
			for key, err := range l.Names(ctx) {
				if err != nil {
					return fmt.Errorf("store: Keys while records are deleted: %w", err)
				}
				_, v, err := s.Get(ctx, key)
				if err != nil {
					return fmt.Errorf("store: Get of a key that Keys yielded: %w", err)
				}
				if err := s.Delete(ctx, key, v); err != nil {
					return fmt.Errorf("store: Delete inside the walk: %w", err)
				}
			}
			return nil
		})
		wantKeys(t, l, nil)
	}},

	{"keys may be called concurrently and left early", func(t *testing.T, s storage.Store) {
		l := lister(t, s)
		for i := range 20 {
			put(t, s, fmt.Sprint("key ", i), "value", "")
		}
		together(t, workerCount, func(ctx context.Context, i int) error {
			for range 3 {
				n := 0
				for _, err := range l.Names(ctx) {
					if err != nil {
						return err
					}
					if n++; n == i {
						break
					}
				}
				if i == 0 && n != 20 {
					return fmt.Errorf("one of several walks at the same time yielded %d keys, want 20", n)
				}
			}
			return nil
		})
	}},

	{"after an error the walk ends", func(t *testing.T, s storage.Store) {
		l := lister(t, s)
		for i := range 5 {
			put(t, s, fmt.Sprint("key ", i), "value", "")
		}
		for _, before := range []int{0, 1} { // keys that are yielded before the context is canceled
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if before == 0 {
				cancel()
			}
			var got error
			n := 0
			for _, err := range l.Names(ctx) {
				if got != nil {
					t.Fatal("Keys went on after an error")
				}
				got = err
				if n++; n == before {
					cancel()
				}
			}
			// A store may have fetched all keys by the time of the second cancel.
			if !errors.Is(got, context.Canceled) && (before == 0 || got != nil) {
				t.Fatalf("Keys whose context is done after %d keys ended with %v; want %v", before, got, context.Canceled)
			}
		}
	}},
}
