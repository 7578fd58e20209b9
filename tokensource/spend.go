package tokensource

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
)

// spend sends the refresh token of rec, which holds our attempt at version since
// start, and saves what comes back before anyone is given it.
func (t *turn) spend(rec *record, version storage.Version, start time.Time) (*snapshot, error, bool) {
	t.s.unsent = ""
	keep := newKeeper(t, rec, version, start)
	defer keep.cancel() // also if Config panics
	token, o, err := t.ask(rec.RefreshToken, keep.doubt)
	version = keep.stop()
	if err != nil {
		return t.failed(rec, version, o, err)
	}
	next := rec.refreshed(token, time.Now())
	next.InDoubt = rec.Contested
	return t.save(next, rec.ID, version)
}

// ask sends the refresh token, and sends it a second time if the answer to the
// first request got lost and again allows it: the provider may have rotated the
// token. At once is when a grace window is most likely to be open still; and if
// there is none, the grant was lost with the answer.
func (t *turn) ask(refreshToken string, again func() bool) (*oauth2.Token, outcome, error) {
	token, o, err := t.send(refreshToken)
	if err != nil && o.lost && again() {
		token, o, err = t.send(refreshToken)
		o.inDoubt = true
	}
	return token, o, err
}

// send makes one refresh request.
func (t *turn) send(refreshToken string) (*oauth2.Token, outcome, error) {
	ctx, cancel := context.WithTimeout(t.m.withClient(t.ctx), t.m.refreshTimeout())
	defer cancel()
	var w wire
	start := time.Now()
	token, err := t.m.Config.TokenSource(w.watch(ctx), &oauth2.Token{RefreshToken: refreshToken}).Token()
	if err == nil && (token == nil || token.AccessToken == "") {
		err = errors.New("tokensource: Manager.Config returned neither a token nor an error")
	}
	if err != nil {
		return nil, outcomeOf(err, &w), err
	}
	if !token.Expiry.IsZero() {
		// x/oauth2 counts the lifetime from when it read the answer. The provider
		// began to count earlier, at most when the request was sent.
		c := *token
		c.Expiry = c.Expiry.Add(-elapsed(start))
		token = &c
	}
	return token, outcome{}, nil
}

// save replaces the token parent by next, publishes it and settles the flight.
func (t *turn) save(next *record, parent string, version storage.Version) (*snapshot, error, bool) {
	s := t.s
	_ = s.order.lock(t.ctx) // t.ctx is never done
	defer s.order.unlock()
	winner, err := t.m.replace(t.ctx, s.key, next, parent, t.id, version)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		s.current.Store(nil) // disconnected meanwhile: that is the later decision
		return nil, err, true
	case err != nil:
		snap := s.publish(next)
		t.keepUnsaved(&unsaved{record: next, parent: parent, attempt: t.id, version: version}, err)
		return snap, nil, true
	}
	s.lastFailure.Store(nil)
	snap := s.publish(winner)
	if winner.ID == next.ID {
		t.emit(Event{Kind: EventRefreshed, Expiry: next.Expiry})
	} else {
		t.emit(Event{Kind: EventAdopted, Expiry: winner.Expiry})
	}
	return snap, nil, true
}

// replace writes next, which came of our attempt, in the place of the token parent.
// A token that is neither is a newer success or a newer login, and wins: it is
// returned instead. An attempt or a failure about parent loses.
func (m *Manager) replace(ctx context.Context, key string, next *record, parent, attempt string, version storage.Version) (*record, error) {
	for {
		_, err := m.write(ctx, key, next, version)
		if err == nil {
			return next, nil
		}
		if !errors.Is(err, storage.ErrConflict) {
			return nil, err
		}
		stored, v, err := m.read(ctx, key)
		switch {
		case err != nil:
			return nil, err
		case stored.ID != parent:
			return stored, nil // or next itself: a write that failed had happened all the same
		}
		tookOver := stored.InDoubt && (stored.Attempt == nil || stored.Attempt.ID != attempt)
		if (stored.Contested || tookOver) && !next.InDoubt {
			doubtful := *next
			doubtful.InDoubt = true
			next = &doubtful
		}
		version = v
	}
}

// failed records that the refresh of rec, which holds our attempt, has failed, and
// settles the flight unless someone else has changed the record meanwhile.
func (t *turn) failed(rec *record, version storage.Version, o outcome, cause error) (*snapshot, error, bool) {
	s, now := t.s, time.Now()
	f := failure{Reason: o.reason, Code: o.code, At: now.Round(0).UTC(), Count: 1}
	if rec.Failure != nil {
		f.Count = rec.Failure.Count + 1
	} else if n := s.lastFailure.Load(); n != nil && n.id == rec.ID {
		f.Count = n.failure.Count + 1
	}
	wait := backoff(f.Count, o.retryAfter, t.m.random())
	ended := rec.with(nil, &f)
	ended.InDoubt = rec.InDoubt || o.inDoubt
	switch {
	case o.reason == ReasonRevoked:
		f.Final, f.Count, wait = true, 0, recheck
		if ended.InDoubt {
			f.Reason = ReasonResponseLost
		}
	case o.reason == ReasonMisconfigured:
		// Another process may be configured rightly, as during a rollover of the
		// client's secret: it must not wait because of us.
	default:
		f.Next = now.Add(wait).Round(0).UTC()
	}
	changed, err := t.conclude(ended, version)
	if changed { // by a newer token, or by whoever took over: look again
		if o.reason == ReasonRevoked || o.inDoubt {
			t.contest(rec)
		}
		t.id = ""
		return nil, nil, false
	}
	if err != nil && !ended.InDoubt {
		s.unsent = t.id // our attempt may still be in the record, and spent nothing
	}
	if err != nil && f.Final {
		snap, err := t.storeFailed(err) // perhaps someone else has a newer token
		return snap, err, true
	}
	if !f.Final {
		f.Next = now.Add(wait).Round(0).UTC()
	}
	return t.giveUp(rec.ID, f, cause, wait)
}

// giveUp settles the flight with a failure. A token that is still valid is served
// on, and for a transient failure no refresh is tried for the given time.
func (t *turn) giveUp(id string, f failure, cause error, wait time.Duration) (*snapshot, error, bool) {
	s, now := t.s, time.Now()
	err := t.note(id, f, cause, wait)
	kind := EventFailed
	if f.Final {
		kind = EventLoginRequired
		s.rejected.Store(&id)
	}
	t.emit(Event{Kind: kind, Reason: f.Reason, Err: err})
	snap := s.current.Load()
	if snap == nil || snap.record.ID != id || snap.times.over(now) || s.isRejected(snap) {
		return nil, err, true
	}
	return s.hold(snap, now.Add(wait)), nil, true
}

// conclude writes how our attempt ended. It reports whether the record no longer
// holds our attempt, in which case nothing is written.
func (t *turn) conclude(ended *record, version storage.Version) (changed bool, err error) {
	for {
		_, err := t.m.write(t.ctx, t.s.key, ended, version)
		if !errors.Is(err, storage.ErrConflict) {
			return false, err
		}
		stored, v, err := t.m.read(t.ctx, t.s.key)
		if err != nil {
			return errors.Is(err, storage.ErrNotFound), err
		}
		if stored.ID != ended.ID || stored.Attempt == nil || t.othersAttempt(stored) {
			return true, nil
		}
		ended.Contested = ended.Contested || stored.Contested
		ended.InDoubt = ended.InDoubt || stored.InDoubt || stored.Contested
		if f := ended.Failure; ended.InDoubt && f != nil && f.Reason == ReasonRevoked {
			f.Reason = ReasonResponseLost
		}
		version = v // a renewal that seemed to fail had happened
	}
}

// contest notes that rec's refresh token was sent by us, who slept through our
// lease, and by whoever took over. A provider that detects reuse has ended the
// grant, whatever came of theirs, and that must not pass for a revocation.
func (t *turn) contest(rec *record) {
	for range 5 { // it is only a note
		stored, version, err := t.m.read(t.ctx, t.s.key)
		if err != nil || !stored.Login.Equal(rec.Login) {
			return
		}
		noted := *stored
		if noted.ID == rec.ID {
			noted.Contested = true
		} else {
			noted.InDoubt = true
		}
		if _, err = t.m.write(t.ctx, t.s.key, &noted, version); !errors.Is(err, storage.ErrConflict) {
			return
		}
	}
}

// keeper renews our attempt while its answer is awaited.
type keeper struct {
	t      *turn
	cancel context.CancelFunc
	wait   sync.WaitGroup

	turn    gate // guards what follows
	rec     *record
	version storage.Version
	since   time.Time // when the attempt was last written for certain
	lost    bool      // someone else wrote the record
}

func newKeeper(t *turn, rec *record, version storage.Version, since time.Time) *keeper {
	ctx, cancel := context.WithCancel(t.ctx)
	k := &keeper{t: t, turn: newGate(), cancel: cancel, rec: rec, version: version, since: since}
	if t.locked {
		return k // no one can take over
	}
	k.wait.Go(func() {
		ticker := time.NewTicker(renewal)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				// One that hangs must not outlast the lease.
				brief, done := context.WithTimeout(ctx, renewal)
				k.rewrite(brief, false)
				done()
			case <-ctx.Done():
				return
			}
		}
	})
	return k
}

// rewrite writes the attempt again. A failure is left to the next renewal: the
// request is on its way, and only its answer counts.
func (k *keeper) rewrite(ctx context.Context, inDoubt bool) {
	if k.turn.lock(ctx) != nil {
		return // the answer is there
	}
	defer k.turn.unlock()
	if k.lost {
		return
	}
	start := time.Now()
	a := *k.rec.Attempt
	a.Renewed++
	k.rec.Attempt = &a
	k.rec.InDoubt = k.rec.InDoubt || inDoubt
	for {
		version, err := k.t.m.write(ctx, k.t.s.key, k.rec, k.version)
		if err == nil {
			k.version, k.since = version, start
		}
		if !errors.Is(err, storage.ErrConflict) {
			return
		}
		stored, v, err := k.t.m.read(ctx, k.t.s.key)
		if err != nil {
			return
		}
		if k.lost = stored.ID != k.rec.ID || stored.Attempt == nil || k.t.othersAttempt(stored); k.lost {
			return
		}
		k.rec.InDoubt = k.rec.InDoubt || stored.InDoubt
		k.rec.Contested = k.rec.Contested || stored.Contested
		k.version = v // a renewal that seemed to fail had happened
	}
}

// doubt records that the answer was lost, and reports whether the attempt is still
// ours, so that the refresh token may be sent again.
func (k *keeper) doubt() bool {
	ctx, cancel := context.WithTimeout(k.t.ctx, renewal)
	defer cancel()
	k.rewrite(ctx, true)
	_ = k.turn.lock(k.t.ctx) // never done
	defer k.turn.unlock()
	return k.t.locked || !k.lost && elapsed(k.since) < lease-margin
}

// stop ends the renewals and returns the version as last written.
func (k *keeper) stop() storage.Version {
	k.cancel()
	k.wait.Wait()
	return k.version
}
