package tokensource

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// saveRound is how often saving is tried: as often as an attempt is renewed, so
	// that when the store is back a token is in it before a lease is over, and another
	// process would send the token before it again.
	saveRound = renewal

	// saveAtATime is how many tokens are being saved at a time. If so many fail in a row,
	// the store is down, and the others wait for the next round.
	saveAtATime = 16
)

// unsaved is a token that the store hasn't taken, or not with a nil error. It is served,
// and saving it is retried, until the store takes it or has a newer one. It isn't
// refreshed: a write that failed may have happened, and then others have the refresh token
// as well.
type unsaved struct {
	record  *record
	parent  versioned // what it replaces, as last seen
	attempt string    // the ID of the attempt that brought it

	mu      semaphore // held while it is being saved; nil while only the flight knows of it
	release func()    // the store's lock, held so that nobody spends the parent again; or nil
}

// save tries once to save u, and returns what is stored then. That is u's token unless there
// is a newer one.
//
// When the lease is over, another process sends the parent again. So save doesn't wait for a
// call of the store that hangs: if there is no answer within storeLimit, it makes a second call
// beside the first, which may be only slow. A call that ends late does no harm, as it replaces
// nothing but an older token.
func (u *unsaved) save(ctx context.Context, s *Source) (winner *record, err error) {
	ctx, cancel := context.WithCancel(ctx) // of what is still under way in the end
	defer cancel()
	write := func(known versioned) <-chan returned[versioned] {
		return guarded(func() (versioned, error) {
			c, _, err := s.m.update(ctx, s.name, known, func(stored *record) *record {
				return stored.advanced(u.record, u.attempt)
			})
			return c, err
		})
	}
	first := write(u.parent)
	c, ok := received(first, time.Now(), storeLimit, catchUp)
	if !ok {
		other := write(versioned{})
		select {
		case c = <-first:
		case c = <-other:
			other = first
		}
		if c.err != nil {
			c = <-other
		}
	}
	return c.value.record, c.err
}

// publishSaved publishes what u.save returned, and tells of it.
func (s *Source) publishSaved(basis *view, u *unsaved, winner *record, began time.Time, emit func(Event)) (before *view) {
	before, after, _ := s.publish(basis, winner, began)
	kind := EventRefreshed
	if winner.ID != u.record.ID {
		kind = EventAdopted
	}
	emit(Event{Kind: kind, Expiry: winner.Expiry})
	tellRecovery(before, after, emit)
	return before
}

func (u *unsaved) unlock() {
	if u.release != nil {
		u.release()
	}
}

// keepUnsaved makes u's token the one that is served, and sees to it that it is saved. It
// returns false if someone has logged in anew, disconnected, or got a later token.
func (s *Source) keepUnsaved(u *unsaved) bool {
	u.mu = make(semaphore, 1)
	fresh := s.m.viewOf(u.record, time.Now())
	fresh.unsaved = u
	kept := false
	s.change(func(v *view) *view {
		kept = v.login() == u.record.LoginID && v.record.Generation < u.record.Generation
		if !kept {
			return v
		}
		fresh.lastFailure = v.lastFailure // it hasn't ended before the token is saved
		return fresh
	})
	if !kept {
		return false
	}
	m := s.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unsaved == nil {
		m.unsaved = make(map[*Source]*unsaved)
	}
	if old := m.unsaved[s]; old != nil {
		old.unlock() // of a login that was replaced
	}
	m.unsaved[s] = u
	if m.saveNow == nil { // nobody is at it
		m.saveNow = make(chan struct{}, 1)
		m.inflight.add()
		go m.saveAll(m.saveNow)
	}
	return true
}

// saveAll tries to save what is unsaved until nothing is. There is one for all
// connections.
func (m *Manager) saveAll(now <-chan struct{}) {
	defer m.inflight.done()
	var wg sync.WaitGroup
	defer wg.Wait()
	places, saved := make(semaphore, saveAtATime), make(chan struct{}, 1)
	for {
		m.mu.Lock()
		if len(m.unsaved) == 0 {
			m.saveNow = nil
			m.mu.Unlock()
			return
		}
		m.mu.Unlock()
		timer := time.NewTimer(saveRound/2 + time.Duration(m.random()*float64(saveRound/2)))
		select {
		case <-timer.C:
		case <-now:
			timer.Stop()
		case <-saved:
			timer.Stop()
			continue // perhaps that was the last
		}
		m.mu.Lock()
		all := maps.Clone(m.unsaved)
		m.mu.Unlock()
		var failures atomic.Int32
		for s, u := range all { // in random order
			if failures.Load() >= saveAtATime {
				break
			}
			if len(u.mu) > 0 {
				continue // it is being saved: one that hangs keeps nobody waiting
			}
			_ = places.lock(context.Background())
			wg.Go(func() {
				var events []Event
				defer func() { m.emitAll(context.Background(), s.name, events) }() // with the place given back: OnEvent may take its time
				defer places.unlock()
				if s.saveUnsaved(context.Background(), func(e Event) { events = append(events, e) }) != nil {
					failures.Add(1)
					return
				}
				failures.Store(0)
				select {
				case saved <- struct{}{}:
				default:
				}
			})
		}
	}
}

// trySave tries once to save what is unsaved, and tells of it. Without an error nothing is
// unsaved any more.
func (s *Source) trySave(ctx context.Context) error {
	var events []Event
	err := s.saveUnsaved(ctx, func(e Event) { events = append(events, e) })
	s.m.emitAll(ctx, s.name, events)
	return err
}

// saveUnsaved is trySave whose events are told by the caller.
func (s *Source) saveUnsaved(ctx context.Context, emit func(Event)) error {
	s.m.mu.Lock()
	u := s.m.unsaved[s]
	s.m.mu.Unlock()
	if u == nil {
		return nil
	}
	if err := u.mu.lock(ctx); err != nil {
		return s.m.storeError(s.name, err)
	}
	defer u.mu.unlock()
	basis := s.known()
	if basis.unsaved != u {
		s.dropUnsaved(u) // someone has logged in anew, or it was saved meanwhile
		return nil
	}
	began := time.Now()
	winner, err := u.save(ctx, s)
	gone := isGone(err)
	if err != nil && !gone {
		return err
	}
	s.change(func(v *view) *view {
		if v.unsaved != u {
			return v
		}
		next := *v
		next.unsaved = nil
		return &next
	})
	s.dropUnsaved(u)
	if gone { // disconnected meanwhile: that is the later decision
		var e *Error
		errors.As(err, &e)
		s.forget(basis.login(), &lastFailure{failure: failure{Reason: e.Reason}, err: e, absent: u.record})
		return nil
	}
	s.publishSaved(basis, u, winner, began, emit)
	s.clearFailure(emit)
	return nil
}

// dropUnsaved ends what keepUnsaved began. The caller holds u.mu.
func (s *Source) dropUnsaved(u *unsaved) {
	s.m.mu.Lock()
	if s.m.unsaved[s] == u {
		delete(s.m.unsaved, s)
	}
	s.m.mu.Unlock()
	u.unlock()
}

// Flush waits until every refresh that is under way has ended and no token is
// unsaved. Call it before the program ends, after everything that uses tokens has
// stopped: a token that exists only in memory is gone with the process, and often
// the connection with it. Saving is tried at once, and again until ctx is done; the
// error then says how many connections would be lost.
func (m *Manager) Flush(ctx context.Context) error {
	m.mu.Lock()
	select {
	case m.saveNow <- struct{}{}:
	default: // nothing is unsaved, or it is being seen to
	}
	m.mu.Unlock()
	if err := m.inflight.wait(ctx); err != nil {
		m.mu.Lock()
		n := len(m.unsaved)
		m.mu.Unlock()
		if n == 0 {
			return fmt.Errorf("tokensource: refreshes are still in flight: %w", err)
		}
		return fmt.Errorf("tokensource: %d connections have tokens that are not saved: %w", n, err)
	}
	return nil
}
