package tokensource

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
)

const (
	// lease is how long an attempt that nobody renews keeps others off. It is
	// measured by each observer on its own monotonic clock from the moment it
	// first saw that version of the record, so no two clocks are compared. Six
	// seconds end within most grace windows of rotating providers, so that a
	// crash's successor is still given a token.
	lease = 6 * time.Second

	// renewal is how often a waiting owner renews its attempt: thrice a lease, so
	// that two renewals may fail.
	renewal = 2 * time.Second

	// margin is how much of the lease must be left when the request is sent.
	margin = lease / 2

	// storeTimeout ends an operation of the store that hangs.
	storeTimeout = 10 * time.Second

	// defaultRefreshTimeout ends a token request that hangs. Token endpoints
	// answer in well under a second, but a request that is given up too early can
	// cost a refresh token.
	defaultRefreshTimeout = 30 * time.Second

	// pollMin and pollMax bound the wait between two looks at someone else's
	// attempt.
	pollMin = 50 * time.Millisecond
	pollMax = 500 * time.Millisecond

	// recheck is how long an error is repeated before the record is looked at
	// again: another process may have mended it.
	recheck = time.Second
)

// turn is one flight's work at a connection: it waits for its turn, refreshes, and
// saves. The order of its steps is what keeps tokens from being lost; the package
// documentation, under "How a refresh works", says why.
type turn struct {
	s   *Source
	m   *Manager
	ctx context.Context // of the flight, never done

	// waiting is done when it has taken too long to get our turn. It doesn't
	// limit what follows: a refresh that was sent is never given up.
	waiting context.Context

	id      string // of our attempt
	locked  bool   // we hold the store's lock
	release func() // gives it back
	polls   int
	seen    storage.Version // someone else's attempt
	seenAt  time.Time       // and when it was first seen
	events  []Event         // to be delivered when no mutex is held
}

// refresh is the body of a flight: it brings the connection up to date and returns
// the token to serve.
func (s *Source) refresh(ctx context.Context) (snap *snapshot, err error) {
	waiting, cancel := context.WithTimeout(ctx, 3*s.m.refreshTimeout()+lease)
	defer cancel()
	t := &turn{s: s, m: s.m, ctx: ctx, waiting: waiting, id: s.unsent}
	defer t.unlock()
	if err := s.savePending(ctx); err != nil {
		snap, err = t.storeFailed(err)
		t.deliver()
		return snap, err
	}
	for settled := false; !settled; {
		snap, err, settled = t.step()
		t.deliver()
	}
	return snap, err
}

func (t *turn) emit(e Event) {
	e.Key = t.s.key
	t.events = append(t.events, e)
}

func (t *turn) deliver() {
	for _, e := range t.events {
		t.m.emit(t.ctx, e)
	}
	t.events = nil
}

// step takes one look at the record and does what it calls for. If that settles
// nothing, the record has to be looked at again.
func (t *turn) step() (snap *snapshot, err error, settled bool) {
	s := t.s
	rec, version, snap, err, settled := t.look()
	if settled {
		return snap, err, true
	}

	// The token has to be refreshed, and may be.
	if !t.locked {
		if err := t.lock(t.waiting); err != nil {
			snap, err = t.storeFailed(err)
			return snap, err, true
		}
		if t.locked {
			return nil, nil, false // what was read before the lock was held is stale
		}
	}
	mine := *rec
	if t.othersAttempt(rec) {
		if !t.locked && !t.leaseIsOver(version) {
			return t.pause(t.waiting)
		}
		// Its owner is dead or asleep, and has perhaps spent the refresh token; or its
		// request is still on the way, to arrive after ours and be taken for reuse.
		mine.InDoubt, mine.Contested = true, true
	}
	start := time.Now() // before the write: others count from when they see it
	version, err = t.claim(t.waiting, &mine, version)
	s.unsent = t.id
	if errors.Is(err, storage.ErrConflict) {
		return nil, nil, false
	}
	if err != nil {
		snap, err = t.storeFailed(err)
		return snap, err, true
	}
	if t.othersAttempt(rec) {
		t.emit(Event{Kind: EventTakenOver})
	}
	if !t.locked && elapsed(start) > lease-margin {
		return t.pause(t.waiting) // too slow to be sure: claim it again
	}
	return t.spend(&mine, version, start)
}

// look reads the record. What follows from it alone, without a refresh, is
// settled: another process's token to adopt, a failure that stands, a store that
// doesn't work.
func (t *turn) look() (rec *record, version storage.Version, snap *snapshot, err error, settled bool) {
	s := t.s
	if err = s.order.lock(t.waiting); err != nil {
		snap, err = t.storeFailed(err)
		return nil, "", snap, err, true
	}
	defer s.order.unlock()
	rec, version, err = t.m.read(t.waiting, s.key)
	if err != nil {
		snap, err = t.storeFailed(err)
		return nil, "", snap, err, true
	}
	held := s.current.Load()
	if held == nil || held.record.ID != rec.ID {
		snap = s.publish(rec)
		s.lastFailure.Store(nil)
		if held != nil {
			t.emit(Event{Kind: EventAdopted, Expiry: rec.Expiry})
		}
	} else {
		snap = held
	}
	snap, err, settled = t.judge(rec, snap, time.Now())
	return rec, version, snap, err, settled
}

// judge decides whether rec's token, of which snap is a snapshot, is to be
// refreshed now. If not, it is settled what to return.
func (t *turn) judge(rec *record, snap *snapshot, now time.Time) (_ *snapshot, err error, settled bool) {
	s, f := t.s, rec.Failure
	over := snap.times.over(now) || s.isRejected(snap)
	due := snap.times.due(now) || isID(s.stale.Load(), rec.ID)
	switch {
	case f != nil && f.Final:
		s.rejected.Store(&rec.ID) // not served either, however long it is said to live
		return nil, t.note(rec.ID, *f, nil, recheck), true
	case !over && (!due || rec.RefreshToken == ""):
		return snap, nil, true
	case rec.RefreshToken == "":
		return nil, t.loginNeeded(rec, snap, now), true
	}
	n := s.lastFailure.Load()
	if f != nil && (n == nil || n.id != rec.ID || !n.failure.At.Equal(f.At)) {
		// Another process's failure. Its clock may differ from ours, so what counts
		// is for how long it meant to wait, less what has passed by our clock.
		meant := min(max(f.Next.Sub(f.At), 0), maxRetryAfter) // 0 if it has no Next
		if wait := meant - max(now.Round(0).Sub(f.At), 0); wait > 0 {
			_ = t.note(rec.ID, *f, nil, wait)
			n = s.lastFailure.Load()
		}
	}
	if n == nil || n.id != rec.ID || n.failure.Reason == ReasonStore || !now.Before(n.holdOff) {
		return nil, nil, false
	}
	if !over {
		return s.hold(snap, n.holdOff), nil, true
	}
	again := *n
	again.until = now.Add(min(recheck, n.holdOff.Sub(now)))
	s.lastFailure.Store(&again)
	return nil, n.err, true
}

// loginNeeded is the error for a token that has ended and can't be refreshed.
func (t *turn) loginNeeded(rec *record, snap *snapshot, now time.Time) error {
	reason := ReasonExpired
	if t.s.isRejected(snap) {
		reason = ReasonRejected
	}
	n := t.s.lastFailure.Load()
	news := n == nil || n.id != rec.ID || n.failure.Reason != reason
	err := t.note(rec.ID, failure{Reason: reason, At: now.Round(0).UTC(), Final: true}, nil, recheck)
	if news {
		t.emit(Event{Kind: EventLoginRequired, Reason: reason, Err: err})
	}
	return err
}

// note remembers a failure in this process, and returns it as an error. No refresh
// is tried for the given time; whether another process has mended it is looked at
// again earlier.
func (t *turn) note(id string, f failure, cause error, wait time.Duration) error {
	now := time.Now()
	n := &noted{id: id, failure: f, until: now.Add(min(wait, recheck)), holdOff: now.Add(wait)}
	if f.Final {
		n.err = &loginError{t.s.key, f, cause}
	} else {
		n.err = &refreshError{t.s.key, f, cause}
	}
	t.s.lastFailure.Store(n)
	return n.err
}

// storeFailed ends the flight because the store didn't work. A token that is still
// valid is served on.
func (t *turn) storeFailed(cause error) (*snapshot, error) {
	s, now := t.s, time.Now()
	if errors.Is(cause, storage.ErrNotFound) {
		s.current.Store(nil) // it was disconnected
		return nil, cause
	}
	held := s.current.Load()
	f := failure{Reason: ReasonStore, At: now.Round(0).UTC(), Count: 1}
	if n := s.lastFailure.Load(); n != nil && n.failure.Reason == ReasonStore {
		f.Count = n.failure.Count + 1
	}
	wait := backoff(f.Count, 0, t.m.random())
	f.Next = now.Add(wait).Round(0).UTC()
	id := ""
	if held != nil {
		id = held.record.ID
	}
	err := t.note(id, f, cause, wait)
	t.emit(Event{Kind: EventFailed, Reason: ReasonStore, Err: err})
	if held != nil && !held.times.over(now) && !s.isRejected(held) {
		return s.hold(held, now.Add(wait)), nil
	}
	return nil, err
}

// lock takes the store's lock, if the store has one.
func (t *turn) lock(ctx context.Context) error {
	release, err := t.m.Store.Lock(ctx, t.s.key)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return nil
	case err != nil:
		return fmt.Errorf("tokensource: can't lock connection %q: %w", t.s.key, err)
	}
	t.locked, t.release = true, release
	return nil
}

func (t *turn) unlock() {
	if t.release != nil {
		t.release()
	}
}

// othersAttempt reports whether someone else's attempt is in the record.
func (t *turn) othersAttempt(rec *record) bool {
	return rec.Attempt != nil && rec.Attempt.ID != t.id
}

// leaseIsOver reports whether the record has been seen at the same version for
// longer than a lease.
func (t *turn) leaseIsOver(v storage.Version) bool {
	if t.seen != v {
		t.seen, t.seenAt = v, time.Now()
	}
	return time.Since(t.seenAt) > lease
}

// pause waits before the record is looked at again.
func (t *turn) pause(ctx context.Context) (*snapshot, error, bool) {
	d := min(pollMin<<min(t.polls, 10), pollMax)
	t.polls++
	timer := time.NewTimer(d/2 + time.Duration(t.m.random()*float64(d/2)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil, nil, false
	case <-ctx.Done():
		f := failure{Reason: ReasonUnavailable, At: time.Now().Round(0).UTC()}
		return nil, t.note("", f, ctx.Err(), 0), true
	}
}

// claim writes our attempt into rec, and rec into the store.
func (t *turn) claim(ctx context.Context, rec *record, version storage.Version) (storage.Version, error) {
	if t.id == "" {
		t.id = rand.Text()
	}
	a := attempt{ID: t.id, Started: time.Now().Round(0).UTC()}
	if rec.Attempt != nil {
		a.Renewed = rec.Attempt.Renewed + 1
	}
	rec.Attempt = &a
	return t.m.write(ctx, t.s.key, rec, version)
}

// elapsed is how long ago start was, by the monotonic clock or by the wall clock,
// which runs on while the machine sleeps, whichever says more.
func elapsed(start time.Time) time.Duration {
	now := time.Now()
	return max(now.Sub(start), now.Round(0).Sub(start.Round(0)))
}
