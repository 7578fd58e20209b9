package otelmetrics

import (
	"context"
	"errors"
	"time"

	"github.com/oauth2keep/oauth2keep/tokensource"
)

// counted is how many connections there were.
type counted struct {
	at          time.Time // when the count ended
	connections map[kind]int64
}

// kind is what connections are counted by.
type kind struct {
	state  tokensource.State
	reason tokensource.Reason
}

// states are counted also if there is no connection in them.
var states = []tokensource.State{
	tokensource.StateHealthy, tokensource.StateExpiring, tokensource.StateRefreshing, tokensource.StateUnsaved,
	tokensource.StateFailing, tokensource.StateLoginRequired, tokensource.StateUnreadable,
}

const (
	defaultEvery = 5 * time.Minute

	// batch is how many records are read before a pause as long as reading them took.
	batch = 1000
)

// Watch counts the Manager's connections at once and then again and again, until ctx is
// done. Every is how long it waits after a count; zero or less means five minutes. What is
// measured is the last count that was complete, so that nobody who reads the metrics waits
// for one, and memory doesn't grow with the number of connections.
//
// A count reads every record in the store once, one at a time, and rests for half of the
// time. For many connections let one process watch them, or make it rare. While the store
// has trouble the last count stands; oauth2keep.count.time says how old it is.
//
// It returns the error of ctx, or one that wraps [errors.ErrUnsupported] if the store can't
// list its names.
func (m *Metrics) Watch(ctx context.Context, manager *tokensource.Manager, every time.Duration) error {
	if every <= 0 {
		every = defaultEvery
	}
	for {
		c, err := count(ctx, manager)
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			return err
		case err == nil:
			m.last.Store(c)
		}
		if err := sleep(ctx, every); err != nil {
			return err
		}
	}
}

// count counts connections, without haste.
func count(ctx context.Context, manager *tokensource.Manager) (*counted, error) {
	c := &counted{connections: make(map[kind]int64)}
	for _, s := range states {
		c.connections[kind{state: s}] = 0
	}
	n, began := 0, time.Now()
	for status, err := range manager.Connections(ctx) {
		if err != nil && status.Connection == "" {
			return nil, err
		}
		c.connections[kind{status.State, status.Reason}]++
		if n++; n%batch == 0 {
			if err := sleep(ctx, time.Since(began)); err != nil {
				return nil, err
			}
			began = time.Now()
		}
	}
	c.at = time.Now()
	return c, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
