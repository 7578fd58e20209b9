package tokensource

import "context"

// gate is a mutex that can be held across calls of the store: who waits for it can
// give up. Make it with a capacity of one.
type gate chan struct{}

func newGate() gate { return make(gate, 1) }

// lock waits for the gate, or until ctx is done.
func (g gate) lock(ctx context.Context) error {
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g gate) unlock() { <-g }
