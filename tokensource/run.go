package tokensource

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
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

	// abandoned is how old an attempt has to be, as far as two clocks can tell,
	// before Run deals with it. A younger one is somebody's at work.
	abandoned = 5 * time.Minute
)

// Run keeps connections alive that nobody uses, until ctx is done: it refreshes
// each whose token was issued longer than KeepAlive ago. Without it, the refresh
// token of an account that isn't looked at for long dies of idleness: TaxRock's
// after about 100 days.
//
// It walks over all records in the store, with a few refreshes in flight at a time
// and nothing kept in between, so their number doesn't matter. It may run in every
// replica: what one has refreshed, the others leave alone. A connection that needs a
// login is left alone as well. What happens is told to OnEvent.
//
// Run returns the error of ctx, or one that wraps errors.ErrUnsupported if the store
// can't list its keys. Refreshes that are in flight go on; see [Manager.Flush].
func (m *Manager) Run(ctx context.Context) error {
	if err := m.check(); err != nil {
		return err
	}
	keepAlive := m.KeepAlive
	if keepAlive <= 0 {
		keepAlive = defaultKeepAlive
	}
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
		timer := time.NewTimer(pause/2 + time.Duration(m.random()*float64(pause)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// sweep looks at every record once, and refreshes the idle ones.
func (m *Manager) sweep(ctx context.Context, keepAlive time.Duration) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	workers := make(gate, runWorkers)
	for key, err := range m.Store.Names(ctx) {
		if err != nil {
			return fmt.Errorf("tokensource: can't list the connections: %w", err)
		}
		rec, _, err := m.read(ctx, key)
		if errors.Is(err, storage.ErrNotFound) {
			continue // disconnected meanwhile
		}
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			m.emit(ctx, Event{Kind: EventFailed, Connection: key, Reason: ReasonStore, Err: err})
			continue
		}
		if !idle(rec, time.Now(), keepAlive) {
			continue
		}
		if err := workers.lock(ctx); err != nil {
			return err
		}
		wg.Go(func() {
			defer workers.unlock()
			s := m.Source(key)
			s.stale.Store(&rec.ID)
			select {
			case <-s.start(ctx).done: // its outcome is in the record, and in an event
			case <-ctx.Done():
			}
		})
	}
	return nil
}

// idle reports whether it is time to keep rec alive.
func idle(rec *record, now time.Time, keepAlive time.Duration) bool {
	if rec.RefreshToken == "" || rec.Failure != nil && (rec.Failure.Final || now.Before(rec.Failure.Next)) {
		return false
	}
	if a := rec.Attempt; a != nil && now.Sub(a.Started).Abs() < abandoned {
		return false
	}
	h := fnv.New32a()
	h.Write([]byte(rec.ID)) // a new one with each token
	earlier := time.Duration(float64(keepAlive/keepAliveSpread) * float64(h.Sum32()) / (1 << 32))
	return now.Sub(rec.Obtained) > keepAlive-earlier
}
