package tokensource

import "context"

// semaphore lets as many callers in at a time as its capacity. One of capacity 1 is a mutex
// that can be held across calls of the store, since a caller that waits can give up.
type semaphore chan struct{}

// lock waits for a place, or until ctx is done.
func (s semaphore) lock(ctx context.Context) error {
	select {
	case s <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s semaphore) unlock() { <-s }
