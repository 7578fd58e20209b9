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

// times are the moments at which a token has to be refreshed and can no longer be
// served. Each is kept on the monotonic clock, which no one can set, and on the
// wall clock, which runs on while the machine sleeps. The earlier one counts.
type times struct {
	refresh, refreshWall time.Time
	end, endWall         time.Time
}

// timesOf computes the times for r as seen at now; early overrides the default
// margin if positive, and jitter is a random number in [0, 1). They are zero for a
// token that doesn't expire.
func timesOf(r *record, now time.Time, early time.Duration, jitter float64) times {
	if r.Expiry.IsZero() {
		return times{}
	}
	life := max(r.Expiry.Sub(r.Obtained), 0)
	if early <= 0 {
		early = min(life/earlyShare, maxEarly)
	}
	early += time.Duration(jitter * float64(min(life/jitterShare, maxJitter)))
	// However large the margin, a token lives for half of its life before it is
	// refreshed: a fixed one would refresh short-lived tokens at every call.
	early = min(early, life/2)
	slack := min(life/slackShare, maxSlack)

	// A clock that was set back must not make the token older than it can get.
	left := min(r.Expiry.Sub(now.Round(0)), life)
	return times{
		refresh:     now.Add(left - early),
		refreshWall: r.Expiry.Add(-early),
		end:         now.Add(left - slack),
		endWall:     r.Expiry.Add(-slack),
	}
}

// due reports whether the token should be refreshed.
func (t *times) due(now time.Time) bool {
	return !t.refresh.IsZero() && !(now.Before(t.refresh) && now.Before(t.refreshWall))
}

// over reports whether the token can no longer be served.
func (t *times) over(now time.Time) bool {
	return !t.end.IsZero() && !(now.Before(t.end) && now.Before(t.endWall))
}

const (
	// The wait after a transient failure: a second first, which most grace windows
	// of rotating providers outlast, doubled each time, up to five minutes, which
	// bounds how long a recovered provider goes unnoticed.
	minBackoff = time.Second
	maxBackoff = 5 * time.Minute

	// A Retry-After is obeyed up to an hour; no provider means longer, and a
	// broken one mustn't stop a connection for good.
	maxRetryAfter = time.Hour
)

// backoff is how long to wait after count failures in a row: half of it fixed, half
// random, and at least what the provider asked for.
func backoff(count int, retryAfter time.Duration, random float64) time.Duration {
	d := maxBackoff
	if count < 10 { // 2^9 s is more than maxBackoff
		d = min(minBackoff<<max(count-1, 0), maxBackoff)
	}
	d = d/2 + time.Duration(random*float64(d/2))
	return max(d, min(retryAfter, maxRetryAfter))
}

// random returns a number in [0, 1). Tests with a seed replace it.
func (m *Manager) random() float64 {
	if m.testRandom != nil {
		return m.testRandom()
	}
	return rand.Float64()
}
