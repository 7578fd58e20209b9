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
// owner lives. Nobody can ask whether that is so, and no two clocks are compared: an owner
// writes its attempt anew while it waits for an answer, and others take over when they
// have seen that nothing was written for leaseTime. So a living owner has to write more often
// than that, on a store that takes up to storeLimit for a call:
//
//	claimLimit + renewal + storeLimit < leaseTime
//
// Others may see a write as soon as it begins, and see the next one only when it returns. In
// between are at most claimLimit until the claim has returned (one that took longer isn't
// used), a renewal until the next write begins, and storeLimit until that returns. Later
// writes are no further apart: each begins a renewal after the one before began, or as soon
// as that has returned.
//
// Others count on what they see. A lease is over if a look began more than a lease after
// the first look that saw the same version had ended, and no two looks in between were
// further apart than maxGap: while a read hangs, or a process sleeps, nothing is seen, and
// what held it up has perhaps held up the owner's writes as well.
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

	// maxGap is a look that takes as long as a call of the store may, and the pause
	// before it.
	maxGap = storeLimit + 2*pollMax
)

// lease is the right to spend a connection's refresh token: an attempt in its record,
// which is renewed for as long as an answer is awaited, and the store's lock, if it has one.
type lease struct {
	m      *Manager
	name   string
	id     string      // of the attempt; "" if there is none
	unlock func()      // nil if the store's lock isn't held
	others observation // of someone else's attempt
	tries  int         // looks after which the record had to be looked at again
	slot   bool        // a place among those that have claimed and not saved yet
	slow   int         // claims that took too long

	conflicts int // writes that the store has refused

	latest atomic.Pointer[versioned] // as the attempt was last written

	mu       semaphore // guards what follows while the attempt is renewed
	since    time.Time // when the claim, or the last renewal that succeeded, began
	lost     bool      // someone else wrote the record
	tookOver bool      // from someone else

	stop func() // ends the renewals
}

func (s *Source) newLease() *lease {
	return &lease{m: s.m, name: s.name, mu: make(semaphore, 1), stop: func() {}}
}

// enter takes a place among those that have claimed and not saved yet. Nobody is kept off by
// the store's lock meanwhile.
func (l *lease) enter(ctx context.Context) (waited bool, err error) {
	select {
	case l.m.set.claims <- struct{}{}:
	default:
		waited = true
		l.release()
		if err := l.m.set.claims.lock(ctx); err != nil {
			return true, fmt.Errorf("%w: %w", errCrowded, err)
		}
	}
	l.slot = true
	return waited, nil
}

// leave gives the place back.
func (l *lease) leave() {
	if l.slot {
		l.slot = false
		l.m.set.claims.unlock()
	}
}

// release gives the store's lock and the place back. An attempt that is left in the record
// ends by itself.
func (l *lease) release() {
	l.leave()
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
	l.unlock = unlock
	return true, nil
}

// errBusy is the error of an acquire that someone else has kept waiting for too long.
var errBusy = errors.New("another process is refreshing the token")

// errCrowded is an errBusy whose place was waited for.
var errCrowded = fmt.Errorf("%w, or this one is refreshing too many", errBusy)

// errSlow is the error of a claim that took too long to be sure of.
var errSlow = fmt.Errorf("the store takes more than %v to write, which is too long for a refresh that must not be done twice", claimLimit)

// acquire makes the lease ours, if it is free, or its owner has died. If it returns false
// the record has to be read again.
func (l *lease) acquire(ctx context.Context, c versioned, look span) (ok bool, err error) {
	if taken, err := l.lock(ctx); taken || err != nil {
		return false, err // what was read before the lock was held is stale
	}
	others := c.heldByOther(l.id)
	if others && !l.abandoned(c, look) {
		l.leave()
		return false, l.pause(ctx)
	}
	if !l.slot {
		if waited, err := l.enter(ctx); waited || err != nil {
			return false, err // and what was read is stale
		}
	}
	if ok, err = l.claim(ctx, c); ok {
		l.tookOver = others
		return true, nil
	}
	l.leave()
	if err == nil {
		err = l.pause(ctx) // someone else was first
	}
	return false, err
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
		return false, l.conflict()
	case err != nil && !asleep && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return false, l.m.storeError(l.name, errSlow)
	case err != nil && !asleep:
		return false, err
	case !l.fresh():
		if l.slow++; l.slow == maxSlowClaims {
			return false, l.m.storeError(l.name, errSlow)
		}
		return false, nil // the process has slept, perhaps
	}
	l.latest.Store(&versioned{next, version})
	return true, nil
}

// conflict counts a write that the store has refused. It returns an error if there were more
// than others can have caused.
func (l *lease) conflict() error {
	if l.conflicts++; l.conflicts > maxConflicts {
		return l.m.storeError(l.name, refused(l.conflicts))
	}
	return nil
}

// lookAgain is conflict, and a pause before the record is looked at again. That tells if ctx is
// done.
func (l *lease) lookAgain(ctx context.Context) error {
	if err := l.conflict(); err != nil {
		return err
	}
	_ = l.pause(ctx)
	return nil
}

// fresh reports whether the attempt was written so lately that a request may be sent.
func (l *lease) fresh() bool { return elapsed(l.since) <= claimLimit }

// abandoned reports whether the owner of the attempt in c has died.
func (l *lease) abandoned(c versioned, look span) bool {
	if l.unlock != nil && c.Attempt.Locked {
		return true // it held the lock for as long as it lived
	}
	return l.others.see(c.version, look)
}

// pause waits before the record is looked at again.
func (l *lease) pause(ctx context.Context) error {
	if err := l.m.pause(ctx, l.tries); err != nil {
		return fmt.Errorf("%w: %w", errBusy, err)
	}
	l.tries++
	return nil
}

// span is how long something took.
type span struct{ began, ended time.Time }

// observation is what was seen of someone else's attempt.
type observation struct {
	version storage.Version
	since   time.Time // the end of the first look that saw it
	last    time.Time // the end of the last one
}

// see notes that a look saw the version v, and reports whether the lease is over.
func (o *observation) see(v storage.Version, look span) bool {
	if o.version != v || apart(o.last, look.ended) > maxGap {
		*o = observation{v, look.ended, look.ended}
		return false
	}
	o.last = look.ended
	return look.began.Sub(o.since) > leaseTime
}

// keep renews the attempt until stop is called. With the store's lock it does as well: a
// process whose store doesn't show that it has a lock goes by the attempt alone.
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

// current returns the record as the attempt was last written.
func (l *lease) current() versioned { return *l.latest.Load() }

// renew writes the attempt again. A failure is left to the next renewal: the request is on
// its way, and only its answer counts.
func (l *lease) renew(ctx context.Context, answerLost bool) (ok bool) {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	if l.mu.lock(ctx) != nil {
		return false // the answer is there
	}
	defer l.mu.unlock()
	if l.lost {
		return false
	}
	start, ours := time.Now(), l.current()
	c, ok, err := l.m.update(ctx, l.name, ours, func(stored *record) *record {
		return stored.renewed(ours.ID, l.id, answerLost)
	})
	switch {
	case ok:
		l.latest.Store(&c)
		l.since = start
	case err == nil, isGone(err):
		l.lost = true
	case c.record != nil && c.is(ours.ID) && c.heldBy(l.id):
		l.latest.Store(&c) // a write that seemed to fail had happened; the next renewal begins with it
	}
	return ok
}

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
