package tokensource

import "time"

// This file holds all that may become of a record. Each function is given what is stored
// now, which may be nil, and returns what shall be stored in its place, or nil to leave it
// alone. They are pure: none reads a clock or a store. Manager.update applies them. Two are
// applied without it, since after a conflict there is more to do than to try again: claimed by
// lease.claim, and moved by Manager.Move. Source.takeBack applies released without it, as the
// record may be another registration's.
//
// Two things are known of a refresh token beside its text, and decide what an
// invalid_grant means:
//
//	MayBeSpent  a request with it was perhaps processed, and nobody saw the answer: its
//	            owner died, the connection was cut, or it descends from such a token.
//	            An invalid_grant is then taken for a lost answer, not for a revocation.
//	SentTwice   two processes sent it, or may have. A provider that detects reuse ends
//	            the grant then, even if one of them gets a token: that token may be spent
//	            as well.

// is reports whether r is about the token id.
func (r *record) is(id string) bool { return r != nil && r.ID == id }

// isBehind reports whether r is an earlier token of the login of other, which may be nil.
func (r *record) isBehind(other *record) bool {
	return other != nil && r.LoginID == other.LoginID && r.Generation < other.Generation
}

// heldBy reports whether the attempt in r is that one.
func (r *record) heldBy(attempt string) bool { return r.Attempt != nil && r.Attempt.ID == attempt }

// heldByOther reports whether someone else's attempt is in r.
func (r *record) heldByOther(attempt string) bool { return r.Attempt != nil && r.Attempt.ID != attempt }

// replacedBy puts a new login in the place of whatever was there.
func (r *record) replacedBy(login *record) *record {
	if r == nil || r.RefreshToken == "" || login.RefreshToken != "" {
		return login
	}
	next := *login
	next.NoRefreshToken = true
	return &next
}

// claimed puts our attempt into r. If someone else's is there, its owner is dead or asleep,
// and has perhaps spent the refresh token, or its request is still on the way.
func (r *record) claimed(id string, locked bool, now time.Time) *record {
	next := r.with(&attempt{ID: id, Started: wall(now), Locked: locked}, r.Failure)
	if r.Attempt != nil {
		next.Attempt.Renewed = r.Attempt.Renewed + 1
	}
	if r.heldByOther(id) && r.RefreshToken != "" {
		next.MayBeSpent, next.SentTwice = true, true
	}
	return next
}

// renewed makes a new version of our attempt at the token parent, so that others see that
// we live, and notes if an answer was lost.
func (r *record) renewed(parent, id string, answerLost bool) *record {
	if !r.is(parent) || !r.heldBy(id) {
		return nil
	}
	a := *r.Attempt
	a.Renewed++
	next := r.with(&a, r.Failure)
	next.MayBeSpent = next.MayBeSpent || answerLost
	return next
}

// advanced replaces r by next, a later token of the same login, which the attempt id has
// brought. It wins over attempts and failures that are about an earlier token, also if the store
// has gone back to that one, and loses to another token of its own generation, to a later
// one and to a new login. If next is there already, by a write that seemed to fail, what is
// there is written once more: only a write that returned nil is known to be durable.
func (r *record) advanced(next *record, id string) *record {
	switch {
	case r == nil || r.LoginID != next.LoginID || r.Generation > next.Generation:
		return nil
	case r.ID == next.ID:
		return r
	case r.Generation == next.Generation:
		return nil
	}
	if !next.MayBeSpent && (r.SentTwice || r.MayBeSpent && !r.heldBy(id) || r.heldByOther(id)) {
		c := *next
		c.MayBeSpent = true
		return &c
	}
	return next
}

// failed ends our attempt at the token parent with f.
func (r *record) failed(parent, id string, f failure, mayBeSpent bool) *record {
	if !r.is(parent) || !r.heldBy(id) {
		return nil
	}
	next := r.with(nil, &f)
	next.MayBeSpent = r.MayBeSpent || r.SentTwice || mayBeSpent
	if f.Reason == ReasonRevoked && next.MayBeSpent {
		f.Reason = ReasonResponseLost
	}
	return next
}

// released ends our attempt at the token parent, which had no result that others have to
// know.
func (r *record) released(parent, id string) *record {
	if !r.is(parent) || !r.heldBy(id) {
		return nil
	}
	return r.with(nil, r.Failure)
}

// sentTwiceWith notes that we have sent the refresh token of ours, though someone else had taken
// over. If r holds that token, two processes have sent it. Otherwise the token in r came after
// it, and the provider may have ended that as well.
func (r *record) sentTwiceWith(ours *record) *record {
	if r == nil || r.LoginID != ours.LoginID {
		return nil
	}
	next := *r
	if r.ID == ours.ID {
		next.SentTwice = true
	} else {
		next.MayBeSpent = true
	}
	return &next
}

// ended says that only the user can help the token id.
func (r *record) ended(id string, f failure) *record {
	if !r.is(id) || r.Failure != nil && r.Failure.Final {
		return nil
	}
	return r.with(r.Attempt, &f)
}

// moved gives r, which holds our attempt, to another registration, and ends the attempt.
func (r *record) moved(to Registration) *record {
	next := r.with(nil, r.Failure)
	next.Registration = &to
	return next
}
