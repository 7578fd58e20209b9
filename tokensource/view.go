package tokensource

import (
	"time"

	"golang.org/x/oauth2"
)

// view is what this process knows of a connection. It is never changed, only replaced as
// a whole, by Source.change. The zero view knows nothing.
type view struct {
	record *record       // as last read or written; nil if there is none, or nobody has looked
	token  *oauth2.Token // its token, if only strings and numbers came beside it: a copy is cheaper than a conversion
	bearer *[1]string    // its Authorization header

	times  times
	looked time.Time // when the last look began that saw the record

	keepAliveDue bool // Run wants the token refreshed, however long it lives

	refusal     *refusal     // what the API said of the token
	lastFailure *lastFailure // what failed last, about this token
	unsaved     *unsaved     // the token, if the store hasn't taken it yet
}

// refusal is what is known of an API that refused a token.
type refusal struct {
	at       time.Time // when it refused this token; zero if it didn't
	replaced time.Time // when this token came in place of one that it refused; zero if it didn't
	holdOff  time.Time // no refresh is tried before: it refused a token that was new
}

// refusedFor is how long a token is new that came in place of a refused one. If it is refused
// as well by then, what is wrong isn't the token, and no refresh is tried for as long again.
const refusedFor = time.Minute

// carriedTo is what remains of a refusal when r, the next token of the login, is there. No refresh
// is tried any sooner because it was another process, which may be refused as well, that got it.
func (old refusal) carriedTo(r *record, now time.Time) *refusal {
	next := refusal{}
	if !old.at.IsZero() && !r.Obtained.Before(wall(old.at)) {
		next.replaced = now
	}
	if now.Before(old.holdOff) {
		next.holdOff = old.holdOff
	}
	if next == (refusal{}) {
		return nil
	}
	return &next
}

// servable reports whether the token can be given to a caller.
func (v *view) servable(now time.Time) bool {
	r := v.record
	return r != nil && r.AccessToken != "" && !v.isRejected() && !v.times.over(now) && (r.Failure == nil || !r.Failure.Final)
}

// isRejected reports whether the API refused the token, so that it isn't served any more.
func (v *view) isRejected() bool { return v.refusal != nil && !v.refusal.at.IsZero() }

// whyOver is the reason why a token that can't be refreshed is of no use any more.
func (v *view) whyOver() Reason {
	if v.isRejected() {
		return ReasonRejected
	}
	return ReasonExpired
}

// refusalHoldOff is until when no refresh is tried because the API refused a token that was new.
func (v *view) refusalHoldOff() time.Time {
	if v.refusal == nil {
		return time.Time{}
	}
	return v.refusal.holdOff
}

// replacedLately reports whether the token came in place of a refused one, and is still new: it
// can't have ended by itself. One that lives for less than two minutes is new for half of its
// life, since the API sees its end earlier than we do: we count from when the answer came.
func (v *view) replacedLately(now time.Time) bool {
	if v.refusal == nil || v.refusal.replaced.IsZero() {
		return false
	}
	age, r := apart(v.refusal.replaced, now), v.record
	return age < refusedFor && (r.Expiry.IsZero() || age < r.Expiry.Sub(r.Obtained)/2)
}

// due reports whether the token should be refreshed.
func (v *view) due(now time.Time) bool { return v.times.due(now) || v.keepAliveDue }

// id is the ID of the token, or "".
func (v *view) id() string {
	if v.record == nil {
		return ""
	}
	return v.record.ID
}

// latest is the last record that this process had, also if it isn't there any more, or nil. A backup
// that is being restored may bring an earlier one of the same login.
func (v *view) latest() *record {
	if v.record == nil && v.lastFailure != nil {
		return v.lastFailure.absent
	}
	return v.record
}

// login is the ID of the login that the token descends from, or "".
func (v *view) login() string {
	if v.record == nil {
		return ""
	}
	return v.record.LoginID
}

// goodFor is how long the token can be served without a look at anything. After that it is due,
// or over, or it is time to look whether the record still holds it.
func (v *view) goodFor(now time.Time, stale time.Duration) time.Duration {
	if !v.servable(now) || v.keepAliveDue || v.due(now) || v.isStale(now, stale) {
		return 0
	}
	d := stale - apart(v.looked, now)
	for _, t := range []time.Time{v.times.refresh, v.times.end} {
		if !t.IsZero() {
			d = min(d, t.Sub(now), t.Round(0).Sub(now.Round(0)))
		}
	}
	return d
}

// needsLook reports whether the record has to be looked at again, though the token may be good.
func (v *view) needsLook(now time.Time, stale time.Duration) bool {
	return v.isStale(now, stale) && !v.storeIsDown(now) && v.unsaved == nil
}

// needsRefresh reports whether a flight has something to refresh, as far as this process knows.
func (v *view) needsRefresh(now time.Time, twoLegged bool) bool {
	return v.due(now) && !now.Before(v.holdOff()) && v.unsaved == nil && (v.record.RefreshToken != "" || twoLegged)
}

// isStale reports whether the record was last looked at longer than d ago.
func (v *view) isStale(now time.Time, d time.Duration) bool { return apart(v.looked, now) > d }

// holdOff is until when no refresh is tried, as far as this process knows.
func (v *view) holdOff() time.Time {
	until := v.refusalHoldOff()
	if t := v.lastFailure; t != nil && t.holdOff.After(until) {
		until = t.holdOff
	}
	return until
}

// keepUntil is until when the view must not be forgotten: it holds off, or knows of a refusal.
func (v *view) keepUntil() time.Time {
	until := v.holdOff()
	if v.refusal == nil {
		return until
	}
	known := v.refusal.at
	if known.IsZero() {
		known = v.refusal.replaced
	}
	if known = known.Add(refusedFor); known.After(until) {
		until = known
	}
	return until
}

// storeIsDown reports whether the store failed lately and isn't asked again yet.
func (v *view) storeIsDown(now time.Time) bool {
	return v.lastFailure != nil && v.lastFailure.Reason == ReasonStore && now.Before(v.lastFailure.holdOff)
}

// viewOf is the view of a record that was just read or written.
func (m *Manager) viewOf(r *record, looked time.Time) *view {
	v := &view{looked: looked, times: timesOf(r, time.Now(), m.EarlyExpiry, m.random())}
	c := *r
	if r.AccessToken != "" {
		v.bearer = &[1]string{"Bearer " + r.AccessToken}
		c.AccessToken = v.bearer[0][len("Bearer "):] // the same text, kept once
	}
	v.record = &c
	if len(r.Extra) > 0 && isFlat(r.Extra) {
		v.token = c.token()
	}
	return v
}

// isFlat reports whether extra has no members that whoever has them can change.
func isFlat(extra map[string]any) bool {
	for _, member := range extra {
		switch member.(type) {
		case map[string]any, []any:
			return false
		}
	}
	return true
}
