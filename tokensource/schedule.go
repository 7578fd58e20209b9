package tokensource

import (
	"math/rand/v2"
	"time"
)

const (
	// A token is refreshed when a quarter of its life is left, so that a provider
	// can be down for that long before anyone notices, but no earlier than five
	// minutes before its end: more would only refresh long-lived tokens more often.
	earlyShare = 4
	maxEarly   = 5 * time.Minute

	// On top of that comes a random part of up to a tenth of its life, so that
	// tokens that were issued together aren't refreshed together.
	jitterShare = 10
	maxJitter   = time.Hour

	// A token is served until a twentieth of its life before its end, at most ten
	// seconds (x/oauth2's margin), for the request to arrive while it is valid.
	slackShare = 20
	maxSlack   = 10 * time.Second
)

// times are the moments at which a token has to be refreshed and can no longer be served.
// Each holds a reading of the monotonic clock, which no one can set, and one of the wall
// clock, which runs on while the machine sleeps. The earlier one counts. They are zero for
// a token that doesn't expire.
type times struct{ refresh, end time.Time }

// timesOf returns the times of r as seen at now. early overrides the default margin if
// positive, and jitter is a random number in [0, 1).
func timesOf(r *record, now time.Time, early time.Duration, jitter float64) times {
	if r.Expiry.IsZero() {
		return times{}
	}
	life := max(r.Expiry.Sub(r.Obtained), 0)
	if early <= 0 {
		early = min(life/earlyShare, maxEarly)
	}
	// However large the margin, a token lives for half of its life before it is
	// refreshed: a fixed one would refresh short-lived tokens at every call. The random
	// part has its room within that half.
	random := min(life/jitterShare, maxJitter)
	early = min(early, life/2-random) + time.Duration(jitter*float64(random))
	slack := min(life/slackShare, maxSlack)

	// A clock that was set back must not make the token older than it can get.
	left := min(r.Expiry.Sub(now.Round(0)), life)
	t := times{now.Add(left - early), now.Add(left - slack)}
	if isFuture(r.Obtained, now) {
		t.refresh = now // nobody knows how old it is
	}
	return t
}

// due reports whether the token should be refreshed.
func (t *times) due(now time.Time) bool { return passed(t.refresh, now) }

// over reports whether the token can no longer be served.
func (t *times) over(now time.Time) bool { return passed(t.end, now) }

const (
	// The wait after a transient failure: a second first, which most grace windows
	// of rotating providers outlast, doubled each time, up to five minutes, which
	// bounds how long a recovered provider goes unnoticed.
	minBackoff = time.Second
	maxBackoff = 5 * time.Minute

	// A Retry-After is obeyed up to an hour; no provider means longer, and a
	// broken one mustn't stop a connection for good.
	maxRetryAfter = time.Hour

	// A request that never left, for want of a network or of a name, costs the provider
	// nothing: the wait ends soon after the network is back.
	maxOffline = 10 * time.Second
)

// backoff is how long to wait after count failures in a row: half of it fixed, half
// random, and at least what the provider asked for.
func backoff(count int, retryAfter time.Duration, random float64) time.Duration {
	d := min(minBackoff<<min(max(count-1, 0), 9), maxBackoff) // 2^9 s is more than that
	d = d/2 + time.Duration(random*float64(d/2))
	return max(d, min(retryAfter, maxRetryAfter))
}

// wait is for how long f keeps others from trying again, as seen at now. Its clock may
// differ from ours, so what counts is for how long it meant to wait, less what has passed
// by our clock; a time in the future isn't believed.
func (f *failure) wait(now time.Time) time.Duration {
	if f == nil || isFuture(f.At, now) {
		return 0
	}
	meant := min(max(f.Next.Sub(f.At), 0), maxRetryAfter) // 0 if it has no Next
	return max(meant-max(now.Round(0).Sub(f.At), 0), 0)
}

// believed returns f, or nil if all that says so is a clock that is ahead: that of a process which
// has found a token expired that lives on by others'. Each finds that out for itself.
func (f *failure) believed(now time.Time) *failure {
	if f != nil && f.Reason == ReasonExpired && isFuture(f.At, now) {
		return nil
	}
	return f
}

// maxAttemptAge is how long the owner of an attempt is taken to be at work. A process that needs
// the token finds out sooner: see observation.
const maxAttemptAge = 5 * time.Minute

// isRecent reports whether the owner of a is perhaps at work, as far as two clocks can tell.
func (a *attempt) isRecent(now time.Time) bool {
	return a != nil && now.Sub(a.Started).Abs() < maxAttemptAge
}

// random returns a number in [0, 1). Tests with a seed replace it.
func (m *Manager) random() float64 {
	if m.testRandom != nil {
		return m.testRandom()
	}
	return rand.Float64()
}
