package storagetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
)

// spawn returns the same data in so many other processes. It skips the test if there
// are none.
func spawn(t *testing.T, s storage.Store, n int) []*Process {
	t.Helper()
	spawner, ok := s.(Spawner)
	if !ok {
		t.Skip("the store isn't a Spawner: it isn't shared by processes")
	}
	skipIfShort(t)
	processes := make([]*Process, n)
	for i := range processes {
		processes[i] = spawner.Spawn(t)
	}
	return processes
}

// skipIfShort skips what starts or kills processes.
func skipIfShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts or kills processes: runs without -short")
	}
}

// numbered returns a value of up to several pages that says its number, again and
// again.
func numbered(n int) string {
	return strings.Repeat(fmt.Sprintf("%010d", n), 1+n*397%1500)
}

var processChecks = []check{
	{"two processes at once lose no update", func(t *testing.T, s storage.Store) {
		const each = 25
		processes := spawn(t, s, 2)
		put(t, s, "counter", "0", "")
		together(t, 4, func(ctx context.Context, i int) error {
			for range each {
				if _, err := increment(ctx, processes[i%2], "counter"); err != nil {
					return err
				}
			}
			return nil
		})
		if value, _, err := s.Get(t.Context(), "counter"); err != nil || string(value) != strconv.Itoa(4*each) {
			t.Fatalf("two processes made %d increments by compare-and-swap, and the counter is %q, %v", 4*each, value, err)
		}
	}},

	{"of two processes that write the same version one must win", func(t *testing.T, s storage.Store) {
		processes := spawn(t, s, 2)
		collide(t, [2]storage.Store{processes[0], processes[1]})
	}},

	{"get must see what another process has written", func(t *testing.T, s storage.Store) {
		process := spawn(t, s, 1)[0]
		var v storage.Version
		for i := range 10 {
			for _, handles := range [][2]storage.Store{{s, process}, {process, s}} {
				value := fmt.Sprint("value ", i)
				v = put(t, handles[0], "name", value, v)
				want(t, handles[1], "name", value, v)
			}
			remove(t, process, "name", v)
			wantAbsent(t, s, "name")
			v = ""
		}
	}},

	{"what a process wrote before it was killed is there and whole", func(t *testing.T, s storage.Store) {
		const writers = 4
		ledgers := make([]*ledger, writers)
		for i := range ledgers {
			ledgers[i] = &ledger{name: fmt.Sprint("name ", i)}
		}
		n := 0
		for range kills() {
			process := spawn(t, s, 1)[0]
			begun := make(chan int, writers)
			var wg sync.WaitGroup
			lies := make([]error, writers)
			for i, l := range ledgers {
				n += 1000
				first := n
				wg.Go(func() {
					for n := first; len(l.doubt) == 0 && lies[i] == nil; n++ {
						lies[i] = l.write(context.Background(), process, numbered(n))
						if n == first {
							begun <- i
						}
					}
				})
			}
			for range writers { // so that each has something to lose
				select {
				case <-begun:
				case <-eventually(t).Done():
				}
			}
			time.Sleep(5*time.Millisecond + rand.N(20*time.Millisecond))
			process.Kill()
			wg.Wait()
			for i, l := range ledgers {
				failed, lie := l.read(t.Context(), s)
				if err := errors.Join(lies[i], lie, failed); err != nil {
					t.Fatalf("after a process was killed: %v", err)
				}
				// A server may still be doing what it was told. That ends here.
				settle(t, l, s)
			}
		}
		logLedgers(t, fmt.Sprintf("%d processes killed", kills()), ledgers)
	}},

	{"a lock excludes other processes", func(t *testing.T, s storage.Store) {
		locker(t, s)
		processes := spawn(t, s, 2)
		takeTurns(t, []lockFunc{processes[0].Lock, processes[1].Lock})
	}},

	{"the lock of a process that was killed is free", func(t *testing.T, s storage.Store) {
		lock := locker(t, s)
		for range kills() {
			process := spawn(t, s, 1)[0]
			if _, err := process.Lock(eventually(t), "name"); err != nil {
				t.Fatalf("Lock in another process = %v", err)
			}
			short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			_, err := lock(s)(short, "name")
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("Lock while another process has it = %v; want %v", err, context.DeadlineExceeded)
			}
			time.AfterFunc(50*time.Millisecond, process.Kill)
			unlock, err := lock(s)(eventually(t), "name")
			if err != nil {
				t.Fatalf("Lock of a process that was killed meanwhile = %v", err)
			}
			unlock()
		}
	}},
}

// settle writes until no write is in doubt any more.
func settle(t *testing.T, l *ledger, s storage.Store) {
	t.Helper()
	for ctx := eventually(t); len(l.doubt) > 0; {
		lie := l.write(ctx, s, "settled "+strconv.Itoa(l.sure+l.doubted))
		if lie == nil {
			_, lie = l.read(ctx, s)
		}
		if lie != nil {
			t.Fatal(lie)
		}
		if ctx.Err() != nil {
			t.Fatalf("the store doesn't recover: %d writes of %s are in doubt", len(l.doubt), brief(l.name))
		}
	}
}

func logLedgers(t *testing.T, what string, ledgers []*ledger) {
	var sure, doubted int
	for _, l := range ledgers {
		sure += l.sure
		doubted += l.doubted
	}
	t.Logf("%s; %d writes acknowledged, %d in doubt, none lost", what, sure, doubted)
	if sure == 0 {
		t.Error("no write was acknowledged, so that nothing could be lost")
	}
}
