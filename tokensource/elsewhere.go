package tokensource

import (
	"context"
	"time"
)

// replacedElsewhere reports whether another token than v's has been got meanwhile, or is
// under way: some providers end the old one at the moment they issue the next, before
// whoever asked for that could save it.
func (s *Source) replacedElsewhere(ctx context.Context, v *view) bool {
	look := s.lookSoon()
	select {
	case <-look.done:
	case <-ctx.Done():
		return false
	}
	switch {
	case look.found.record == nil:
		return false
	case look.found.ID != v.record.ID:
		s.publish(v, look.found.record, look.began)
		return true
	case look.found.Attempt == nil:
		return false
	}
	select {
	case <-s.start(ctx).done:
		return true
	case <-ctx.Done():
		return false
	}
}

// sharedLook is one look at a connection's record for all whose token was refused before it
// began. An API that refuses every request causes no more than a look each lookPause.
type sharedLook struct {
	done chan struct{} // closed when what follows is set

	began time.Time
	found versioned // nothing if the store failed
}

// lookPause is how long others may join a look before it begins.
const lookPause = 50 * time.Millisecond

// lookSoon returns the next look at the record of s.
func (s *Source) lookSoon() *sharedLook {
	m := s.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if look := m.nextLook[s]; look != nil {
		return look
	}
	look := &sharedLook{done: make(chan struct{})}
	if m.nextLook == nil {
		m.nextLook = make(map[*Source]*sharedLook)
	}
	m.nextLook[s] = look
	m.inflight.add() // those who wait for it may leave before it
	time.AfterFunc(lookPause, func() {
		defer m.inflight.done()
		defer close(look.done)
		m.mu.Lock()
		delete(m.nextLook, s)
		m.mu.Unlock()
		look.began = time.Now()
		look.found, _ = m.read(context.Background(), s.name)
	})
	return look
}
