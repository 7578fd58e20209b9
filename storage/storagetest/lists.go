package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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
			t.Skip("the store can't list its names: ", err)
		}
		break
	}
	return l
}

// populate makes n records, whose names begin with a word. Three names each differ by case
// only: a page must be able to end between them.
func populate(t *testing.T, s storage.Store, word string, n int) (names []string) {
	t.Helper()
	for i := range n {
		name := fmt.Sprintf("%s/%d/%d", word, i/3%97, i/3)
		names = append(names, []string{name, strings.ToUpper(name[:1]) + name[1:], strings.ToUpper(name)}[i%3])
	}
	forEach(t, names, func(ctx context.Context, name string) error {
		_, err := s.Put(ctx, name, []byte("value"), "")
		return err
	})
	return names
}

// forEach does something with each name, several at a time.
func forEach(t *testing.T, names []string, do func(ctx context.Context, name string) error) {
	t.Helper()
	const workers = 16
	together(t, workers, func(ctx context.Context, w int) error {
		for i := w; i < len(names); i += workers {
			if err := do(ctx, names[i]); err != nil {
				return fmt.Errorf("%s: %w", brief(names[i]), err)
			}
		}
		return nil
	})
}

// namesOf returns what Names yields, sorted.
func namesOf(t *testing.T, l storage.Lister) []string {
	t.Helper()
	var names []string
	for name, err := range l.Names(t.Context()) {
		if err != nil {
			t.Fatalf("Names: %v", err)
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func wantNames(t *testing.T, l storage.Lister, want []string) {
	t.Helper()
	got := namesOf(t, l)
	want = slices.Sorted(slices.Values(want))
	for i := 1; i < len(got); i++ {
		if got[i] == got[i-1] {
			t.Fatalf("Names yielded %s more than once", brief(got[i]))
		}
	}
	for _, name := range want {
		if _, ok := slices.BinarySearch(got, name); !ok {
			t.Fatalf("Names left out %s", brief(name))
		}
	}
	for _, name := range got {
		if _, ok := slices.BinarySearch(want, name); !ok {
			t.Fatalf("Names yielded %s, which has no record", brief(name))
		}
	}
}

// walkAmidWrites lists names whose records others replace all the time.
func walkAmidWrites(t *testing.T, l storage.Lister, s storage.Store, names []string) {
	t.Helper()
	var ended atomic.Bool
	deadline := time.Now().Add(4 * collisionTime())
	together(t, 4, func(ctx context.Context, i int) error {
		for n := i; i > 0 && !ended.Load(); n += 3 {
			name := names[n*7%len(names)]
			_, v, err := s.Get(ctx, name)
			if err == nil {
				_, err = s.Put(ctx, name, []byte("new"), v)
			}
			if err != nil && !errors.Is(err, storage.ErrConflict) {
				return fmt.Errorf("store: a record is replaced during a walk: %w", err)
			}
		}
		defer ended.Store(true)
		for i == 0 {
			got := make(map[string]int)
			for name, err := range l.Names(ctx) {
				if err != nil {
					return fmt.Errorf("store: Names while records are replaced: %w", err)
				}
				got[name]++
			}
			for _, name := range names {
				if n := got[name]; n != 1 {
					return fmt.Errorf("store: a walk, while others replaced records, yielded %s %s", brief(name), often(n))
				}
			}
			if time.Now().After(deadline) {
				break
			}
		}
		return nil
	})
}

// manyNames is more than the page, or the whole answer, of an engine has, which often ends
// at 1,000 names.
const manyNames = 1100

// quick is how long making that many may take in any case.
var quick = time.Second / 4

// walkManyNames makes so many more records and lists them once, while the first ones are
// deleted. It doesn't if that would take longer than quick and than the test has taken since
// it began; each is how long making one of its records took.
func walkManyNames(t *testing.T, l storage.Lister, s storage.Store, each time.Duration, began time.Time) {
	t.Helper()
	if testing.Short() || population() >= manyNames {
		return
	}
	if takes := manyNames * each; takes > max(quick, time.Since(began)) {
		t.Logf("a walk over %d names is left out, since making them would take %v: run with -storagetest.names %[1]d", manyNames, takes)
		return
	}
	names := populate(t, s, "many", manyNames)
	got := make(map[string]int)
	for name, err := range l.Names(t.Context()) {
		if err != nil {
			t.Fatalf("Names of %d records: %v", manyNames, err)
		}
		if got[name]++; len(got) <= 5 {
			remove(t, s, name, versionOf(t, s, name))
		}
	}
	for _, name := range names {
		if n := got[name]; n != 1 {
			t.Fatalf("a walk over more than %d names, of which the first were deleted, yielded %s %s", manyNames, brief(name), often(n))
		}
	}
}

// often says how often a name was yielded that should have been yielded once.
func often(n int) string {
	if n == 0 {
		return "not at all"
	}
	return fmt.Sprint(n, " times")
}

var listChecks = []check{
	{"names yields every name that has a record exactly once", func(t *testing.T, s storage.Store) {
		l := lister(t, s)
		wantNames(t, l, nil)
		names := oddNames
		forEach(t, names, func(ctx context.Context, name string) error {
			_, err := s.Put(ctx, name, nil, "")
			return err
		})
		put(t, s, "a", "replaced", versionOf(t, s, "a"))
		wantNames(t, l, names)
		forEach(t, names[10:], func(ctx context.Context, name string) error {
			_, v, err := s.Get(ctx, name)
			return errors.Join(err, s.Delete(ctx, name, v))
		})
		wantNames(t, l, names[:10])
		for _, other := range shares(t, s, 2) {
			wantNames(t, lister(t, other), names[:10])
		}
	}},

	{"each name that has a record for as long as the walk lasts is yielded exactly once", func(t *testing.T, s storage.Store) {
		l := lister(t, s)
		began := time.Now()
		names := populate(t, s, "customer", population())
		each := time.Since(began) / time.Duration(len(names))
		wantNames(t, l, names)
		wantNames(t, lister(t, shares(t, s, 2)[1]), names)
		walkAmidWrites(t, l, s, names)

		// While records before and behind the place of the walk are replaced, while others
		// are added at any place, and while what it has yielded is deleted, so that what is
		// still to come moves forward.
		added := 0
		for _, c := range []struct {
			meanwhile string
			do        func(name string, i int)
		}{
			{"replaced", func(name string, i int) {
				put(t, s, name, "new", versionOf(t, s, name))
				name = names[i*7%len(names)]
				put(t, s, name, "new", versionOf(t, s, name))
			}},
			{"added", func(string, int) {
				added++
				put(t, s, fmt.Sprint([]string{"a", "customer/", "z"}[added%3], "added ", added), "value", "")
			}},
			{"deleted", func(name string, _ int) { remove(t, s, name, versionOf(t, s, name)) }},
		} {
			seen, n := make(map[string]bool), 0
			for name, err := range l.Names(t.Context()) {
				if err != nil {
					t.Fatalf("Names while records are %s: %v", c.meanwhile, err)
				}
				// Some at the beginning, and the last ones of pages.
				if n++; n%5 == 0 && n < 100 || n%100 == 0 || n&(n-1) == 0 {
					c.do(name, n)
				}
				if seen[name] && !strings.Contains(name, "added") {
					t.Fatalf("a walk during which records were %s yielded %s more than once", c.meanwhile, brief(name))
				}
				seen[name] = true
			}
			for _, name := range names {
				if !seen[name] {
					t.Fatalf("a walk during which records were %s left out %s", c.meanwhile, brief(name))
				}
			}
		}
		walkManyNames(t, l, s, each, began)
	}},

	{"names has what was stored before reopening", func(t *testing.T, s storage.Store) {
		lister(t, s)
		put(t, s, "a", "value", "")
		put(t, s, "b", "value", "")
		wantNames(t, lister(t, reopened(t, s)), []string{"a", "b"})
	}},

	{"the caller may call the store's other methods in between", func(t *testing.T, s storage.Store) {
		l := lister(t, s)
		populate(t, s, "customer", 40)
		together(t, 1, func(ctx context.Context, _ int) error {
			for name, err := range l.Names(ctx) {
				if err != nil {
					return fmt.Errorf("store: Names while records are written: %w", err)
				}
				_, v, err := s.Get(ctx, name)
				if err != nil {
					return fmt.Errorf("store: Get of a name that Names yielded: %w", err)
				}
				if v, err = s.Put(ctx, name, []byte("new"), v); err != nil {
					return fmt.Errorf("store: Put inside the walk: %w", err)
				}
				if err := s.Delete(ctx, name, v); err != nil {
					return fmt.Errorf("store: Delete inside the walk: %w", err)
				}
			}
			return nil
		})
		wantNames(t, l, nil)
	}},

	{"names may be called concurrently and left early", func(t *testing.T, s storage.Store) {
		l := lister(t, s)
		for i := range 20 {
			put(t, s, fmt.Sprint("name ", i), "value", "")
		}
		together(t, workerCount, func(ctx context.Context, i int) error {
			for range 4 {
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
					return fmt.Errorf("one of several walks at the same time yielded %d names, want 20", n)
				}
			}
			return nil
		})
	}},

	{"after an error the walk ends", func(t *testing.T, s storage.Store) {
		l := lister(t, s)
		for i := range 5 {
			put(t, s, fmt.Sprint("name ", i), "value", "")
		}
		for _, before := range []int{0, 1} { // names that are yielded before the context is canceled
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if before == 0 {
				cancel()
			}
			var got error
			n := 0
			for _, err := range l.Names(ctx) {
				if got != nil {
					t.Fatal("Names went on after an error")
				}
				got = err
				if n++; n == before {
					cancel()
				}
			}
			// A store may have fetched all names by the time of the second cancel.
			if !errors.Is(got, context.Canceled) && (before == 0 || got != nil) {
				t.Fatalf("Names whose context is done after %d names ended with %v; want %v", before, got, context.Canceled)
			}
		}
	}},
}
