package tokensource

import (
	"context"
	"sync"
)

// inflight counts what is under way, so that Flush can wait for its end.
type inflight struct {
	mu   sync.Mutex
	n    int
	zero chan struct{} // closed when n falls to 0; nil if nobody waits
}

func (c *inflight) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
}

func (c *inflight) done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n--; c.n == 0 && c.zero != nil {
		close(c.zero)
		c.zero = nil
	}
}

// wait waits until nothing is under way or ctx is done.
func (c *inflight) wait(ctx context.Context) error {
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
