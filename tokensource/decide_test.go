package tokensource

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// noon is when everything in the tables of decide and of the record's life happens.
var noon = time.Date(2030, time.January, 1, 12, 0, 0, 0, time.UTC)

// aRecord returns a record of a token that was issued at noon for an hour, changed by edits.
func aRecord(edits ...func(*record)) *record {
	r := &record{
		Format: recordFormat, Registration: &testOwner, LoginID: "login", Generation: 2, ID: "id",
		AccessToken: "access", RefreshToken: "refresh", Expiry: noon.Add(time.Hour), Login: instantOf(noon), Obtained: noon, Rotated: instantOf(noon),
	}
	for _, edit := range edits {
		edit(r)
	}
	return r
}

func TestDecide(t *testing.T) {
	noRefresh := func(r *record) { r.RefreshToken = "" }
	noAccess := func(r *record) { r.AccessToken = "" }
	attempted := func(r *record) { r.Attempt = &attempt{ID: "someone else's", Started: noon} }
	forEver := func(r *record) { r.Expiry = time.Time{} }
	failedWith := func(f failure) func(*record) { return func(r *record) { r.Failure = &f } }
	final := failedWith(failure{Reason: ReasonRevoked, Code: "invalid_grant", At: noon, Final: true})
	transient := failure{Reason: ReasonUnavailable, At: noon.Add(56 * time.Minute), Count: 1, Next: noon.Add(58 * time.Minute)}
	rejected := func(v *view) { v.refusal = &refusal{at: noon.Add(time.Minute)} }
	refusedWhenNew := func(at time.Duration) func(*view) {
		return func(v *view) { v.refusal = &refusal{replaced: noon, holdOff: noon.Add(at)} }
	}
	troubled := func(f failure, holdOff time.Duration) func(*view) {
		return func(v *view) { v.lastFailure = &lastFailure{failure: f, holdOff: noon.Add(holdOff)} }
	}
	keepAlive := func(v *view) { v.keepAliveDue = true }
	edits := func(e ...func(*record)) []func(*record) { return e }
	views := func(e ...func(*view)) []func(*view) { return e }
	const fresh, due, over = time.Minute, 56 * time.Minute, 61 * time.Minute
	for _, c := range []struct {
		name    string
		record  []func(*record)
		view    []func(*view)
		obtains bool
		after   time.Duration // noon
		want    action
		reason  Reason
		until   time.Duration // after noon
	}{
		{"valid", nil, nil, false, fresh, serve, "", 0},
		{"due", nil, nil, false, due, refreshNow, "", 0},
		{"over", nil, nil, false, over, refreshNow, "", 0},
		{"never expires", edits(forEver), nil, false, 1000 * time.Hour, serve, "", 0},
		{"never expires, kept alive", edits(forEver), views(keepAlive), false, fresh, refreshNow, "", 0},
		{"valid, kept alive", nil, views(keepAlive), false, fresh, refreshNow, "", 0},
		{"valid, being refreshed", edits(attempted), nil, false, fresh, refreshNow, "", 0},
		{"valid, being disconnected, and can't be refreshed", edits(attempted, noRefresh), nil, false, fresh, serve, "", 0},
		{"refresh token alone", edits(noAccess, forEver), nil, false, fresh, refreshNow, "", 0},

		{"ended", edits(final), nil, false, fresh, giveUp, ReasonRevoked, 0},
		{"ended, obtained without a user", edits(final), nil, true, fresh, giveUp, ReasonRevoked, 0},
		{"ended, of a clock ahead", edits(failedWith(failure{Reason: ReasonRevoked, At: noon.AddDate(1, 0, 0), Final: true})), nil, false, fresh, giveUp, ReasonRevoked, 0},

		{"no refresh token, due", edits(noRefresh), nil, false, due, serve, "", 0},
		{"no refresh token, kept alive", edits(noRefresh), views(keepAlive), false, fresh, serve, "", 0},
		{"no refresh token, over", edits(noRefresh), nil, false, over, giveUp, ReasonExpired, 0},
		{"no refresh token, rejected", edits(noRefresh), views(rejected), false, fresh, giveUp, ReasonRejected, 0},
		{"obtained, due", edits(noRefresh), nil, true, due, refreshNow, "", 0},
		{"obtained, rejected", edits(noRefresh), views(rejected), true, fresh, refreshNow, "", 0},
		{"obtained, not yet", edits(noRefresh, noAccess, forEver), nil, true, fresh, refreshNow, "", 0},

		{"rejected", nil, views(rejected), false, fresh, refreshNow, "", 0},
		{"refused when new", nil, views(refusedWhenNew(due + time.Minute)), false, due, hold, "", due + time.Minute},
		{"refused when new, being refreshed", edits(attempted), views(refusedWhenNew(due + time.Minute)), false, due, refreshNow, "", 0},
		{"refused when new, long ago", nil, views(refusedWhenNew(fresh)), false, due, refreshNow, "", 0},
		{"refused when new, over", nil, views(refusedWhenNew(over + time.Minute)), false, over, refreshNow, "", 0},

		{"failed elsewhere", edits(failedWith(transient)), nil, false, 57 * time.Minute, hold, ReasonUnavailable, 58 * time.Minute},
		{"failed elsewhere, wait over", edits(failedWith(transient)), nil, false, 59 * time.Minute, refreshNow, "", 0},
		{"failed elsewhere, valid", edits(failedWith(transient)), nil, false, 10 * time.Minute, serve, "", 0},
		{"failed elsewhere, without a wait", edits(failedWith(failure{Reason: ReasonMisconfigured, At: noon.Add(55 * time.Minute)})), nil, false, due, refreshNow, "", 0},
		{"failed elsewhere, clock a year ahead", edits(failedWith(failure{Reason: ReasonUnavailable, At: noon.AddDate(1, 0, 0), Next: noon.AddDate(1, 0, 1)})), nil, false, due, refreshNow, "", 0},
		{"failed elsewhere, a wait for ever", edits(failedWith(failure{Reason: ReasonRateLimited, At: noon.Add(due - time.Minute), Next: noon.AddDate(5, 0, 0)})), nil, false, due, hold, ReasonRateLimited, due - time.Minute + maxRetryAfter},
		{"failed elsewhere, clock a year behind", edits(failedWith(failure{Reason: ReasonUnavailable, At: noon.AddDate(-1, 0, 0), Next: noon.AddDate(-1, 0, 0).Add(time.Hour)})), nil, false, due, refreshNow, "", 0},

		{"failed here", nil, views(troubled(failure{Reason: ReasonMisconfigured, At: noon.Add(due)}, due+time.Minute)), false, due, hold, ReasonMisconfigured, due + time.Minute},
		{"failed here, wait over", nil, views(troubled(failure{Reason: ReasonMisconfigured, At: noon.Add(fresh)}, due)), false, due, refreshNow, "", 0},
		{"failed here and recorded, wait over here", edits(failedWith(transient)), views(troubled(transient, 56*time.Minute+time.Second)), false, 57 * time.Minute, refreshNow, "", 0},
		{"failed here, later elsewhere", edits(failedWith(transient)), views(troubled(failure{Reason: ReasonUnavailable, At: noon.Add(time.Minute)}, 56*time.Minute)), false, 57 * time.Minute, hold, ReasonUnavailable, 58 * time.Minute},
		{"store failed here", nil, views(troubled(failure{Reason: ReasonStore, At: noon.Add(due)}, due+time.Minute)), false, due, refreshNow, "", 0},
		{"store failed here, failed elsewhere", edits(failedWith(transient)), views(troubled(failure{Reason: ReasonStore, At: noon.Add(due)}, due+time.Minute)), false, 57 * time.Minute, hold, ReasonUnavailable, 58 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := aRecord(c.record...)
			now := noon.Add(c.after)
			v := &view{record: r, times: timesOf(r, noon, 0, 0)}
			for _, edit := range c.view {
				edit(v)
			}
			before := *r
			d := decide(r, v, c.obtains, now)
			assert.Equal(t, c.want, d.action)
			assert.Equal(t, c.reason, d.failure.Reason)
			if c.want == hold {
				assert.Equal(t, noon.Add(c.until), d.until)
			}
			if c.want == giveUp {
				assert.True(t, d.failure.Final, "it will be written")
				assert.True(t, d.failure.Reason.loginRequired())
			}
			assert.Equal(t, before, *r, "a decision changes nothing")
		})
	}
}
