package storagetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
)

// Two writes meet again and again for collisionTime. On a quick store that is thousands
// of times; on a slow one, minCollisions.
const (
	minCollisions = 12
	maxCollisions = 10_000
)

func collisionTime() time.Duration { return time.Duration(collisionMS()) * time.Millisecond }

// change is a Put of a value, or a Delete.
type change struct {
	value  string
	delete bool
}

func (c change) do(ctx context.Context, s storage.Store, name string, old storage.Version) (storage.Version, error) {
	if c.delete {
		return "", s.Delete(ctx, name, old)
	}
	return s.Put(ctx, name, []byte(c.value), old)
}

func (c change) String() string {
	if c.delete {
		return "a Delete"
	}
	return "a Put"
}

// collisions are the pairs of changes that name the same version, of which one must win.
var collisions = []struct {
	exists  bool // there is a record, whose version both name
	changes [2]change
}{
	{false, [2]change{{value: "one creation"}, {value: "another creation"}}},
	{true, [2]change{{value: "one replacement"}, {value: "another replacement"}}},
	{true, [2]change{{delete: true}, {value: "a replacement"}}},
	{true, [2]change{{delete: true}, {delete: true}}},
}

// collide has all pairs of changes meet, one through each handle. The second begins at
// every moment between so long before the first that it has nearly ended, and the end of
// the first: if either compares and then acts, the other comes in between.
func collide(t *testing.T, handles [2]storage.Store) {
	t.Helper()
	for i, c := range collisions {
		m := meeting{handles: handles, changes: c.changes, name: fmt.Sprint("collision ", i)}
		m.v = versionOf(t, handles[0], m.name) // of a meeting through other handles
		deadline := time.Now().Add(collisionTime())
		ctx, cancel := context.WithDeadline(t.Context(), deadline.Add(patience))
		defer cancel()
		for n := 0; n < minCollisions || n < maxCollisions && time.Now().Before(deadline); n++ {
			m.prepare(t, c.exists)
			m.run(yielding{ctx}, t, n)
		}
	}
}

// yielding is a context that lets others run when it is looked at: between a comparison
// and a write that aren't one step, it mostly is.
type yielding struct{ context.Context }

func (c yielding) Err() error {
	for range rand.IntN(3) {
		runtime.Gosched()
	}
	return c.Context.Err()
}

// crowd has a record replaced by many goroutines that never wait for each other, as often
// as they can. Of all that name the same version, one must win.
//
// Meanwhile bystanders write long values under names of their own. Who waits for a lock of
// the whole store waits long then, and a [sync.Mutex] for which someone waited for a
// millisecond is handed on by whoever unlocks it: also by a Put that unlocks it for an
// instant, between its comparison and its write.
func crowd(t *testing.T, handles []storage.Store, writers, bystanders int, d time.Duration) {
	t.Helper()
	const name = "crowd"
	var current atomic.Value // the version that all name
	current.Store(put(t, handles[0], name, "before", versionOf(t, handles[0], name)))
	var replaced sync.Map // versions that were named by a write that succeeded
	deadline := time.Now().Add(d)
	long := make([]byte, 256<<10)
	together(t, writers+bystanders, func(ctx context.Context, i int) error {
		s := handles[i%len(handles)]
		if i >= writers {
			return standBy(ctx, s, fmt.Sprint("bystander ", i), long, deadline)
		}
		for n := 0; n*writers < minCollisions*workerCount || time.Now().Before(deadline); n++ {
			old := current.Load().(storage.Version)
			v, err := s.Put(ctx, name, []byte("after"), old)
			if errors.Is(err, storage.ErrConflict) {
				continue
			}
			if err != nil {
				return err
			}
			if _, twice := replaced.LoadOrStore(old, true); twice {
				return fmt.Errorf("two of %d goroutines that named the version %q succeeded", writers, old)
			}
			current.Store(v)
		}
		return nil
	})
}

// standBy writes a value again and again, under a name that nobody else uses.
func standBy(ctx context.Context, s storage.Store, name string, value []byte, deadline time.Time) error {
	for v := storage.Version(""); time.Now().Before(deadline); {
		var err error
		if v, err = s.Put(ctx, name, value, v); err != nil {
			return fmt.Errorf("store: Put of a name that only one goroutine uses: %w", err)
		}
	}
	return nil
}

// meeting is one pair of changes, again and again, of one record.
type meeting struct {
	handles [2]storage.Store
	changes [2]change
	name    string
	v       storage.Version  // of the record, "" if there is none
	lengths [2]time.Duration // of the changes
}

// prepare makes or deletes the record. At first it does the changes one after the other,
// to see how long they take.
func (m *meeting) prepare(t *testing.T, exists bool) {
	t.Helper()
	set := func() {
		if exists && m.v == "" {
			m.v = put(t, m.handles[0], m.name, "before", "")
		}
		if !exists && m.v != "" {
			remove(t, m.handles[0], m.name, m.v)
			m.v = ""
		}
	}
	for i, c := range m.changes {
		if m.lengths[i] == 0 {
			set()
			start := time.Now()
			v, err := c.do(t.Context(), m.handles[i], m.name, m.v)
			if err != nil {
				t.Fatalf("%v that nothing disturbs = %v", c, err)
			}
			m.lengths[i] = max(time.Since(start), 1)
			m.v = v
		}
	}
	set()
}

// run has the changes meet for the nth time.
func (m *meeting) run(ctx context.Context, t *testing.T, n int) {
	t.Helper()
	// The golden ratio's multiples fill the time evenly, however many there are. Every
	// other time both begin at once.
	_, phase := math.Modf(float64(n/2) * math.Phi)
	second := time.Duration(phase*float64(m.lengths[0]+m.lengths[1])) - m.lengths[1]
	if n%2 == 0 {
		second = 0
	}
	delays := [2]time.Duration{max(-second, 0), max(second, 0)}

	var ready atomic.Int32
	var wg sync.WaitGroup
	var versions [2]storage.Version
	var errs [2]error
	for i := range 2 {
		wg.Go(func() {
			ready.Add(1)
			for ready.Load() < 2 {
				runtime.Gosched()
			}
			spin(delays[i])
			start := time.Now()
			versions[i], errs[i] = m.changes[i].do(ctx, m.handles[i], m.name, m.v)
			if errs[i] == nil {
				m.lengths[i] = (3*m.lengths[i] + time.Since(start)) / 4
			}
		})
	}
	wg.Wait()

	winner := 0
	if errs[0] != nil {
		winner = 1
	}
	switch loser := 1 - winner; {
	case errs[loser] == nil:
		t.Fatalf("%v and %v named the same version, and both succeeded", m.changes[0], m.changes[1])
	case errs[winner] != nil || !errors.Is(errs[loser], storage.ErrConflict):
		t.Fatalf("%v and %v named the same version: %v, and %v; want nil, and ErrConflict", m.changes[0], m.changes[1], errs[0], errs[1])
	case m.changes[winner].delete:
		wantAbsent(t, m.handles[loser], m.name)
	default:
		want(t, m.handles[loser], m.name, m.changes[winner].value, versions[winner])
	}
	m.v = versions[winner]
}

// spin waits for exactly as long, unlike Sleep, which is late by more than a quick write takes.
func spin(d time.Duration) {
	start := time.Now()
	if most := d - 5*time.Millisecond; most > 0 {
		time.Sleep(most) // others need the processor, too
	}
	for time.Since(start) < d {
		runtime.Gosched()
	}
}
