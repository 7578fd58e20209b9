package tokensourcetest

import (
	"sync"
	"time"
)

// refusals are the calls that the API answered with 401 in the end. A call that is
// refused is repeated, once, with a token that has a quarter of its life left at
// least. If that is refused too, either it wasn't such a token, or the machine stalled
// for as long, which is nobody's fault.
type refusals struct {
	mu  sync.Mutex
	all []refusal
}

type refusal struct {
	connection int
	start, end time.Time
}

func (rs *refusals) add(connection int, start time.Time) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.all = append(rs.all, refusal{connection, start, time.Now()})
}

// judge counts the calls that were too late and those that should have succeeded.
func (rs *refusals) judge(tokenLife time.Duration) (late, failed int64) {
	for _, r := range rs.all {
		if rs.excused(r, tokenLife) {
			late++
		} else {
			failed++
		}
	}
	return late, failed
}

// excused reports whether r took so long that its token may have ended on the way, or
// used the same token as a call that did: a new token that the API refuses isn't
// refreshed at every call, as it wouldn't help.
func (rs *refusals) excused(r refusal, tokenLife time.Duration) bool {
	for _, o := range rs.all {
		slow := o.end.Sub(o.start) > tokenLife/5
		if slow && o.connection == r.connection && r.end.After(o.start) && r.start.Before(o.end.Add(tokenLife)) {
			return true
		}
	}
	return false
}
