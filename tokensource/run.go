package tokensource

import (
	"cmp"
	"context"
	"errors"
	"hash/fnv"
	"sync"
	"time"
)

const (
	// defaultKeepAlive is a week: refresh tokens that die of idleness do so after
	// two weeks at the earliest, and a refresh a week costs a provider nothing.
	defaultKeepAlive = 7 * 24 * time.Hour

	// Run looks at all records a hundred times in that time, so that one whose
	// refresh fails has many more tries, but never more often than once a minute.
	sweepsPerKeepAlive = 100
	minSweep           = time.Minute

	// runWorkers is how many refreshes of Run's are in flight at a time. However
	// many connections are due at once, that is all that the provider sees.
	runWorkers = 4

	// keepAliveSpread is the part of KeepAlive over which connections are spread
	// that were made, or imported, at the same time.
	keepAliveSpread = 4
)

// Run keeps connections alive that nobody uses, until ctx is done: it refreshes
// each whose token was issued longer than KeepAlive ago, or up to a quarter of that
// earlier, so that not all are due together; and earlier where the provider has said that
// the refresh token ends earlier. Without it, the refresh token of an account that isn't
// looked at for long dies of idleness: TaxRock's after about 100 days.
//
// It walks over all records in the store about a hundred times in KeepAlive, but once a
// minute at most, with a few refreshes in flight at a time and nothing kept in between, so
// their number doesn't matter. It may run in every replica: what one has refreshed, the others
// leave alone. A connection that needs a login is left alone as well. What happens is told to
// OnEvent.
//
// Run returns the error of ctx, or one that wraps errors.ErrUnsupported if the store
// can't list its names. Refreshes that are in flight go on; see [Manager.Flush].
func (m *Manager) Run(ctx context.Context) error {
	if _, err := m.settings(); err != nil {
		return err
	}
	keepAlive := cmp.Or(max(m.KeepAlive, 0), defaultKeepAlive)
	for {
		err := m.sweep(ctx, keepAlive)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errors.ErrUnsupported):
			return err
		case err != nil:
			m.emit(ctx, Event{Kind: EventFailed, Reason: ReasonStore, Err: err})
		}
		pause := max(keepAlive/sweepsPerKeepAlive, minSweep)
		if err := sleep(ctx, pause/2+time.Duration(m.random()*float64(pause))); err != nil {
			return err
		}
	}
}

// sweep looks at every record once, and refreshes the idle ones.
func (m *Manager) sweep(ctx context.Context, keepAlive time.Duration) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	workers := make(semaphore, runWorkers)
	for name, err := range m.names(ctx) {
		if err != nil {
			return m.storeError("", err)
		}
		basis, began := m.knownOf(name), time.Now()
		c, err := m.read(ctx, name)
		if isGone(err) {
			continue // disconnected meanwhile, or not ours
		}
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			m.emit(ctx, Event{Kind: EventFailed, Connection: name, Reason: ReasonStore, Err: err})
			continue
		}
		if !idle(c.record, time.Now(), keepAlive) {
			continue
		}
		if err := workers.lock(ctx); err != nil {
			return err
		}
		wg.Go(func() {
			defer workers.unlock()
			s := m.Source(name)
			select {
			case <-s.keepAlive(ctx, basis, c.record, began).done: // its outcome is in the record, and in an event
			case <-ctx.Done():
			}
		})
	}
	return nil
}

// knownOf is what this process knows of a connection, without making a Source for it.
func (m *Manager) knownOf(name string) *view {
	if s := m.existing(name); s != nil {
		return s.known()
	}
	return new(view)
}

// keepAlive refreshes r, however long its token lives. basis and looked are as for publish.
func (s *Source) keepAlive(ctx context.Context, basis *view, r *record, looked time.Time) *flight {
	if before, after, ok := s.publish(basis, r, looked); ok {
		tellRecovery(before, after, func(e Event) { s.m.emitAll(ctx, s.name, []Event{e}) })
	}
	s.change(func(v *view) *view {
		if v.id() != r.ID {
			return v
		}
		next := *v
		next.keepAliveDue = true
		return &next
	})
	return s.start(ctx)
}

// idle reports whether it is time to keep r alive.
func idle(r *record, now time.Time, keepAlive time.Duration) bool {
	if r.RefreshToken == "" || r.Failure != nil && r.Failure.Final || r.Failure.wait(now) > 0 || r.Attempt.isRecent(now) {
		return false
	}
	if isFuture(r.Obtained, now) {
		return true // nobody knows how old it is
	}
	h := fnv.New32a()
	h.Write([]byte(r.ID)) // a new one with each token
	share := float64(h.Sum32()) / (1 << 32)
	age := now.Sub(r.Obtained)
	if end := r.RefreshExpiry.time(); end.After(r.Obtained) {
		// It ends at a known time, and where a refresh moves that, it has to be in time.
		keepAlive = min(keepAlive, end.Sub(r.Obtained)/2)
	}
	return age > keepAlive-time.Duration(share*float64(keepAlive/keepAliveSpread))
}
