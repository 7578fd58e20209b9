package tokensource

import (
	"sync/atomic"
	"time"
)

// fastPath is a view, and until when it can be served without a look at anything else. With it,
// most calls read one clock, the monotonic one, which is the cheapest. A timer that closes it would
// save that as well, but is late in a process that was stopped, as containers and functions are
// between requests: the first requests after that would be made with an old token.
type fastPath struct {
	view  *view
	until int64 // as monotonic returns it

	access atomic.Pointer[access] // of the view's token; nil: Client hasn't sent it yet
}

// maxFastPath is how long a fast path is open at most: the wall clock may tell sooner than the
// monotonic clock that a token is over, as when the machine was asleep.
const maxFastPath = time.Second

// openFastPath lets v be served for a while without a look at anything else, if v allows it.
func (s *Source) openFastPath(v *view, now time.Time) {
	d := min(v.goodFor(now, s.m.set.stale), maxFastPath)
	if d <= 0 {
		return
	}
	c := &fastPath{view: v, until: monotonic() + int64(d)}
	s.fastPath.Store(c)
	if s.view.Load() != v {
		s.fastPath.CompareAndSwap(c, nil)
	}
}
