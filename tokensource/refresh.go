package tokensource

import (
	"context"
	"errors"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
)

const (
	// storeTimeout ends an operation of the store that hangs.
	storeTimeout = 10 * time.Second

	// defaultRefreshTimeout ends a token request that hangs. Token endpoints
	// answer in well under a second, but a request that is given up too early can
	// cost a refresh token.
	defaultRefreshTimeout = 30 * time.Second

	// recheck is how long an error is repeated before the record is looked at
	// again: another process may have mended it.
	recheck = time.Second
)

// refresh is one flight's work at a connection. The order of its steps is what keeps
// tokens from being lost; the package documentation, under "How a refresh works", says why.
type refresh struct {
	s   *Source
	m   *Manager
	ctx context.Context // of the flight, never done

	// waiting is done when it has taken too long to get the lease. It doesn't
	// limit what follows: a refresh that was sent is never given up.
	waiting context.Context

	lease  *lease
	events []Event // to be delivered when no mutex is held
}

// ending is what a flight comes to: the token to serve, or an error.
type ending struct {
	snap *snapshot
	err  error
}

// refresh is the body of a flight: it brings the connection up to date and returns
// the token to serve.
func (s *Source) refresh(ctx context.Context) (*snapshot, error) {
	waiting, cancel := context.WithTimeout(ctx, 3*s.m.refreshTimeout()+leaseTime)
	defer cancel()
	r := &refresh{s: s, m: s.m, ctx: ctx, waiting: waiting, lease: s.newLease()}
	r.lease.id = s.unsent
	defer r.lease.release()
	var end *ending
	if err := s.savePending(ctx); err != nil {
		end = r.storeFailed(err)
	}
	for end == nil {
		r.deliver()
		end = r.step()
	}
	r.deliver()
	return end.snap, end.err
}

// step takes one look at the record and does what it calls for. If that settles nothing,
// it returns nil, and the record has to be looked at again.
func (r *refresh) step() *ending {
	c, end := r.look()
	if end != nil {
		return end
	}
	ok, err := r.lease.acquire(r.waiting, c)
	r.s.unsent = r.lease.id // it may be in the record, and has spent nothing
	switch {
	case errors.Is(err, errBusy):
		return &ending{nil, r.note("", failure{Reason: ReasonUnavailable, At: now()}, r.waiting.Err(), 0)}
	case err != nil:
		return r.storeFailed(err)
	case !ok:
		return nil
	}
	if r.lease.tookOver {
		r.emit(Event{Kind: EventTakenOver})
		r.lease.tookOver = false
	}
	r.s.unsent = ""
	refreshToken := r.lease.cell.RefreshToken
	r.lease.keep(r.ctx)
	defer r.lease.stop() // also if Config panics
	token, o, err := r.ask(refreshToken, func() bool { return r.lease.doubt(r.ctx) })
	r.lease.stop()
	parent := r.lease.cell
	if err != nil {
		return r.failed(parent, o, err)
	}
	return r.save(parent, parent.refreshed(token, time.Now()))
}

func now() time.Time { return time.Now().Round(0).UTC() }

func (r *refresh) emit(e Event) {
	e.Connection = r.s.key
	r.events = append(r.events, e)
}

func (r *refresh) deliver() {
	for _, e := range r.events {
		r.m.emit(r.ctx, e)
	}
	r.events = nil
}

// look reads the record. What follows from it alone, without a refresh, is
// settled: another process's token to adopt, a failure that stands, a store that
// doesn't work.
func (r *refresh) look() (cell, *ending) {
	s := r.s
	if err := s.order.lock(r.waiting); err != nil {
		return cell{}, r.storeFailed(err)
	}
	defer s.order.unlock()
	c, err := r.m.load(r.waiting, s.key)
	if err != nil {
		return cell{}, r.storeFailed(err)
	}
	held := s.current.Load()
	snap := s.publish(c.record)
	if held == nil || held != snap {
		s.lastFailure.Store(nil)
		if held != nil {
			r.emit(Event{Kind: EventAdopted, Expiry: c.Expiry})
		}
	}
	return c, r.judge(c.record, snap, time.Now())
}

// judge decides whether rec's token, of which snap is a snapshot, is to be
// refreshed now, and if not, what to return.
func (r *refresh) judge(rec *record, snap *snapshot, now time.Time) *ending {
	s, f := r.s, rec.Failure
	over := snap.times.over(now) || s.isRejected(snap)
	due := snap.times.due(now) || isID(s.stale.Load(), rec.ID)
	switch {
	case f != nil && f.Final:
		s.rejected.Store(&rec.ID) // not served either, however long it is said to live
		return &ending{nil, r.note(rec.ID, *f, nil, recheck)}
	case !over && (!due || rec.RefreshToken == ""):
		return &ending{snap, nil}
	case rec.RefreshToken == "":
		return &ending{nil, r.loginNeeded(rec, snap, now)}
	}
	n := s.lastFailure.Load()
	if f != nil && (n == nil || n.id != rec.ID || !n.failure.At.Equal(f.At)) {
		// Another process's failure. Its clock may differ from ours, so what counts
		// is for how long it meant to wait, less what has passed by our clock.
		meant := min(max(f.Next.Sub(f.At), 0), maxRetryAfter) // 0 if it has no Next
		if wait := meant - max(now.Round(0).Sub(f.At), 0); wait > 0 {
			_ = r.note(rec.ID, *f, nil, wait)
			n = s.lastFailure.Load()
		}
	}
	if n == nil || n.id != rec.ID || n.failure.Reason == ReasonStore || !now.Before(n.holdOff) {
		return nil
	}
	if !over {
		return &ending{s.hold(snap, n.holdOff), nil}
	}
	again := *n
	again.until = now.Add(min(recheck, n.holdOff.Sub(now)))
	s.lastFailure.Store(&again)
	return &ending{nil, n.err}
}

// loginNeeded is the error for a token that has ended and can't be refreshed.
func (r *refresh) loginNeeded(rec *record, snap *snapshot, now time.Time) error {
	reason := ReasonExpired
	if r.s.isRejected(snap) {
		reason = ReasonRejected
	}
	n := r.s.lastFailure.Load()
	news := n == nil || n.id != rec.ID || n.failure.Reason != reason
	err := r.note(rec.ID, failure{Reason: reason, At: now.Round(0).UTC(), Final: true}, nil, recheck)
	if news {
		r.emit(Event{Kind: EventLoginRequired, Reason: reason, Err: err})
	}
	return err
}

// note remembers a failure in this process, and returns it as an error. No refresh
// is tried for the given time; whether another process has mended it is looked at
// again earlier.
func (r *refresh) note(id string, f failure, cause error, wait time.Duration) error {
	now := time.Now()
	n := &noted{id: id, failure: f, until: now.Add(min(wait, recheck)), holdOff: now.Add(wait)}
	if f.Final {
		n.err = &loginError{r.s.key, f, cause}
	} else {
		n.err = &refreshError{r.s.key, f, cause}
	}
	r.s.lastFailure.Store(n)
	return n.err
}

// storeFailed ends the flight because the store didn't work. A token that is still
// valid is served on.
func (r *refresh) storeFailed(cause error) *ending {
	s, now := r.s, time.Now()
	if errors.Is(cause, storage.ErrNotFound) {
		s.current.Store(nil) // it was disconnected
		return &ending{nil, cause}
	}
	f := failure{Reason: ReasonStore, At: now.Round(0).UTC(), Count: 1}
	if n := s.lastFailure.Load(); n != nil && n.failure.Reason == ReasonStore {
		f.Count = n.failure.Count + 1
	}
	wait := backoff(f.Count, 0, r.m.random())
	f.Next = now.Add(wait).Round(0).UTC()
	id := ""
	if held := s.current.Load(); held != nil {
		id = held.record.ID
	}
	return r.giveUp(id, f, cause, wait)
}

// save replaces the token of parent by next, publishes it and settles the flight.
func (r *refresh) save(parent cell, next *record) *ending {
	s := r.s
	_ = s.order.lock(r.ctx) // r.ctx is never done
	defer s.order.unlock()
	u := &unsaved{record: next, parent: parent, attempt: r.lease.id}
	winner, saved, err := u.save(r.ctx, s)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		s.current.Store(nil) // disconnected meanwhile: that is the later decision
		return &ending{nil, err}
	case err != nil:
		snap := s.publish(next)
		u.release, r.lease.unlock = r.lease.unlock, nil
		r.keepUnsaved(u, err)
		return &ending{snap, nil}
	}
	s.lastFailure.Store(nil)
	snap := s.publish(winner)
	kind := EventRefreshed
	if !saved {
		kind = EventAdopted
	}
	r.emit(Event{Kind: kind, Expiry: winner.Expiry})
	return &ending{snap, nil}
}

// failed records that the refresh of parent, which holds our attempt, has failed, and
// settles the flight unless someone else has changed the record meanwhile.
func (r *refresh) failed(parent cell, o outcome, cause error) *ending {
	s, now := r.s, time.Now()
	f := failure{Reason: o.reason, Code: o.code, At: now.Round(0).UTC(), Count: 1}
	if parent.Failure != nil {
		f.Count = parent.Failure.Count + 1
	} else if n := s.lastFailure.Load(); n != nil && n.id == parent.ID {
		f.Count = n.failure.Count + 1
	}
	wait := backoff(f.Count, o.retryAfter, r.m.random())
	next := now.Add(wait).Round(0).UTC()
	switch o.reason {
	case ReasonRevoked:
		f.Final, f.Count, wait = true, 0, recheck
	case ReasonMisconfigured:
		// Another process may be configured rightly, as during a rollover of the
		// client's secret: it must not wait because of us.
	default:
		f.Next = next
	}
	ended := parent.failed(parent.ID, r.lease.id, f, o.inDoubt)
	_, changed, err := r.m.update(r.ctx, s.key, parent, func(stored *record) *record {
		e := stored.failed(parent.ID, r.lease.id, f, o.inDoubt)
		if e != nil {
			ended = e
		}
		return e
	})
	if !changed && (err == nil || errors.Is(err, storage.ErrNotFound)) { // a newer token is there, or whoever took over: look again
		if o.reason == ReasonRevoked || o.inDoubt {
			r.m.update(r.ctx, s.key, cell{}, func(stored *record) *record { return stored.contested(parent.record) }) // it is only a note
		}
		r.lease.id = ""
		return nil
	}
	f = *ended.Failure
	if err != nil && !ended.InDoubt {
		s.unsent = r.lease.id // our attempt may still be in the record, and spent nothing
	}
	if err != nil && f.Final {
		return r.storeFailed(err) // perhaps someone else has a newer token
	}
	if !f.Final {
		f.Next = next
	}
	return r.giveUp(parent.ID, f, cause, wait)
}

// giveUp settles the flight with a failure. A token that is still valid is served
// on, and for a transient failure no refresh is tried for the given time.
func (r *refresh) giveUp(id string, f failure, cause error, wait time.Duration) *ending {
	s, now := r.s, time.Now()
	err := r.note(id, f, cause, wait)
	kind := EventFailed
	if f.Final {
		kind = EventLoginRequired
		s.rejected.Store(&id)
	}
	r.emit(Event{Kind: kind, Reason: f.Reason, Err: err})
	snap := s.current.Load()
	if snap == nil || snap.record.ID != id || snap.times.over(now) || s.isRejected(snap) {
		return &ending{nil, err}
	}
	return &ending{s.hold(snap, now.Add(wait)), nil}
}
