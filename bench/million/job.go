package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
)

var shares = [...]float64{0.1, 0.5, 1}

// sampling is how often the heap is looked at.
const sampling = 5 * time.Millisecond

// job is a measurement under way, in a goroutine that works when it is its turn.
type job struct {
	step
	place place
	n     int // records
	keys  *storage.Keyset

	total, size    int // records, or times; and those of a turn
	done           atomic.Int64
	resume, paused chan struct{}
	ended          chan error

	turns []time.Duration
	cpu   time.Duration       // the processor's time in them
	heap  [len(shares)]uint64 // the peaks up to these shares of the records
}

func newJob(s step, at place, n int, keys *storage.Keyset) *job {
	j := &job{step: s, place: at, n: n, keys: keys, total: n, size: pageSize,
		resume: make(chan struct{}), paused: make(chan struct{}), ended: make(chan error, 1)}
	if s.times > 0 {
		j.total, j.size = s.times, 1
	}
	return j
}

// add says that n more records were dealt with. It returns when it is this job's turn to
// deal with the next, or when ctx is done.
func (j *job) add(ctx context.Context, n int) {
	before := int(j.done.Load())
	done := int(j.done.Add(int64(n)))
	if done/j.size == before/j.size || done >= j.total {
		return
	}
	select {
	case j.paused <- struct{}{}:
		j.await(ctx)
	case <-ctx.Done():
	}
}

func (j *job) await(ctx context.Context) {
	select {
	case <-j.resume:
	case <-ctx.Done():
	}
}

// turn lets the job do a part of its work. Others' garbage isn't its own.
func (j *job) turn() (ended bool, err error) {
	runtime.GC()
	ticker := time.NewTicker(sampling)
	defer ticker.Stop()
	cpu, began := processorTime(), time.Now()
	j.resume <- struct{}{}
	for working := true; working; {
		select {
		case <-ticker.C:
		case <-j.paused:
			working = false
		case err = <-j.ended:
			working, ended = false, true
		}
		j.sample()
	}
	j.turns = append(j.turns, time.Since(began))
	j.cpu += processorTime() - cpu
	return ended, err
}

// sample looks at the heap. It counts what wasn't collected yet.
func (j *job) sample() {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	share := float64(j.done.Load()) / float64(j.total)
	for i, upTo := range shares {
		if share <= upTo {
			j.heap[i] = max(j.heap[i], sample[0].Value.Uint64())
		}
	}
}

// race lets the jobs take turns, each time another one first, until all are at their end:
// whatever else the machine does slows down all alike.
func race(ctx context.Context, jobs []*job) error {
	ctx, cancel := context.WithCancel(ctx)
	var working sync.WaitGroup
	defer working.Wait()
	defer cancel()
	for _, j := range jobs {
		working.Go(func() {
			j.await(ctx)
			err := j.run(ctx, j)
			if done := int(j.done.Load()); err == nil && done != j.total {
				err = fmt.Errorf("%d records of %d were dealt with", done, j.total)
			}
			j.ended <- err
		})
	}
	for left := slices.Clone(jobs); len(left) > 0; {
		var remain []*job
		for _, j := range left {
			ended, err := j.turn()
			if err = errors.Join(err, ctx.Err()); err != nil {
				return fmt.Errorf("%v: %w", j.step, err)
			}
			if !ended {
				remain = append(remain, j)
			}
		}
		if left = remain; len(left) > 1 {
			left = append(left[1:], left[0])
		}
	}
	return nil
}

// processorTime returns how long this process has had a processor.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
