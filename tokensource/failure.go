package tokensource

import (
	"context"
	"errors"
	"time"
)

// lastFailure is the last failure, as this process knows it.
type lastFailure struct {
	failure
	err     *Error
	until   time.Time // the error is returned without looking again until then
	holdOff time.Time // no refresh is tried before
	untold  time.Time // when a final failure was perhaps written; no event has told of it
}

// giveUp settles the flight because only the user can help. What isn't in the record yet is
// written there, and told by the process that did so.
func (f *flight) giveUp(c versioned, v *view, fail failure) {
	e := newError(f.s.name, fail, nil)
	told := v.lastFailure != nil && v.lastFailure.Final
	if c.Failure != nil && c.Failure.Final {
		if t := v.lastFailure; t != nil && !t.untold.IsZero() && t.untold.Equal(c.Failure.At) {
			f.emit(Event{Kind: EventLoginRequired, Reason: fail.Reason, Err: e})
		}
		f.remember(v, fail, e, recheck)
		return
	}
	f.basis = f.s.known()
	began := time.Now()
	after, changed, err := f.m.update(f.waiting, f.s.name, c, func(stored *record) *record { return stored.ended(c.ID, fail) })
	if changed {
		f.s.publish(f.basis, after.record, began)
	}
	if (changed || err != nil) && !told {
		f.emit(Event{Kind: EventLoginRequired, Reason: fail.Reason, Err: e})
	}
	f.remember(v, fail, e, recheck)
}

// untold remembers a failure of the token id that was perhaps written, and is to be told if
// it is found in the record.
func (s *Source) untold(id string, at time.Time) {
	s.note(id, func(next *view) {
		t := lastFailure{}
		if next.lastFailure != nil {
			t = *next.lastFailure
		}
		t.untold = at
		next.lastFailure = &t
	})
}

// hold settles the flight because a refresh isn't due to be tried yet.
func (f *flight) hold(v *view, d decision) {
	now := time.Now()
	if t := v.lastFailure; t != nil && t.At.Equal(d.failure.At) {
		f.remember(v, t.failure, t.err, d.until.Sub(now))
		return
	}
	if d.failure.Reason != "" {
		f.remember(v, d.failure, newError(f.s.name, d.failure, nil), d.until.Sub(now))
	}
}

// fail settles the flight with a failure, and tells of it.
func (f *flight) fail(v *view, fail failure, cause error, wait time.Duration) {
	e := newError(f.s.name, fail, cause)
	f.remember(v, fail, e, wait)
	kind := EventFailed
	if fail.Final {
		kind = EventLoginRequired
	}
	f.emit(Event{Kind: kind, Reason: fail.Reason, Err: e})
}

// remember keeps a failure in the view. No refresh is tried for as long as wait; whether another
// process has a token is looked at again earlier.
func (f *flight) remember(v *view, fail failure, e *Error, wait time.Duration) {
	now := time.Now()
	t := &lastFailure{failure: fail, err: e, until: now.Add(min(wait, recheck)), holdOff: now.Add(wait)}
	f.s.change(func(current *view) *view {
		if current.login() != v.login() || current.record != nil && v.record != nil && current.record.Generation > v.record.Generation {
			return current
		}
		next := *current
		next.lastFailure, next.keepAliveDue = t, false
		return &next
	})
}

// storeFailed settles the flight because the record can't be read or written, isn't there
// or isn't ours. A token that is still valid is served on while the store is down.
func (f *flight) storeFailed(cause error) {
	s, now, v := f.s, time.Now(), f.s.known()
	var e *Error
	if !errors.As(cause, &e) {
		e = f.m.storeError(s.name, cause)
	}
	if e.Reason != ReasonStore {
		fail := failure{Reason: e.Reason, At: wall(now), Final: e.Reason.loginRequired()}
		s.forget(f.basis.login(), &lastFailure{failure: fail, err: e, until: now.Add(recheck), holdOff: now.Add(recheck)})
		return
	}
	fail := failure{Reason: ReasonStore, At: wall(now), Count: 1}
	if t := v.lastFailure; t != nil && t.Reason == ReasonStore {
		fail.Count = t.Count + 1
	}
	wait := backoff(fail.Count, 0, f.m.random())
	fail.Next = wall(now.Add(wait))
	f.fail(v, fail, e, wait)
}

// refreshFailed records that the refresh of parent, which holds our attempt, has failed, and
// settles the flight unless someone else has changed the record meanwhile.
func (f *flight) refreshFailed(parent versioned, v *view, o outcome, cause error) (settled bool) {
	s, m, now := f.s, f.m, time.Now()
	fail := failure{Reason: o.reason, Code: o.code, At: wall(now), Count: 1}
	if parent.Failure != nil {
		fail.Count = parent.Failure.Count + 1
	} else if t := v.lastFailure; t != nil {
		fail.Count = t.Count + 1
	}
	wait := backoff(fail.Count, o.retryAfter, m.random())
	if o.neverLeft && o.reason == ReasonUnavailable {
		wait = min(wait, maxOffline)
	}
	next := wall(now.Add(wait))
	change := func(stored *record) *record { return stored.failed(parent.ID, f.lease.id, fail, o.mayBeSpent) }
	switch {
	case o.reason == ReasonRevoked && !m.set.twoLegged:
		fail.Final, fail.Count, wait = true, 0, recheck
	case o.reason == ReasonRevoked:
		fail.Reason = ReasonMisconfigured // an assertion or a secret was refused, and no grant has ended
	case o.neverLeft && o.reason == ReasonUnavailable:
		// It is this machine that has no network. Others mustn't wait because of that.
		change = func(stored *record) *record { return stored.released(parent.ID, f.lease.id) }
	case o.reason == ReasonMisconfigured:
		// Another process may be configured rightly, as during a rollover of the
		// client's secret: it must not wait because of us.
	default:
		fail.Next = next
	}
	f.basis = s.known()
	ended := change(parent.record)
	c, changed, err := m.update(context.Background(), s.name, parent, func(stored *record) *record {
		if e := change(stored); e != nil {
			ended = e
			return e
		}
		return nil
	})
	if !changed && (err == nil || isGone(err)) { // a newer token is there, or another process has taken over
		if o.reason == ReasonRevoked || o.mayBeSpent {
			_, _, _ = m.update(context.Background(), s.name, c, func(stored *record) *record {
				return stored.sentTwiceWith(parent.record) // it is only a note
			})
		}
		f.lease.release()
		f.lease = s.newLease()
		return false
	}
	if ended.Failure != nil && ended.Failure.At.Equal(fail.At) {
		fail = *ended.Failure // of which the reason may be another
	}
	if err != nil && !ended.MayBeSpent {
		s.unsent = &f.lease.id // our attempt may still be in the record, and spent nothing
	}
	if err != nil && fail.Final {
		f.storeFailed(err) // perhaps someone else has a newer token
		s.untold(parent.ID, fail.At)
		return true
	}
	if changed {
		s.publish(f.basis, c.record, now)
	}
	if !fail.Final {
		fail.Next = next
	}
	f.fail(v, fail, cause, wait)
	return true
}
