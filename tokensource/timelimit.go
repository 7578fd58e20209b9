package tokensource

import (
	"context"
	"time"
)

// maxLate is how late a timer is at most in a process that runs.
const maxLate = time.Second

// slept reports whether this process was stopped during a call that began at start and had
// limit for its answer: that it took longer says nothing about who was called then.
func slept(start time.Time, limit time.Duration) bool { return elapsed(start) > limit+maxLate }

// within waits for an answer, for as long as limit.
func within[T any](limit time.Duration, answers <-chan returned[T]) (a returned[T], ok bool) {
	return received(answers, time.Now(), limit, 2*maxLate) // the context that Config has may have maxLate more
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
	if !slept(start, limit) {
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

// timeLimit is a context like that of context.WithTimeout, which leaves maxLate more to a
// process that was stopped.
type timeLimit struct {
	context.Context
	deadline time.Time
}

// withTimeLimit returns the context of a call that began at start.
func withTimeLimit(parent context.Context, start time.Time, limit time.Duration) (context.Context, context.CancelFunc) {
	c := timeLimit{deadline: start.Add(limit)}
	if earlier, ok := parent.Deadline(); ok && earlier.Before(c.deadline) {
		c.deadline = earlier
	}
	var end context.CancelCauseFunc
	c.Context, end = context.WithCancelCause(parent)
	go func() {
		if _, ended := received(c.Done(), start, limit, maxLate); !ended {
			end(context.DeadlineExceeded)
		}
	}()
	return c, func() { end(nil) }
}

// Deadline and Err implement context.Context.
func (c timeLimit) Deadline() (time.Time, bool) { return c.deadline, true }

func (c timeLimit) Err() error {
	err := c.Context.Err()
	if err != nil && context.Cause(c.Context) == context.DeadlineExceeded {
		return context.DeadlineExceeded
	}
	return err
}
