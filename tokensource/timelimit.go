package tokensource

import (
	"context"
	"time"
)

const (
	// maxLate is how long after its deadline a call of the store returns at most in a process
	// that runs.
	maxLate = time.Second

	// maxLateTimer is how late a timer is. It is less, since the answer to a refresh can be lost
	// if a process that was stopped isn't known for it, and one that wasn't only waits longer.
	maxLateTimer = 100 * time.Millisecond

	// catchUp is how much longer a process that was stopped waits for what came meanwhile.
	catchUp = time.Second
)

// slept reports whether this process was stopped during a call of the store that began at start
// and had limit for its answer: that it took longer says nothing about the store then.
func slept(start time.Time, limit time.Duration) bool { return elapsed(start) > limit+maxLate }

// within waits for the answer of a call of the program's own code, which has just begun and has
// limit for it, by withTimeLimit. It is given lateness more.
func within[T any](limit time.Duration, answers <-chan returned[T]) (a returned[T], ok bool) {
	if a, ok = received(answers, time.Now(), limit, catchUp); ok {
		return a, true
	}
	return received(answers, time.Now(), lateness, catchUp+lateness)
}

// received waits for what c sends, or for its end, for as long as limit. If the process was
// stopped since start, it waits for as long as more when the process goes on: the timer is over
// then before what came in meanwhile, such as the answer to a refresh, is read.
func received[T any](c <-chan T, start time.Time, limit, more time.Duration) (v T, ok bool) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case v = <-c:
		return v, true
	case <-timer.C:
	}
	if elapsed(start) <= limit+maxLateTimer {
		return v, false
	}
	timer.Reset(more)
	select {
	case v = <-c:
		return v, true
	case <-timer.C:
		return v, false
	}
}

// timeLimit is a context like that of context.WithTimeout, which leaves more time to a process
// that was stopped.
type timeLimit struct {
	context.Context
	deadline time.Time     // what it says, if anything
	done     chan struct{} // not the Context's, whose error package context would give to what descends from it
}

// withTimeLimit returns the context of what began at start, has limit, and more if the process
// was stopped. The context says nothing of a deadline, since that may have passed then.
func withTimeLimit(parent context.Context, start time.Time, limit, more time.Duration) (timeLimit, context.CancelFunc) {
	inner, end := context.WithCancelCause(parent)
	c := timeLimit{Context: inner, done: make(chan struct{})}
	context.AfterFunc(inner, func() { close(c.done) })
	go func() {
		if _, ended := received(inner.Done(), start, limit, more); !ended {
			end(context.DeadlineExceeded)
		}
	}()
	return c, func() { end(nil) }
}

// Deadline, Done and Err implement context.Context.
func (c timeLimit) Deadline() (time.Time, bool) {
	if at, ok := c.Context.Deadline(); ok && (c.deadline.IsZero() || at.Before(c.deadline)) {
		return at, true
	}
	return c.deadline, !c.deadline.IsZero()
}

func (c timeLimit) Done() <-chan struct{} { return c.done }

func (c timeLimit) Err() error {
	err := c.Context.Err()
	if err != nil && context.Cause(c.Context) == context.DeadlineExceeded {
		return context.DeadlineExceeded
	}
	return err
}

// AfterFunc is what package context calls for what descends from c, in place of starting a
// goroutine.
func (c timeLimit) AfterFunc(f func()) (stop func() bool) { return context.AfterFunc(c.Context, f) }
