package pkce

import (
	"crypto/sha256"
	"sync"
	"time"
)

// maxSpent bounds one generation of spentStates. It takes 8,192 finished attempts
// within [Flow.MaxAge] before one of them is forgotten early.
const maxSpent = 1 << 13

// spentStates remembers the states that were used, so that of two equal callbacks
// that arrive at once only one goes through. It has two generations and forgets the
// older one as a whole. The zero value is ready.
type spentStates struct {
	mu      sync.Mutex
	current map[[sha256.Size]byte]chan struct{}
	older   map[[sha256.Size]byte]chan struct{}
	since   time.Time // when current became current
}

// spend reports whether state is used for the first time, and remembers it for
// maxAge at least. The first caller closes answered when its callback was answered;
// the others may wait for that.
func (m *spentStates) spend(state string, maxAge time.Duration) (answered chan struct{}, first bool) {
	h := sha256.Sum256([]byte(state))
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := time.Now(); m.current == nil || len(m.current) >= maxSpent || now.Sub(m.since) >= maxAge {
		m.older, m.current, m.since = m.current, make(map[[sha256.Size]byte]chan struct{}), now
	}
	for _, states := range []map[[sha256.Size]byte]chan struct{}{m.current, m.older} {
		if answered, ok := states[h]; ok {
			return answered, false
		}
	}
	answered = make(chan struct{})
	m.current[h] = answered
	return answered, true
}
