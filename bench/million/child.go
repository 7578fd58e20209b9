package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/metrics"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
)

// childVariable is what makes this program, or its test, a child: a process that takes
// one measurement and nothing else, so that its memory is that measurement's.
const childVariable = "OAUTH2KEEP_MILLION_CHILD"

// task is what a child is told by its standard input. After it, each JSON value there
// gives the child a turn.
type task struct {
	Phase, Side  string
	Place        place
	N            int
	Primary, Old []byte // of the keyring
	Profile      string // the file for a profile, or ""
}

// answer is what it tells by its standard output after each turn, and Result after the
// last.
type answer struct {
	Turn   time.Duration // how long it took
	Result *result
}

// result is a measurement.
type result struct {
	Turns   []time.Duration // noted by the parent
	Records int             // or times, where a phase isn't about records
	CPU     time.Duration
	Heap    [len(shares)]uint64 // the peaks up to these shares of the records
	RSS     uint64              // the peak
	Rekey   *storage.RekeyReport
	Err     string
}

var shares = [...]float64{0.1, 0.5, 1}

// sampling is how often a child looks at its heap.
const sampling = 5 * time.Millisecond

// job is a measurement under way.
type job struct {
	task
	keys  *storage.Keyset
	rekey *storage.RekeyReport

	in    *json.Decoder
	out   *json.Encoder
	total int // records, or times
	size  int // of a turn

	turns int           // that ended
	cpu   time.Duration // the processor's time in them
	since time.Time     // this turn began
	began time.Duration // what the processor's time was then
	idle  atomic.Bool   // it isn't our turn
	done  atomic.Int64  // of total
}

// child is the main function of a child.
func child() {
	// Cancelable, as a context is that a program works with. Both sides have it.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	j := &job{in: json.NewDecoder(os.Stdin), out: json.NewEncoder(os.Stdout)}
	var r result
	err := j.in.Decode(&j.task)
	if err == nil {
		r, err = j.measure(ctx)
	}
	if err != nil {
		r.Err = err.Error()
	}
	_ = j.out.Encode(answer{time.Since(j.since), &r})
}

func (j *job) measure(ctx context.Context) (r result, err error) {
	s := find(j.Phase, j.Side)
	if s == nil {
		return r, errors.New("there is no such measurement")
	}
	j.total, j.size = j.N, pageSize
	if s.times > 0 {
		j.total, j.size = s.times, 1
	}
	if j.keys, err = storage.NewKeyset(j.Primary, j.Old); err != nil {
		return r, err
	}
	if j.Profile != "" {
		f, err := os.Create(filepath.Clean(j.Profile))
		if err != nil {
			return r, err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return r, err
		}
		defer pprof.StopCPUProfile()
	}
	stop, watched := make(chan struct{}), sync.WaitGroup{}
	watched.Go(func() { r.Heap = j.watch(stop) })
	j.await()
	r.Records, err = s.run(ctx, j)
	r.CPU, r.RSS = j.cpu+processorTime()-j.began, peakMemory()
	close(stop)
	watched.Wait()
	r.Rekey = j.rekey
	return r, err
}

// add says that n more records were dealt with. It returns when it is this child's turn
// to deal with the next: whatever else the machine does slows down all sides alike, if
// they take turns.
func (j *job) add(n int) {
	done := int(j.done.Add(int64(n)))
	if done/j.size == j.turns || done >= j.total {
		return
	}
	j.turns = done / j.size
	j.cpu += processorTime() - j.began
	if err := j.out.Encode(answer{Turn: time.Since(j.since)}); err != nil {
		os.Exit(1)
	}
	j.await()
}

func (j *job) await() {
	var turn int
	j.idle.Store(true)
	if err := j.in.Decode(&turn); err != nil {
		os.Exit(1) // the parent is gone
	}
	j.idle.Store(false)
	j.since, j.began = time.Now(), processorTime()
}

// watch samples the heap until stop is closed. It counts what wasn't collected yet.
func (j *job) watch(stop chan struct{}) (peaks [len(shares)]uint64) {
	ticker := time.NewTicker(sampling)
	defer ticker.Stop()
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	for {
		if !j.idle.Load() {
			share := float64(j.done.Load()) / float64(j.total)
			metrics.Read(sample)
			for i, upTo := range shares {
				if share <= upTo {
					peaks[i] = max(peaks[i], sample[0].Value.Uint64())
				}
			}
		}
		select {
		case <-ticker.C:
		case <-stop:
			return peaks
		}
	}
}
