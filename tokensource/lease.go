package tokensource

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
)

const (
	// leaseTime is how long an attempt that nobody renews keeps others off. It is
	// measured by each observer on its own monotonic clock from the moment it
	// first saw that version of the record, so no two clocks are compared. Six
	// seconds end within most grace windows of rotating providers, so that a
	// crash's successor is still given a token.
	leaseTime = 6 * time.Second

	// renewal is how often a waiting owner renews its attempt: thrice a lease, so
	// that two renewals may fail.
	renewal = 2 * time.Second

	// margin is how much of the lease must be left when the request is sent.
	margin = leaseTime / 2

	// pollMin and pollMax bound the wait between two looks at someone else's
	// attempt.
	pollMin = 50 * time.Millisecond
	pollMax = 500 * time.Millisecond
)

// lease is the right to spend a connection's refresh token: an attempt in its record,
// which is renewed for as long as an answer is awaited, and the store's lock, if it has one.
type lease struct {
	m      *Manager
	key    string
	id     string // of the attempt; "" if there is none
	unlock func() // nil if the store's lock isn't held

	polls  int             // how often someone else had it
	seen   storage.Version // of the record then
	seenAt time.Time       // when that was first seen

	mu       gate // guards what follows while the attempt is renewed
	cell     cell // as the attempt was last written
	since    time.Time
	lost     bool // someone else wrote the record
	tookOver bool // from someone else

	stop func() // ends the renewals
}

func (s *Source) newLease() *lease {
	return &lease{m: s.m, key: s.key, mu: newGate()}
}

// release gives the store's lock back. An attempt that is left in the record ends by itself.
func (l *lease) release() {
	if l.unlock != nil {
		l.unlock()
		l.unlock = nil
	}
}

// lock takes the store's lock, if the store has one, and reports whether it did so now.
func (l *lease) lock(ctx context.Context) (taken bool, err error) {
	if l.unlock != nil {
		return false, nil
	}
	unlock, err := l.m.Store.Lock(ctx, l.key)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("tokensource: can't lock connection %q: %w", l.key, err)
	}
	l.unlock = unlock
	return true, nil
}

// errBusy is the error of an acquire that someone else has kept waiting for too long.
var errBusy = errors.New("tokensource: another process is refreshing the token")

// acquire makes the lease ours, if it is free, or its owner has died. c is the record as
// it was just read. If acquire returns false it has waited a little, and the record has to be
// read again.
func (l *lease) acquire(ctx context.Context, c cell) (ok bool, err error) {
	if taken, err := l.lock(ctx); taken || err != nil {
		return false, err // what was read before the lock was held is stale
	}
	others := c.Attempt != nil && !c.heldBy(l.id)
	if others && l.unlock == nil && !l.abandoned(c.version) {
		return false, l.pause(ctx)
	}
	if l.id == "" {
		l.id = rand.Text()
	}
	l.lost, l.since = false, time.Now() // before the write: others count from when they see it
	next := c.claimed(l.id, l.since)
	version, err := l.m.write(ctx, l.key, next, c.version)
	if errors.Is(err, storage.ErrConflict) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	l.cell, l.tookOver = cell{next, version}, l.tookOver || others
	if l.unlock == nil && elapsed(l.since) > leaseTime-margin {
		return false, l.pause(ctx) // too slow to be sure: claim it again
	}
	return true, nil
}

// abandoned reports whether the record has been seen at the same version for longer
// than a lease.
func (l *lease) abandoned(v storage.Version) bool {
	if l.seen != v {
		l.seen, l.seenAt = v, time.Now()
	}
	return time.Since(l.seenAt) > leaseTime
}

// pause waits before the record is looked at again.
func (l *lease) pause(ctx context.Context) error {
	d := min(pollMin<<min(l.polls, 10), pollMax)
	l.polls++
	timer := time.NewTimer(d/2 + time.Duration(l.m.random()*float64(d/2)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errBusy, ctx.Err())
	}
}

// keep renews the attempt until stop is called. With the store's lock there is no need:
// no one can take over.
func (l *lease) keep(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	l.stop = func() {
		cancel()
		wg.Wait()
	}
	if l.unlock != nil {
		return
	}
	wg.Go(func() {
		ticker := time.NewTicker(renewal)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				l.renew(ctx, false)
			case <-ctx.Done():
				return
			}
		}
	})
}

// renew writes the attempt again. A failure is left to the next renewal: the request is on
// its way, and only its answer counts.
func (l *lease) renew(ctx context.Context, answerLost bool) {
	ctx, cancel := context.WithTimeout(ctx, renewal) // one that hangs must not outlast the lease
	defer cancel()
	if l.mu.lock(ctx) != nil {
		return // the answer is there
	}
	defer l.mu.unlock()
	if l.lost {
		return
	}
	start := time.Now()
	c, ok, err := l.m.update(ctx, l.key, l.cell, func(stored *record) *record {
		return stored.renewed(l.cell.ID, l.id, answerLost)
	})
	switch {
	case ok:
		l.cell, l.since = c, start
	case err == nil, errors.Is(err, storage.ErrNotFound):
		l.lost = true
	}
}

// doubt records that an answer was lost, and reports whether the lease is still ours, so
// that the refresh token may be sent again.
func (l *lease) doubt(ctx context.Context) bool {
	l.renew(ctx, true)
	_ = l.mu.lock(ctx) // never done
	defer l.mu.unlock()
	return l.unlock != nil || !l.lost && elapsed(l.since) < leaseTime-margin
}

// elapsed is how long ago start was, by the monotonic clock or by the wall clock,
// which runs on while the machine sleeps, whichever says more.
func elapsed(start time.Time) time.Duration {
	now := time.Now()
	return max(now.Sub(start), now.Round(0).Sub(start.Round(0)))
}
