package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
)

// Numbers of concurrent users: enough to meet, few enough for a slow engine.
const (
	handleCount = 3
	workerCount = 8
	crowdCount  = 32
)

// together runs work in as many goroutines at once, and fails with their errors.
func together(t *testing.T, n int, work func(ctx context.Context, i int) error) {
	t.Helper()
	ctx := eventually(t)
	var wg sync.WaitGroup
	start := make(chan struct{})
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = work(ctx, i)
		})
	}
	close(start)
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

var concurrencyChecks = []check{
	{"the comparison and the write must be one atomic step", func(t *testing.T, s storage.Store) {
		handles := shares(t, s, handleCount)
		var mu sync.Mutex
		seen := newVersions()
		together(t, workerCount, func(ctx context.Context, i int) error {
			s := handles[i%len(handles)]
			for range 10 {
				v, err := increment(ctx, s, "counter")
				if err != nil {
					return err
				}
				mu.Lock()
				if seen[v] {
					err = fmt.Errorf("version %q was given to two writes", v)
				}
				seen[v] = true
				mu.Unlock()
				if err != nil {
					return err
				}
			}
			return nil
		})
		value, _, err := s.Get(t.Context(), "counter")
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(value), strconv.Itoa(len(seen)); got != want {
			t.Fatalf("%s increments by compare-and-swap were acknowledged, and the counter is %s: updates were lost", want, got)
		}
		collide(t, [2]storage.Store{handles[0], handles[0]})
		if _, ok := s.(Sharer); ok {
			collide(t, [2]storage.Store{handles[0], handles[1]})
		}
		crowd(t, handles, workerCount, 0, 4*collisionTime())
		if !testing.Short() { // in so short a time it would hardly see what the others don't
			crowd(t, handles, crowdCount, crowdCount, 10*collisionTime())
		}
	}},

	{"of several that create a record one must win", func(t *testing.T, s storage.Store) {
		handles := shares(t, s, handleCount)
		for round := range 10 {
			contest(t, handles, fmt.Sprint("name ", round), "", func(i int) change {
				return change{value: fmt.Sprint("value of ", i)}
			})
		}
	}},

	{"of several that replace or delete a version one must win", func(t *testing.T, s storage.Store) {
		handles := shares(t, s, handleCount)
		for round := range 10 {
			name := fmt.Sprint("name ", round)
			contest(t, handles, name, put(t, s, name, "value", ""), func(i int) change {
				return change{value: fmt.Sprint("value of ", i), delete: i%2 == 0}
			})
		}
	}},

	{"get must see every write that was acknowledged before", func(t *testing.T, s storage.Store) {
		handles := shares(t, s, handleCount)
		var v storage.Version
		for i := range 20 {
			writer := handles[i%len(handles)]
			value := fmt.Sprint("value ", i)
			v = put(t, writer, "name", value, v)
			for _, reader := range handles {
				want(t, reader, "name", value, v)
			}
			if i%5 == 4 {
				remove(t, writer, "name", v)
				for _, reader := range handles {
					wantAbsent(t, reader, "name")
				}
				v = ""
			}
		}
		follow(t, handles, 4*collisionTime())
	}},

	{"get sees a whole value while it is replaced", func(t *testing.T, s storage.Store) {
		handles := shares(t, s, handleCount)
		put(t, s, "name", "", "")
		together(t, workerCount, func(ctx context.Context, i int) error {
			s := handles[i%len(handles)]
			for n := range 20 {
				value, v, err := s.Get(ctx, "name")
				if err != nil {
					return fmt.Errorf("store: Get of a record that exists all the time = %w", err)
				}
				if len(value) > 0 && bytes.Count(value, value[:1]) != len(value) {
					return errors.New("store: Get returned parts of two values")
				}
				if i < workerCount/2 {
					continue
				}
				value = bytes.Repeat([]byte{byte('a' + i)}, 1+(n*7919)%20000)
				if _, err := s.Put(ctx, "name", value, v); err != nil && !errors.Is(err, storage.ErrConflict) {
					return err
				}
			}
			return nil
		})
	}},

	{"all methods must be safe for concurrent use", func(t *testing.T, s storage.Store) {
		handles := shares(t, s, handleCount)
		together(t, workerCount, func(ctx context.Context, i int) error {
			s := handles[i%len(handles)]
			for n := range 10 {
				if err := useAll(ctx, s, fmt.Sprint("name ", i), fmt.Sprint("value ", n)); err != nil {
					return fmt.Errorf("with a name that only one goroutine uses, %w", err)
				}
			}
			return nil
		})
	}},
}

// contest has each worker make a change of the same version of a record, of which one must
// win.
func contest(t *testing.T, handles []storage.Store, name string, v storage.Version, of func(worker int) change) {
	t.Helper()
	winners := make(chan change, workerCount)
	together(t, workerCount, func(ctx context.Context, i int) error {
		c := of(i)
		switch _, err := c.do(ctx, handles[i%len(handles)], name, v); {
		case err == nil:
			winners <- c
		case !errors.Is(err, storage.ErrConflict):
			return fmt.Errorf("%v = %w; want nil or ErrConflict", c, err)
		}
		return nil
	})
	if n := len(winners); n != 1 {
		t.Fatalf("%d of %d concurrent changes that named the version %q succeeded; want 1", n, workerCount, v)
	}
	if winner := <-winners; winner.delete {
		wantAbsent(t, handles[0], name)
	} else {
		want(t, handles[0], name, winner.value, versionOf(t, handles[0], name))
	}
}

// follow has half of the workers count up in one record, as often as they can, while all
// read it. What is read must be at least as new as what was acknowledged when Get was
// called, and come with the version that its own write returned.
func follow(t *testing.T, handles []storage.Store, d time.Duration) {
	t.Helper()
	const name = "followed"
	put(t, handles[0], name, "0", "")
	var f following
	deadline := time.Now().Add(d)
	together(t, workerCount, func(ctx context.Context, i int) error {
		s := handles[i%len(handles)]
		if i%2 == 0 {
			ctx = yielding{ctx}
		}
		for n := 0; n < minCollisions || time.Now().Before(deadline); n++ {
			number, v, err := f.get(ctx, s, name)
			if err != nil {
				return err
			}
			if i >= workerCount/2 {
				continue
			}
			v, err = s.Put(ctx, name, []byte(strconv.FormatInt(number+1, 10)), v)
			if errors.Is(err, storage.ErrConflict) {
				continue
			}
			if err == nil {
				err = f.acknowledge(number+1, v)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// following is what is known of a number that is only ever counted up.
type following struct {
	acknowledged atomic.Int64 // the highest
	numbers      sync.Map     // by version
}

func (f *following) get(ctx context.Context, s storage.Store, name string) (int64, storage.Version, error) {
	least := f.acknowledged.Load()
	value, v, err := s.Get(ctx, name)
	if err != nil {
		return 0, "", fmt.Errorf("store: Get of a record that exists all the time = %w", err)
	}
	number, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return 0, "", fmt.Errorf("store: Get returned %s, which nobody has written", brief(string(value)))
	}
	if number < least {
		return 0, "", fmt.Errorf("store: Get returned number %d, and number %d was acknowledged before it was called", number, least)
	}
	return number, v, f.pair(number, v)
}

func (f *following) acknowledge(number int64, v storage.Version) error {
	for {
		highest := f.acknowledged.Load()
		if number <= highest || f.acknowledged.CompareAndSwap(highest, number) {
			return f.pair(number, v)
		}
	}
}

// pair returns an error if the version was that of another number.
func (f *following) pair(number int64, v storage.Version) error {
	if other, ok := f.numbers.LoadOrStore(v, number); ok && other != number {
		return fmt.Errorf("store: the version %q came with number %d, and with number %d", v, other, number)
	}
	return nil
}

// useAll creates, reads and deletes a record that nobody else uses.
func useAll(ctx context.Context, s storage.Store, name, value string) error {
	v, err := s.Put(ctx, name, []byte(value), "")
	if err != nil {
		return fmt.Errorf("Put = %w", err)
	}
	got, gotVersion, err := s.Get(ctx, name)
	if err != nil || string(got) != value || gotVersion != v {
		return fmt.Errorf("Get = %q, %q, %v; want %q, %q", got, gotVersion, err, value, v)
	}
	if err := s.Delete(ctx, name, v); err != nil {
		return fmt.Errorf("Delete = %w", err)
	}
	return nil
}

// increment adds one to a decimal counter, as often as it takes.
func increment(ctx context.Context, s storage.Store, name string) (storage.Version, error) {
	for {
		value, v, err := s.Get(ctx, name)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return "", err
		}
		n := 0
		if err == nil {
			if n, err = strconv.Atoi(string(value)); err != nil {
				return "", fmt.Errorf("the counter isn't a whole value: %w", err)
			}
		}
		v, err = s.Put(ctx, name, []byte(strconv.Itoa(n+1)), v)
		if !errors.Is(err, storage.ErrConflict) {
			return v, err
		}
	}
}
