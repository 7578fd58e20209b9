package tokensource

import (
	"context"
	"errors"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
)

// cell is a record as this process last saw it, and the version by which it can be
// replaced.
type cell struct {
	*record
	version storage.Version
}

// load reads the record of key.
func (m *Manager) load(ctx context.Context, key string) (cell, error) {
	rec, version, err := m.read(ctx, key)
	return cell{rec, version}, err
}

// update has edit change the record of key, again for as long as others change it in
// between, and reports whether it was changed. It begins with what the caller knows, if
// anything. edit is given what is stored, nil if that is nothing, and returns what to store
// in its place, nil to leave it alone. The cell is what is stored in the end.
func (m *Manager) update(ctx context.Context, key string, known cell, edit func(stored *record) *record) (now cell, changed bool, err error) {
	for {
		var gone error
		if known.record == nil {
			known, err = m.load(ctx, key)
			if errors.Is(err, storage.ErrNotFound) {
				gone = err
			} else if err != nil {
				return cell{}, false, err
			}
		}
		next := edit(known.record)
		if next == nil {
			return known, false, gone
		}
		version, err := m.write(ctx, key, next, known.version)
		if !errors.Is(err, storage.ErrConflict) {
			return cell{next, version}, err == nil, err
		}
		known = cell{} // changed by someone else, or by a write of ours that seemed to fail
	}
}

// What follows are the changes of a record. Each is given what is stored now, and returns
// what shall be stored, or nil if it came too late. Together they are all there is to know
// about doubt: the refresh token is in doubt if it was perhaps spent by a request whose
// answer nobody saw, and contested if two processes perhaps sent it, so that a provider
// that detects reuse ends the grant, whatever either is answered.

// is reports whether r, which may be nil, is about the token id.
func (r *record) is(id string) bool { return r != nil && r.ID == id }

// heldBy reports whether the attempt in r is that one.
func (r *record) heldBy(attempt string) bool { return r.Attempt != nil && r.Attempt.ID == attempt }

// claimed puts our attempt into r. If someone else's is there, its owner is dead or asleep,
// and has perhaps spent the refresh token, or its request is still on the way.
func (r *record) claimed(id string, now time.Time) *record {
	next := r.with(&attempt{ID: id, Started: now.Round(0).UTC()}, r.Failure)
	if r.Attempt != nil {
		next.Attempt.Renewed = r.Attempt.Renewed + 1
		if !r.heldBy(id) {
			next.InDoubt, next.Contested = true, true
		}
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
	next.InDoubt = next.InDoubt || answerLost
	return next
}

// succeeded replaces the token parent by next, which came of our attempt. It wins over
// attempts and failures about parent, and loses to any other token: that is a newer
// success, or a newer login.
func (r *record) succeeded(parent, id string, next *record) *record {
	if !r.is(parent) {
		return nil
	}
	if r.Contested || r.InDoubt && !r.heldBy(id) {
		doubtful := *next
		doubtful.InDoubt = true
		return &doubtful
	}
	return next
}

// failed ends our attempt at the token parent with f.
func (r *record) failed(parent, id string, f failure, inDoubt bool) *record {
	if !r.is(parent) || !r.heldBy(id) {
		return nil
	}
	next := r.with(nil, &f)
	next.InDoubt = r.InDoubt || r.Contested || inDoubt
	if f.Reason == ReasonRevoked && next.InDoubt {
		f.Reason = ReasonResponseLost
	}
	return next
}

// contested notes that ours, a refresh token of the same login, was sent by us, though
// someone else had taken over.
func (r *record) contested(ours *record) *record {
	if r == nil || !r.Login.Equal(ours.Login) {
		return nil
	}
	next := *r
	if r.ID == ours.ID {
		next.Contested = true
	} else {
		next.InDoubt = true
	}
	return &next
}

// rejected ends the connection because the API refused the token id.
func (r *record) rejected(id string, f failure) *record {
	if !r.is(id) || r.Failure != nil && r.Failure.Final {
		return nil
	}
	return r.with(r.Attempt, &f)
}
