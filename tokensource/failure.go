package tokensource

import (
	"cmp"
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
	absent  *record   // the last one that this process had, if a look found that there is none any more
}

// giveUp settles the flight because only the user can help. What isn't in the record yet, or
// not by a write that returned nil, is written there, and told by the process that did so.
func (f *flight) giveUp(c versioned, v *view, fail failure) {
	e := newError(f.s.name, fail, nil)
	again := f.m.hasNews(c.record)
	if again || c.Failure == nil || !c.Failure.Final {
		f.basis = f.s.known()
		began := time.Now()
		after, changed, err := f.m.update(f.waiting, f.s.name, c, func(stored *record) *record {
			if f.m.hasNews(stored) {
				return stored // written once more
			}
			return stored.ended(c.ID, fail)
		})
		taken := changed && f.m.takeNews(news{EventLoginRequired, c.ID})
		if changed {
			f.s.publish(f.basis, after.record, began)
		}
		tell := taken
		if !again {
			knew := v.lastFailure != nil && v.lastFailure.Final
			tell = !knew && (changed || err != nil)
		}
		if tell {
			f.emit(Event{Kind: EventLoginRequired, Reason: fail.Reason, Err: e})
		}
	}
	f.remember(v, fail, e, recheck)
}

// news is an event that isn't told yet, since what it tells of, a write of this process, seemed
// to fail. It is told when a write has made sure.
type news struct {
	kind EventKind // EventLoginRequired, EventDisconnected or moving
	id   string    // the token's ID, or the connection's name
}

// moving is the kind of news that nobody is told: of a call of Move, by the connection's name.
const moving EventKind = "moving"

// keepNews keeps n until takeNews. at is the time of the final failure that it is about.
func (m *Manager) keepNews(n news, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.untold == nil {
		m.untold = make(map[news]time.Time)
	}
	for other := range m.untold {
		if len(m.untold) < maxPinned {
			break
		}
		delete(m.untold, other) // any
	}
	m.untold[n] = at
}

// hasNews reports whether there are news about the failure of r.
func (m *Manager) hasNews(r *record) bool {
	if r == nil || r.Failure == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	at, ok := m.untold[news{EventLoginRequired, r.ID}]
	return ok && r.Failure.At.Equal(at)
}

// takeNews drops n, and reports whether it was kept: whoever takes it tells it.
func (m *Manager) takeNews(n news) (taken bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, taken = m.untold[n]
	delete(m.untold, n)
	return taken
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
		if current.record == nil {
			t.absent = current.latest()
		}
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
		until := now.Add(recheck)
		s.forget(f.basis.login(), &lastFailure{failure: fail, err: e, until: until, holdOff: until, absent: cmp.Or(f.absent, v.latest())})
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
	s, now := f.s, time.Now()
	fail, wait := f.failureOf(parent, v, o, now)
	next := wall(now.Add(wait))
	if !o.isOffline() && !fail.Final && fail.Reason != ReasonMisconfigured {
		fail.Next = next // others wait as well: they are neither offline, nor perhaps misconfigured, as during a rollover of the client's secret
	}
	f.basis = s.known()
	ended := parent.record
	c, changed, err := f.m.update(context.Background(), s.name, parent, func(stored *record) (changed *record) {
		if o.isOffline() {
			changed = stored.released(parent.ID, f.lease.id)
		} else {
			changed = stored.failed(parent.ID, f.lease.id, fail, o.mayBeSpent)
		}
		if changed != nil {
			ended = changed
		}
		return changed
	})
	if !changed && (err == nil || isGone(err)) { // a newer token is there, or another process has taken over
		f.overtaken(c, parent, o)
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
		f.m.keepNews(news{EventLoginRequired, parent.ID}, fail.At)
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

// failureOf makes a failure of the outcome o of the refresh of parent, and says how long this
// process waits before it tries again.
func (f *flight) failureOf(parent versioned, v *view, o outcome, now time.Time) (fail failure, wait time.Duration) {
	fail = failure{Reason: o.reason, Code: o.code, At: wall(now), Count: 1}
	if parent.Failure != nil {
		fail.Count = parent.Failure.Count + 1
	} else if t := v.lastFailure; t != nil {
		fail.Count = t.Count + 1
	}
	wait = backoff(fail.Count, o.retryAfter, f.m.random())
	switch {
	case o.isOffline():
		wait = min(wait, maxOffline)
	case o.reason == ReasonRevoked && f.m.set.twoLegged:
		fail.Reason = ReasonMisconfigured // an assertion or a secret was refused, and no grant has ended
	case o.reason == ReasonRevoked:
		fail.Final, fail.Count, wait = true, 0, recheck
	}
	return fail, wait
}

// overtaken notes in c, which someone else has written, that we have perhaps spent the refresh
// token of parent, and begins a new lease.
func (f *flight) overtaken(c, parent versioned, o outcome) {
	if o.reason == ReasonRevoked || o.mayBeSpent {
		_, _, _ = f.m.update(context.Background(), f.s.name, c, func(stored *record) *record {
			return stored.sentTwiceWith(parent.record) // it is only a note
		})
	}
	f.lease.release()
	f.lease = f.s.newLease()
}
