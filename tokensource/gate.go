package tokensource

import "context"

// gate lets a number of callers in at a time, its capacity: one makes it a mutex that can be
// held across calls of the store, since a caller that waits can give up.
type gate chan struct{}

func newGate() gate { return make(gate, 1) }

// lock waits for a place, or until ctx is done.
func (g gate) lock(ctx context.Context) error {
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g gate) unlock() { <-g }
