package webhook

import (
	"context"
	"sync"
	"time"
)

const (
	// remembered is how long an event that was handled is kept: as long as a provider
	// tries to deliver it.
	remembered = 72 * time.Hour

	// maxRemembered is how many of them a process keeps, at about 150 bytes each.
	maxRemembered = 10_000
)

// Memory keeps which events were handled. Give replicas one that they share; in Redis,
// Seen is EXISTS and Remember is SET with PXAT. Keys are visible ASCII, at most 300 bytes.
// Its methods are called concurrently.
type Memory interface {
	// Seen reports whether key was given to Remember, and its time hasn't come yet. An
	// error has the provider try again later.
	Seen(ctx context.Context, key string) (bool, error)

	// Remember keeps key until that time, after which it may be forgotten.
	Remember(ctx context.Context, key string, until time.Time) error
}

// memory is the Memory of one process. It forgets the oldest first if it is full.
type memory struct {
	mu    sync.Mutex // guards the following
	until map[string]time.Time
	order []string // the keys, the oldest first
}

func (m *memory) Seen(_ context.Context, key string) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	until, ok := m.until[key]
	return ok && time.Now().Before(until), nil
}

func (m *memory) Remember(_ context.Context, key string, until time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.until == nil {
		m.until = make(map[string]time.Time)
	}
	if _, again := m.until[key]; !again {
		m.order = append(m.order, key)
	}
	m.until[key] = until
	for len(m.order) > maxRemembered || !time.Now().Before(m.until[m.order[0]]) {
		delete(m.until, m.order[0])
		m.order = m.order[1:]
		if len(m.order) == 0 {
			break
		}
	}
	return nil
}
