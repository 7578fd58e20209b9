package tokensource

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
)

const (
	// saveRound is how often saving is tried: as often as an attempt is renewed, so
	// that when the store is back a token is in it before a lease is over, and with
	// it the wait of whoever would spend its parent again.
	saveRound = renewal

	// saveBatch is how many tokens are saved at a time. If a whole batch fails, the
	// store is down, and the others wait for the next round.
	saveBatch = 16
)

// unsaved is a token that the store hasn't taken. It is served, and saving it is
// retried, until the store takes it or has a newer one. It isn't refreshed: a write
// that failed may have happened, and then others have the refresh token as well.
type unsaved struct {
	record  *record
	parent  cell   // what it replaces, as last seen
	attempt string // the ID of the attempt that it came of
	release func() // the store's lock, held so that nobody spends the parent again
}

// save makes one attempt to save u, and returns what is stored then. The caller holds
// s.order.
func (u *unsaved) save(ctx context.Context, s *Source) (winner *record, saved bool, err error) {
	c, saved, err := s.m.update(ctx, s.key, u.parent, func(stored *record) *record {
		return stored.succeeded(u.parent.ID, u.attempt, u.record)
	})
	if c.is(u.record.ID) {
		saved = true // by a write that seemed to fail
	}
	return c.record, saved, err
}

// keepUnsaved takes over u from the flight. The caller holds s.order.
func (r *refresh) keepUnsaved(u *unsaved, cause error) {
	s, m := r.s, r.m
	s.pending.Store(u)
	f := failure{Reason: ReasonStore, At: now()}
	r.emit(Event{Kind: EventUnsaved, Reason: ReasonStore, Err: &refreshError{s.key, f, cause}})

	m.mu.Lock()
	defer m.mu.Unlock()
	if m.unsaved == nil {
		m.unsaved = make(map[*Source]bool)
	}
	m.unsaved[s] = true
	if m.saveNow == nil { // nobody is at it
		m.saveNow = make(chan struct{}, 1)
		m.busy.add()
		go m.saveUnsaved(r.ctx, m.saveNow)
	}
}

// saveUnsaved tries to save what is unsaved until nothing is. There is one for all
// connections.
func (m *Manager) saveUnsaved(ctx context.Context, now <-chan struct{}) {
	defer m.busy.done()
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
		}
		m.mu.Lock()
		sources := slices.Collect(maps.Keys(m.unsaved)) // in random order
		m.mu.Unlock()
		for batch := range slices.Chunk(sources, saveBatch) {
			var wg sync.WaitGroup
			var saved atomic.Int32
			for _, s := range batch {
				wg.Go(func() {
					if s.savePending(ctx) == nil {
						saved.Add(1)
					}
				})
			}
			if wg.Wait(); saved.Load() == 0 {
				break
			}
		}
	}
}

// savePending makes one attempt to save what is unsaved. Without an error nothing
// is unsaved any more.
func (s *Source) savePending(ctx context.Context) error {
	e, err := s.settlePending(ctx)
	if e.Kind != "" {
		s.m.emit(ctx, e)
	}
	return err
}

func (s *Source) settlePending(ctx context.Context) (e Event, err error) {
	if err := s.order.lock(ctx); err != nil {
		return Event{}, err
	}
	defer s.order.unlock()
	u := s.pending.Load()
	if u == nil {
		return Event{}, nil
	}
	winner, saved, err := u.save(ctx, s)
	gone := errors.Is(err, storage.ErrNotFound) // disconnected meanwhile
	if err != nil && !gone {
		return Event{}, err
	}
	s.pending.Store(nil)
	s.m.mu.Lock()
	delete(s.m.unsaved, s)
	s.m.mu.Unlock()
	if u.release != nil {
		u.release()
	}
	switch {
	case gone:
		s.current.Store(nil)
	case !saved:
		s.publish(winner)
		return Event{Kind: EventAdopted, Connection: s.key, Expiry: winner.Expiry}, nil
	default:
		return Event{Kind: EventRefreshed, Connection: s.key, Expiry: winner.Expiry}, nil
	}
	return Event{}, nil
}

// tally counts what is under way, so that Flush can wait for its end.
type tally struct {
	mu   sync.Mutex
	n    int
	zero chan struct{} // closed when n falls to 0; nil if nobody waits
}

func (c *tally) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
}

func (c *tally) done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n--; c.n == 0 && c.zero != nil {
		close(c.zero)
		c.zero = nil
	}
}

// wait waits until nothing is under way or ctx is done.
func (c *tally) wait(ctx context.Context) error {
	c.mu.Lock()
	if c.n == 0 {
		c.mu.Unlock()
		return nil
	}
	if c.zero == nil {
		c.zero = make(chan struct{})
	}
	zero := c.zero
	c.mu.Unlock()
	select {
	case <-zero:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
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
	if err := m.busy.wait(ctx); err != nil {
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
