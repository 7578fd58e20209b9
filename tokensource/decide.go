package tokensource

import "time"

// action is what is to be done with a connection.
type action int

const (
	serve      action = iota // the token is good
	hold                     // it has to be refreshed, but not yet
	refreshNow               // it has to be refreshed now
	giveUp                   // only the user can help
)

// decision is an action and its grounds.
type decision struct {
	action
	failure failure   // for hold and giveUp
	until   time.Time // for hold: no refresh is tried before
}

// decide says what is to be done with r, of which v is the view. A two-legged grant needs no
// refresh token. decide changes nothing, and reads nothing but its parameters.
func decide(r *record, v *view, twoLegged bool, now time.Time) decision {
	refreshable := twoLegged || r.RefreshToken != ""
	// An attempt is waited for, or finished if its owner has died, however long the token
	// is valid: a provider's grace window is open for seconds.
	due := v.due(now) || r.Attempt != nil
	switch {
	case r.Failure != nil && r.Failure.Final:
		return decision{action: giveUp, failure: *r.Failure}
	case v.servable(now) && !(refreshable && due):
		return decision{action: serve}
	case !refreshable:
		return decision{action: giveUp, failure: failure{Reason: v.whyOver(), At: wall(now), Final: true}}
	}
	if until := v.refusalHoldOff(); r.Attempt == nil && v.servable(now) && now.Before(until) {
		return decision{action: hold, until: until}
	}
	// What this process knows of a failure goes before what the record says of it.
	if t := v.lastFailure; t != nil && t.Reason != ReasonStore {
		if now.Before(t.holdOff) {
			return decision{action: hold, failure: t.failure, until: t.holdOff}
		}
		if r.Failure == nil || r.Failure.At.Equal(t.At) {
			return decision{action: refreshNow}
		}
	}
	if wait := r.Failure.wait(now); wait > 0 {
		return decision{action: hold, failure: *r.Failure, until: now.Add(wait)}
	}
	return decision{action: refreshNow}
}
