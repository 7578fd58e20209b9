package tokensource

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

const (
	// defaultRefreshTimeout ends a token request that hangs. Token endpoints
	// answer in well under a second, but a request that is given up too early can
	// cost a refresh token.
	defaultRefreshTimeout = 30 * time.Second

	// maxRefreshTimeout is longer than any answer takes, and can be multiplied.
	maxRefreshTimeout = time.Hour

	// recheck is how long an error is repeated before the record is looked at
	// again: another process may have a token by then.
	recheck = time.Second
)

// flight brings a connection up to date, for everyone who waits for it. There is one at a
// time for each connection and process. The order of its steps is what keeps tokens from
// being lost; the package documentation, under "How a refresh works", says why.
type flight struct {
	s *Source
	m *Manager

	ready   chan struct{} // closed when the view answers those who wait
	isReady sync.Once
	done    chan struct{} // closed at the end

	began   time.Time
	carried context.Context // what token requests have of the caller's: see carried
	waiting context.Context // done when it has taken too long to get our turn
	lease   *lease
	absent  *record // with a new token, which came when there was no record any more
	basis   *view   // from before the record was last read or written: see Source.publish
	events  []Event // to be delivered when no lock is held
}

// start returns the flight that is under way, or a new one.
func (s *Source) start(caller context.Context) *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight != nil {
		return s.flight
	}
	f := &flight{
		s: s, m: s.m,
		ready: make(chan struct{}), done: make(chan struct{}),
		began: time.Now(), carried: carried(caller),
		lease: s.newLease(), basis: s.known(),
	}
	s.flight = f
	s.m.inflight.add()
	go f.run()
	return f
}

// carried returns a context with the caller's HTTP client, for token requests. It has nothing else
// of the caller's, and is never done: a request is made for others as well, and may go on when
// the caller has gone.
func carried(caller context.Context) context.Context {
	ctx := context.Background()
	if c := caller.Value(oauth2.HTTPClient); c != nil {
		ctx = context.WithValue(ctx, oauth2.HTTPClient, c)
	}
	return ctx
}

// inFlight reports whether there is a flight.
func (s *Source) inFlight() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flight != nil
}

// wait waits for a view that answers, or until ctx is done. A caller who has a valid token waits
// no longer than a call of the store may take: all that it lacks is a look whether that is
// still the connection's.
func (f *flight) wait(ctx context.Context, hasToken bool) error {
	var limit <-chan time.Time
	if hasToken {
		timer := time.NewTimer(max(storeLimit-time.Since(f.began), 0))
		defer timer.Stop()
		limit = timer.C
	}
	ready := f.ready
	select {
	case <-ready:
		if !f.s.known().servable(time.Now()) {
			ready = f.done // what it had found at once was refused since
		}
	default:
	}
	select {
	case <-ready:
		return nil
	case <-limit:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run is the life of a flight.
func (f *flight) run() {
	// At the end, from the last of these to the first:
	defer f.m.inflight.done()
	defer close(f.done)
	defer f.markReady()
	defer f.deliver()
	defer f.land()
	limit := 3*f.m.refreshTimeout() + leaseTime
	waiting, cancel := withTimeLimit(context.Background(), f.began, limit, limit)
	defer cancel()
	f.waiting = waiting
	defer func() {
		if p := recover(); p != nil {
			f.storeFailed(panicked(p)) // the Refresher's are caught where it is called
		}
	}()
	if id := f.s.unsent; id != nil {
		f.lease.id = *id
	}
	if err := f.s.saveUnsaved(f.waiting, f.emit); err != nil {
		f.storeFailed(err)
		return
	}
	for !f.step() {
	}
}

// land ends the flight, and with it the lease.
func (f *flight) land() {
	f.lease.stop()
	f.lease.release()
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	f.s.flight = nil
}

// markReady releases the callers that wait.
func (f *flight) markReady() { f.isReady.Do(func() { close(f.ready) }) }

func (f *flight) emit(e Event) { f.events = append(f.events, e) }

// deliver hands the events over. Nothing is locked then, and no flight under way: what is
// called may do as it likes.
func (f *flight) deliver() {
	f.m.emitAll(context.Background(), f.s.name, f.events)
}

// step takes one look at the record and does what it calls for. If that doesn't settle the
// flight, the record has to be looked at again.
func (f *flight) step() (settled bool) {
	c, v, look, err := f.look()
	if err != nil {
		f.storeFailed(err)
		return true
	}
	if v == nil {
		return false
	}
	now := time.Now()
	if v.servable(now) {
		f.markReady() // though a refresh may hang, or another process be at it
	}
	switch d := decide(c.record, v, f.m.set.twoLegged, now); d.action {
	case serve:
		f.s.clearFailure(f.emit)
		return true
	case hold:
		f.hold(v, d)
		return true
	case giveUp:
		f.giveUp(c, v, d.failure)
		return true
	}
	ok, err := f.lease.acquire(f.waiting, c, look)
	f.s.unsent = &f.lease.id // it may be in the record, and has spent nothing
	switch {
	case errors.Is(err, errBusy):
		f.fail(v, failure{Reason: ReasonUnavailable, At: wall(time.Now())}, err, recheck)
		return true
	case err != nil:
		f.storeFailed(err)
		return true
	case !ok:
		return false
	}
	if f.lease.tookOver {
		f.emit(Event{Kind: EventTakenOver})
	}
	f.s.unsent = nil
	return f.refresh(v)
}

// look reads the record and makes it the view. The view is nil if the record has to be looked at
// again.
func (f *flight) look() (c versioned, v *view, look span, err error) {
	s, m := f.s, f.m
	if err := m.set.looks.lock(f.waiting); err != nil {
		return versioned{}, nil, span{}, m.storeError(s.name, err)
	}
	defer m.set.looks.unlock()
	basis := s.known()
	f.basis = basis
	look.began = time.Now()
	c, err = m.read(f.waiting, s.name)
	look.ended = time.Now()
	if isReason(err, ReasonNotConnected) && m.set.twoLegged {
		set, _ := m.settings()
		c, err = versioned{record: unobtained(set.registration, look.began)}, nil
		if basis.record != nil && basis.record.Generation == 0 {
			c.record = basis.record
		}
	}
	if err != nil {
		return versioned{}, nil, look, err
	}
	if c, err = s.restored(f.waiting, basis.latest(), c); err != nil || c.record == nil {
		return versioned{}, nil, look, err
	}
	before, after, ok := s.publish(basis, c.record, look.began)
	if !ok {
		return versioned{}, nil, look, m.pause(f.waiting, f.lease.looks) // it was replaced while we read
	}
	if before.record != nil && before.id() != after.id() && c.hasToken() {
		f.emit(Event{Kind: EventAdopted, Expiry: c.Expiry})
	}
	tellRecovery(before, after, f.emit)
	return c, after, look, nil
}

// restored returns what is stored, which was c. A store that went back to an earlier token of
// our login, as by a restored backup, is given ours again.
func (s *Source) restored(ctx context.Context, ours *record, c versioned) (versioned, error) {
	if !c.isBehind(ours) {
		return c, nil
	}
	c, _, err := s.m.update(ctx, s.name, c, func(stored *record) *record {
		return stored.advanced(ours.with(nil, ours.Failure), "")
	})
	return c, err
}

// unobtained is the record of a two-legged grant that has no token yet.
func unobtained(whose Registration, now time.Time) *record {
	return &record{Format: recordFormat, Registration: &whose, LoginID: newID(), ID: newID(), Login: instantOf(now), Obtained: wall(now), Rotated: instantOf(now)}
}

// refresh sends the refresh token, under our lease, and saves what comes back before anyone
// is given it.
func (f *flight) refresh(v *view) (settled bool) {
	f.lease.keep()
	token, o, err := f.ask(v.record)
	f.lease.stop()
	parent := f.lease.current()
	if err != nil {
		return f.refreshFailed(parent, v, o, err)
	}
	return f.save(parent, parent.refreshed(token, time.Now()))
}

// save replaces the token of parent by next and publishes it.
func (f *flight) save(parent versioned, next *record) (settled bool) {
	s := f.s
	basis := s.known()
	f.basis = basis
	began := time.Now()
	u := &unsaved{record: next, parent: parent, attempt: f.lease.id}
	winner, err := u.save(context.Background(), s)
	switch {
	case isReason(err, ReasonNotConnected) && f.m.set.twoLegged: // forgotten meanwhile
		f.lease.release()
		f.lease = s.newLease()
		return false
	case isGone(err): // disconnected or moved meanwhile: that is the later decision
		f.absent = next
		f.storeFailed(err)
		return true
	case err != nil:
		u.release, f.lease.unlock = f.lease.unlock, nil
		if !s.keepUnsaved(u) { // someone has logged in anew
			u.unlock()
			return true
		}
		f.emit(Event{Kind: EventUnsaved, Reason: ReasonStore, Err: f.m.storeError(s.name, err)})
		return true
	}
	before := s.publishSaved(basis, u, winner, began, f.emit)
	if before.lastFailure == nil && parent.Failure != nil && winner.ID == next.ID {
		f.emit(Event{Kind: EventRecovered, Reason: parent.Failure.Reason, Expiry: winner.Expiry})
	}
	return true
}
