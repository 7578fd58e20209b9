package tokensource

import (
	"sync/atomic"
	"time"
)

// fastPath is a view that can be served without a look at anything else, until the second is
// over. Most calls of a connection in use need no more than that, and read no clock.
type fastPath struct {
	view   *view
	second *second
	access atomic.Pointer[access] // of the view's token; nil: Client hasn't sent it yet
}

// second is a second of a Manager's time, which a timer ends. All fast paths that are opened
// in it close with it, so that a Manager in use has one timer, and an idle one has none.
type second struct {
	over atomic.Bool
	ends time.Time
}

// secondLength is a second's length, and how late its timer may be. It isn't longer because the
// wall clock may tell sooner than a timer that a token is over, as when the machine was asleep.
const secondLength = time.Second

// currentSecond returns the second that has begun, or begins now.
func (m *Manager) currentSecond(now time.Time) *second {
	for {
		old := m.second.Load()
		if old != nil && !old.over.Load() && now.Before(old.ends) {
			return old
		}
		next := &second{ends: now.Add(secondLength)}
		if m.second.CompareAndSwap(old, next) {
			time.AfterFunc(secondLength, func() { next.over.Store(true) })
			return next
		}
	}
}

// openFastPath lets v be served without a look at anything else for the rest of the second, if
// v is good for that long, also if the timer is late.
func (s *Source) openFastPath(v *view, now time.Time) {
	good := v.goodFor(now, s.m.set.stale)
	if good <= 2*secondLength {
		return
	}
	c := &fastPath{view: v, second: s.m.currentSecond(now)}
	s.fastPath.Store(c)
	if s.view.Load() != v {
		s.fastPath.CompareAndSwap(c, nil)
	}
}
