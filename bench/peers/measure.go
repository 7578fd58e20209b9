package main

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// op does once what a row measures, and returns the token that came of it, or the
// Authorization header that was sent. It is for one goroutine.
type op func() (token string, err error)

// side is what one library does in a row.
type side struct {
	library string

	// begin makes ready for a turn, while no clock runs: an op for each goroutine,
	// which calls it n times.
	begin func(goroutines, n int) ([]op, error)
}

// row is one thing that is measured.
type row struct {
	world      *world
	name       string
	goroutines int
	herd       bool   // each goroutine does it once; the time is the last one's
	want       string // what each op returns begins with this
	sides      []side
}

// turn is what was measured in a turn.
type turn struct {
	elapsed  time.Duration // for one op, or for the whole herd
	allocs   float64       // for one op
	requests uint64        // in all
}

// take lets a side have a turn.
func (r *row) take(s side, n int) (turn, error) {
	r.world.slow.Store(r.herd)
	ops, err := s.begin(r.goroutines, n)
	if err != nil {
		return turn{}, err
	}
	errs := make([]error, len(ops))
	var ready, done sync.WaitGroup
	ready.Add(len(ops))
	start := make(chan struct{})
	for i, do := range ops {
		done.Go(func() {
			ready.Done()
			<-start
			var got string
			for range n {
				if got, errs[i] = do(); errs[i] != nil {
					return
				}
			}
			if !strings.HasPrefix(got, r.want) {
				errs[i] = fmt.Errorf("got %q and not %q", got, r.want)
			}
		})
	}
	ready.Wait()
	requests := r.world.requests.Load()
	r.world.settle()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	close(start)
	done.Wait()
	elapsed := time.Since(began)
	runtime.ReadMemStats(&after)

	each := elapsed / time.Duration(n*len(ops))
	if r.herd {
		each = elapsed
	}
	return turn{each, float64(after.Mallocs-before.Mallocs) / float64(n*len(ops)), r.world.requests.Load() - requests}, errors.Join(errs...)
}

// calibrate returns how many ops of each goroutine a side's turn takes, by the fastest of
// three turns: one that was held up would make all others too short to pay for garbage.
func (r *row) calibrate(s side, atLeast time.Duration) (int, error) {
	for n := 1; ; n *= 2 {
		fastest := time.Duration(math.MaxInt64)
		for range 3 {
			t, err := r.take(s, n)
			if r.herd || err != nil {
				return n, err
			}
			if fastest = min(fastest, t.elapsed*time.Duration(n*r.goroutines)); fastest < atLeast {
				break
			}
		}
		if fastest >= atLeast {
			return n, nil
		}
	}
}

// measure lets all sides take turns, each round another one first, so that whatever
// else the machine does slows down all alike.
func (r *row) measure(rounds int, atLeast time.Duration) ([]line, error) {
	ns := make([]int, len(r.sides))
	turns := make([][]turn, len(r.sides))
	for i, s := range r.sides {
		var err error
		if ns[i], err = r.calibrate(s, atLeast); err != nil {
			return nil, fmt.Errorf("%s: %w", s.library, err)
		}
	}
	for round := range rounds {
		for i := range r.sides {
			i = (i + round) % len(r.sides)
			t, err := r.take(r.sides[i], ns[i])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.sides[i].library, err)
			}
			turns[i] = append(turns[i], t)
		}
	}
	standard := slices.IndexFunc(r.sides, func(s side) bool { return strings.HasPrefix(s.library, xoauth2) })
	lines := make([]line, len(r.sides))
	for i, s := range r.sides {
		lines[i] = r.line(s.library, turns[i], turns[standard])
	}
	return lines, nil
}

// line sums up the turns of a side.
func (r *row) line(library string, turns, standard []turn) line {
	var times, allocs, ratios []float64
	var requests uint64
	for i, t := range turns {
		times = append(times, float64(t.elapsed))
		allocs = append(allocs, t.allocs)
		ratios = append(ratios, float64(t.elapsed)/float64(standard[i].elapsed))
		requests = max(requests, t.requests)
	}
	l := line{row: r.name, library: library,
		figure: short(quantile(times, 0.5)),
		half:   short(quantile(times, 0.25)) + " to " + short(quantile(times, 0.75)),
		ratio:  fmt.Sprintf("%.2f", quantile(ratios, 0.5)),
	}
	if r.herd {
		l.requests = fmt.Sprint(requests)
	} else {
		l.allocs = fmt.Sprintf("%.0f", quantile(allocs, 0.5))
	}
	return l
}

// quantile returns the value that a share q of all is below.
func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(q*float64(len(sorted)-1)+0.5)]
}
