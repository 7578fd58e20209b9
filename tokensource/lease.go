package tokensource

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
)

// An attempt in a record keeps others from sending the refresh token for as long as its
// owner lives. Nobody can ask whether it does, and no two clocks are compared. So the owner
// writes its attempt again and again while it waits for an answer, and others take over when
// they have seen for leaseTime that nothing was written: see observation. A living owner has to
// write more often than that, on a store that takes up to storeLimit for a call:
//
//	claimLimit + renewal + storeLimit < leaseTime
//
// Others may see a write as soon as it begins, and don't see the next one before it returns.
// In between are at most
//
//	claimLimit  until the claim has returned: one that took longer isn't used
//	renewal     until the next write begins
//	storeLimit  until that has returned
//
// Later writes are no further apart: each begins a renewal after the one before began, or as
// soon as that has returned.
const (
	storeLimit = 3 * time.Second
	claimLimit = storeLimit
	renewal    = time.Second

	// leaseTime ends within most grace windows of rotating providers, so that the
	// successor of a process that crashed is still given a token.
	leaseTime = 7500 * time.Millisecond

	// stopLimit is how long the answer waits for a renewal that is under way to end: a store
	// that doesn't heed its context mustn't keep the new token from being saved.
	stopLimit = 100 * time.Millisecond

	// maxSlowClaims is how many claims in a row may take too long.
	maxSlowClaims = 3
)

// lease is the right to spend a connection's refresh token: an attempt in its record,
// which is renewed for as long as an answer is awaited, and the store's lock, if it has one.
type lease struct {
	m    *Manager
	name string

	id       string      // of our attempt; "" if there is none
	unlock   func()      // gives the store's lock back; nil if it isn't held
	hasPlace bool        // among the maxClaims connections
	seen     observation // of someone else's attempt
	tookOver bool        // someone else's attempt
	gaveBack bool        // our attempt: see giveBack

	looks      int // after which the record had to be looked at again
	slowClaims int
	conflicts  int // writes that the store has refused

	latest atomic.Pointer[versioned] // the record as our attempt was last written
	stop   func()                    // ends the renewals

	mu    semaphore // guards what follows, and is held during a write of the attempt
	since time.Time // when the claim, or the last renewal that succeeded, began
	lost  bool      // someone else wrote the record
}

func (s *Source) newLease() *lease {
	return &lease{m: s.m, name: s.name, mu: make(semaphore, 1), stop: func() {}}
}

var (
	// errBusy is the error of an acquire that someone else has kept waiting for too long.
	errBusy = errors.New("another process is refreshing the token")

	// errCrowded is errBusy where it may be that this process refreshes too many others.
	errCrowded = fmt.Errorf("%w, or this one is refreshing too many", errBusy)

	// errSlow is the error of a claim that took too long to be sure of.
	errSlow = fmt.Errorf("the store takes more than %v to write, which is too long for a refresh that must not be done twice", claimLimit)
)

// acquire makes the lease ours, if it is free, or its owner has died. c is the record, as look
// has found it. If acquire returns false, the record has to be read again.
func (l *lease) acquire(ctx context.Context, c versioned, look span) (ok bool, err error) {
	if taken, err := l.lock(ctx); taken || err != nil {
		return false, err // what was read before the lock was held is stale
	}
	heldByOther := c.heldByOther(l.id)
	if heldByOther && !l.abandoned(c, look) {
		l.leavePlace()
		return false, l.pause(ctx)
	}
	if !l.hasPlace {
		if waited, err := l.takePlace(ctx); waited || err != nil {
			return false, err // and what was read is stale
		}
	}
	if ok, err = l.claim(ctx, c); ok {
		l.tookOver = heldByOther
		return true, nil
	}
	l.leavePlace()
	if err == nil {
		err = l.pause(ctx) // someone else was first
	}
	return false, err
}

// lock takes the store's lock, if the store has one, and reports whether it did so now.
func (l *lease) lock(ctx context.Context) (taken bool, err error) {
	if l.unlock != nil {
		return false, nil
	}
	defer l.m.catchPanic(l.name, &err)
	unlock, err := l.m.Store.Lock(ctx, l.name)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return false, nil
	case err != nil && ctx.Err() != nil:
		return false, fmt.Errorf("%w: %w", errBusy, ctx.Err())
	case err != nil:
		return false, l.m.storeError(l.name, err)
	}
	l.unlock = func() {
		defer func() { _ = recover() }() // most goroutines that unlock are ours, where a panic would end the process
		unlock()
	}
	return true, nil
}

// abandoned reports whether the owner of the attempt in c has died.
func (l *lease) abandoned(c versioned, look span) bool {
	if l.unlock != nil && c.Attempt.Locked {
		return true // it held the lock for as long as it lived
	}
	return l.seen.see(c.version, look)
}

// takePlace waits for a place among the maxClaims connections, with the store's lock given back:
// nobody is kept off meanwhile.
func (l *lease) takePlace(ctx context.Context) (waited bool, err error) {
	select {
	case l.m.set.claims <- struct{}{}:
	default:
		waited = true
		l.release()
		if err := l.m.set.claims.lock(ctx); err != nil {
			return true, fmt.Errorf("%w: %w", errCrowded, err)
		}
	}
	l.hasPlace = true
	return waited, nil
}

func (l *lease) leavePlace() {
	if l.hasPlace {
		l.hasPlace = false
		l.m.set.claims.unlock()
	}
}

// claim writes our attempt into the record.
func (l *lease) claim(ctx context.Context, c versioned) (ok bool, err error) {
	if l.id == "" {
		l.id = newID()
	}
	ctx, cancel := context.WithTimeout(ctx, claimLimit)
	defer cancel()
	if err := l.mu.lock(ctx); err != nil { // a renewal that doesn't end
		return false, l.m.storeError(l.name, err)
	}
	defer l.mu.unlock()
	l.lost, l.since = false, time.Now() // before the write: others count from when they see it
	next := c.claimed(l.id, l.unlock != nil, l.since)
	version, err := l.m.write(ctx, l.name, next, c.version)
	asleep := slept(l.since, claimLimit)
	switch {
	case errors.Is(err, storage.ErrConflict):
		return false, l.countConflict()
	case err != nil && !asleep && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return false, l.m.storeError(l.name, errSlow)
	case err != nil && !asleep:
		return false, err
	case !l.fresh():
		if l.slowClaims++; l.slowClaims == maxSlowClaims {
			return false, l.m.storeError(l.name, errSlow)
		}
		return false, nil // the process has slept, perhaps
	}
	l.latest.Store(&versioned{next, version})
	return true, nil
}

// fresh reports whether the attempt was written so lately that a request may be sent.
func (l *lease) fresh() bool { return elapsed(l.since) <= claimLimit }

// keep renews the attempt until stop is called, also under the store's lock: a process that
// reaches the store without its lock goes by the attempt alone.
func (l *lease) keep() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	l.stop = func() {
		cancel()
		limit := time.NewTimer(stopLimit)
		defer limit.Stop()
		select {
		case <-done:
		case <-limit.C:
		}
	}
	begun := l.since
	go func() {
		defer close(done)
		for ctx.Err() == nil { // select may choose the timer although the answer is there
			timer := time.NewTimer(max(renewal-elapsed(begun), 0))
			select {
			case <-timer.C:
				if begun = time.Now(); ctx.Err() == nil {
					l.renew(ctx, false)
				}
			case <-ctx.Done():
				timer.Stop()
				return
			}
		}
	}()
}

// renew writes the attempt again. A failure is left to the next renewal: the request is on
// its way, and only its answer counts.
func (l *lease) renew(ctx context.Context, answerLost bool) (ok bool) {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	if l.mu.lock(ctx) != nil {
		return false // stop was called, or the renewal before hangs
	}
	defer l.mu.unlock()
	if l.lost {
		return false
	}
	began, ours := time.Now(), l.current()
	c, ok, err := l.m.update(ctx, l.name, ours, func(stored *record) *record {
		return stored.renewed(ours.ID, l.id, answerLost)
	})
	switch {
	case ok:
		l.latest.Store(&c)
		l.since = began
	case err == nil, isGone(err):
		l.lost = true
	case c.record != nil && c.is(ours.ID) && c.heldBy(l.id):
		l.latest.Store(&c) // a renewal that seemed to fail has happened: the next one goes on from it
	}
	return ok
}

// current returns the record as the attempt was last written.
func (l *lease) current() versioned { return *l.latest.Load() }

// answerLost records that an answer was lost, and reports whether the lease is still ours,
// so that the refresh token may be sent again.
func (l *lease) answerLost() bool {
	if !l.renew(context.Background(), true) {
		return false
	}
	_ = l.mu.lock(context.Background())
	defer l.mu.unlock()
	return l.fresh()
}

// release gives the store's lock and the place back. An attempt that is left in the record
// ends by itself.
func (l *lease) release() {
	l.leavePlace()
	if l.unlock != nil {
		l.unlock()
		l.unlock = nil
	}
}

// pause waits before the record is looked at again.
func (l *lease) pause(ctx context.Context) error {
	if err := l.m.pause(ctx, l.looks); err != nil {
		return fmt.Errorf("%w: %w", errBusy, err)
	}
	l.looks++
	return nil
}

// countConflict counts a write that the store has refused. It returns an error if there were
// more than others can have caused.
func (l *lease) countConflict() error {
	if l.conflicts++; l.conflicts > maxConflicts {
		return l.m.storeError(l.name, refusedSwaps(l.conflicts))
	}
	return nil
}

// pauseAfterConflict counts a write that the store has refused, and waits before the record is
// looked at again. It leaves it to that look to say that ctx is done.
func (l *lease) pauseAfterConflict(ctx context.Context) error {
	if err := l.countConflict(); err != nil {
		return err
	}
	_ = l.pause(ctx)
	return nil
}
