package tokensource

import "time"

var epoch = time.Now()

// monotonic reads the monotonic clock.
func monotonic() int64 { return int64(time.Since(epoch)) }

// apart is how far a and b are apart, by the monotonic clock or by the wall clock, which
// runs on while the machine sleeps, whichever says more.
func apart(a, b time.Time) time.Duration {
	return max(b.Sub(a), b.Round(0).Sub(a.Round(0)))
}

// elapsed is how long ago start was, by either clock.
func elapsed(start time.Time) time.Duration { return apart(start, time.Now()) }

// wall returns t as it is stored.
func wall(t time.Time) time.Time { return t.Round(0).UTC() }

// maxSkew is how far two clocks may be apart for one to believe the other. A time that is
// further in the future was written by a clock that was wrong, or is read by one.
const maxSkew = 5 * time.Minute

// isFuture reports whether t, of another process's clock, can't be true.
func isFuture(t, now time.Time) bool { return t.Sub(now.Round(0)) > maxSkew }

// passed reports whether the moment t is over by either clock. The zero t never is.
func passed(t, now time.Time) bool {
	return !t.IsZero() && (!now.Before(t) || !now.Round(0).Before(t.Round(0)))
}
