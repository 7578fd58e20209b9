package tokensource

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// by returns an edit that puts an attempt into a record.
func by(id string) func(*record) {
	return func(r *record) { r.Attempt = &attempt{ID: id, Started: noon, Renewed: 3} }
}

func mayBeSpent(r *record) { r.MayBeSpent = true }
func sentTwice(r *record)  { r.SentTwice = true }
func otherLogin(r *record) { r.LoginID, r.ID = "other-login", "other-id" }
func otherToken(r *record) { r.ID = "other-id" }
func earlier(r *record)    { r.Generation, r.ID, r.RefreshToken = r.Generation-1, "earlier-id", "earlier" }
func newer(r *record)      { r.Generation, r.ID, r.RefreshToken = r.Generation+1, "later-id", "later" }
func ended(r *record)      { r.Failure = &failure{Reason: ReasonRevoked, At: noon, Final: true} }
func failing(r *record)    { r.Failure = &failure{Reason: ReasonUnavailable, At: noon, Count: 2} }

// checkUnchanged checks that a transition has left alone what it was given.
func checkUnchanged(t *testing.T, r *record, transition func() *record) *record {
	t.Helper()
	if r == nil {
		return transition()
	}
	before := *r
	var a attempt
	if r.Attempt != nil {
		a = *r.Attempt
	}
	next := transition()
	assert.Equal(t, before, *r)
	if r.Attempt != nil {
		assert.Equal(t, a, *r.Attempt)
	}
	return next
}

func TestAdvanced(t *testing.T) {
	type edits = []func(*record)
	for name, c := range map[string]struct {
		stored edits // nil: there is none
		next   edits
		want   string // "next", "stored" again, or "" to leave it
		spent  bool   // what next is then
	}{
		"its parent, with our attempt":            {edits{by("ours")}, edits{newer}, "next", false},
		"its parent, without any":                 {edits{}, edits{newer}, "next", false},
		"its parent, failing":                     {edits{failing}, edits{newer}, "next", false},
		"its parent, ended":                       {edits{ended}, edits{newer}, "next", false},
		"its parent, with another's attempt":      {edits{by("another")}, edits{newer}, "next", true},
		"its parent, perhaps spent, our attempt":  {edits{by("ours"), mayBeSpent}, edits{newer}, "next", false},
		"its parent, perhaps spent, no attempt":   {edits{mayBeSpent}, edits{newer}, "next", true},
		"its parent, sent twice":                  {edits{by("ours"), sentTwice}, edits{newer}, "next", true},
		"a grandparent: the store went back":      {edits{earlier}, edits{newer}, "next", false},
		"a grandparent, with another's attempt":   {edits{earlier, by("another")}, edits{newer}, "next", true},
		"a grandparent, ended by the spent token": {edits{earlier, ended}, edits{newer}, "next", false},
		"itself":                                    {edits{newer}, edits{newer}, "stored", false},
		"itself, with another's attempt":            {edits{newer, by("another")}, edits{newer}, "stored", false},
		"itself, perhaps spent":                     {edits{newer, mayBeSpent}, edits{newer}, "stored", false},
		"another of its generation":                 {edits{newer, otherToken}, edits{newer}, "", false},
		"a later one":                               {edits{newer, newer, otherToken}, edits{newer}, "", false},
		"another login":                             {edits{otherLogin}, edits{newer}, "", false},
		"another login of an earlier generation":    {edits{earlier, otherLogin}, edits{newer}, "", false},
		"none":                                      {nil, edits{newer}, "", false},
		"perhaps spent, and it knows":               {edits{by("another")}, edits{newer, mayBeSpent}, "next", true},
		"its parent, our attempt, of a late answer": {edits{by("ours")}, edits{newer, mayBeSpent}, "next", true},
	} {
		t.Run(name, func(t *testing.T) {
			var stored *record
			if c.stored != nil {
				stored = aRecord(c.stored...)
			}
			next := aRecord(c.next...)
			given := *next
			got := checkUnchanged(t, stored, func() *record { return stored.advanced(next, "ours") })
			assert.Equal(t, given, *next)
			switch c.want {
			case "":
				assert.Nil(t, got)
			case "stored":
				assert.Equal(t, stored, got)
			case "next":
				require.NotNil(t, got)
				assert.Equal(t, next.ID, got.ID)
				assert.Equal(t, c.spent, got.MayBeSpent)
				assert.Nil(t, got.Attempt)
				assert.Nil(t, got.Failure)
			}
		})
	}
}

func TestClaimed(t *testing.T) {
	now := noon.Add(time.Minute)
	for name, c := range map[string]struct {
		stored    *record
		takenOver bool
		renewed   int
	}{
		"free":                               {aRecord(), false, 0},
		"failing":                            {aRecord(failing), false, 0},
		"ours already":                       {aRecord(by("ours")), false, 4},
		"another's":                          {aRecord(by("another")), true, 4},
		"another's, without a refresh token": {aRecord(by("another"), func(r *record) { r.RefreshToken = "" }), false, 4},
		"ours, of a token that may be spent": {aRecord(by("ours"), mayBeSpent), false, 4},
		"ours, of a token that was sent twice too": {aRecord(by("ours"), mayBeSpent, sentTwice), false, 4},
	} {
		t.Run(name, func(t *testing.T) {
			next := checkUnchanged(t, c.stored, func() *record { return c.stored.claimed("ours", true, now) })
			assert.Equal(t, &attempt{ID: "ours", Started: now, Locked: true, Renewed: c.renewed}, next.Attempt)
			assert.Equal(t, c.stored.Failure, next.Failure)
			assert.Equal(t, c.stored.MayBeSpent || c.takenOver, next.MayBeSpent)
			assert.Equal(t, c.stored.SentTwice || c.takenOver, next.SentTwice)
			next.Attempt, next.MayBeSpent, next.SentTwice = c.stored.Attempt, c.stored.MayBeSpent, c.stored.SentTwice
			assert.Equal(t, c.stored, next)
		})
	}
}

// TestWhatOnlyTheOwnerOfAnAttemptWrites: the token and the attempt must both be those that
// it knows.
func TestWhatOnlyTheOwnerOfAnAttemptWrites(t *testing.T) {
	transitions := map[string]func(r *record) *record{
		"renewed":  func(r *record) *record { return r.renewed("id", "ours", false) },
		"failed":   func(r *record) *record { return r.failed("id", "ours", failure{Reason: ReasonUnavailable}, false) },
		"released": func(r *record) *record { return r.released("id", "ours") },
	}
	for name, transition := range transitions {
		for state, stored := range map[string]*record{
			"none":                       nil,
			"no attempt":                 aRecord(),
			"another's attempt":          aRecord(by("another")),
			"our attempt, other token":   aRecord(by("ours"), otherToken),
			"our attempt, later token":   aRecord(by("ours"), newer),
			"our attempt, other login":   aRecord(by("ours"), otherLogin),
			"our attempt, went back":     aRecord(by("ours"), earlier),
			"ended by someone meanwhile": aRecord(ended),
		} {
			assert.Nil(t, transition(stored), "%s: %s", name, state)
		}
		stored := aRecord(by("ours"))
		assert.NotNil(t, checkUnchanged(t, stored, func() *record { return transition(stored) }), name)
	}
}

func TestRenewedIsANewVersion(t *testing.T) {
	r := aRecord(by("ours"), failing)
	next := r.renewed("id", "ours", false)
	assert.Equal(t, r.Attempt.Renewed+1, next.Attempt.Renewed)
	assert.False(t, next.MayBeSpent)
	assert.Equal(t, r.Failure, next.Failure)
	assert.True(t, r.renewed("id", "ours", true).MayBeSpent)
	assert.True(t, aRecord(by("ours"), mayBeSpent).renewed("id", "ours", false).MayBeSpent, "it stays so")
}

func TestFailed(t *testing.T) {
	revoked := failure{Reason: ReasonRevoked, Code: "invalid_grant", At: noon, Final: true}
	down := failure{Reason: ReasonUnavailable, At: noon, Count: 1}
	for name, c := range map[string]struct {
		stored *record
		fail   failure
		lost   bool // this answer
		want   Reason
		spent  bool
	}{
		"revoked":                      {aRecord(by("ours")), revoked, false, ReasonRevoked, false},
		"revoked, perhaps spent":       {aRecord(by("ours"), mayBeSpent), revoked, false, ReasonResponseLost, true},
		"revoked, sent twice":          {aRecord(by("ours"), sentTwice), revoked, false, ReasonResponseLost, true},
		"revoked at the second try":    {aRecord(by("ours")), revoked, true, ReasonResponseLost, true},
		"unavailable":                  {aRecord(by("ours")), down, false, ReasonUnavailable, false},
		"answer lost":                  {aRecord(by("ours")), down, true, ReasonUnavailable, true},
		"unavailable, perhaps spent":   {aRecord(by("ours"), mayBeSpent), down, false, ReasonUnavailable, true},
		"unavailable, failing already": {aRecord(by("ours"), failing), down, false, ReasonUnavailable, false},
	} {
		t.Run(name, func(t *testing.T) {
			next := checkUnchanged(t, c.stored, func() *record { return c.stored.failed("id", "ours", c.fail, c.lost) })
			require.NotNil(t, next)
			assert.Nil(t, next.Attempt)
			assert.Equal(t, c.want, next.Failure.Reason)
			assert.Equal(t, c.fail.Final, next.Failure.Final)
			assert.Equal(t, c.spent, next.MayBeSpent)
			assert.Equal(t, c.stored.SentTwice, next.SentTwice)
			assert.Equal(t, c.stored.RefreshToken, next.RefreshToken)
		})
	}
}

func TestSentTwiceWith(t *testing.T) {
	ours := aRecord()
	next := aRecord(by("another")).sentTwiceWith(ours)
	assert.True(t, next.SentTwice, "the same token")
	assert.True(t, next.heldBy("another"))
	next = aRecord(newer).sentTwiceWith(ours)
	assert.True(t, next.MayBeSpent, "what came of it may have ended with it")
	assert.False(t, next.SentTwice)
	assert.Nil(t, aRecord(otherLogin).sentTwiceWith(ours))
	assert.Nil(t, (*record)(nil).sentTwiceWith(ours))
}

func TestEnded(t *testing.T) {
	f := failure{Reason: ReasonRejected, At: noon, Final: true}
	assert.Nil(t, (*record)(nil).ended("id", f))
	assert.Nil(t, aRecord(otherToken).ended("id", f))
	assert.Nil(t, aRecord(ended).ended("id", f), "the first reason stays")
	next := aRecord(by("another"), failing).ended("id", f)
	assert.Equal(t, &f, next.Failure)
	assert.True(t, next.heldBy("another"), "its owner may still bring a token")
}

func TestReplacedBy(t *testing.T) {
	without := func(r *record) { r.RefreshToken = "" }
	for name, c := range map[string]struct {
		stored, login *record
		want          bool // NoRefreshToken
	}{
		"none":                                 {nil, aRecord(otherLogin, without), false},
		"with one, by one with":                {aRecord(), aRecord(otherLogin), false},
		"with one, by one without":             {aRecord(), aRecord(otherLogin, without), true},
		"without, by one without":              {aRecord(without), aRecord(otherLogin, without), false},
		"without, by one with":                 {aRecord(without), aRecord(otherLogin), false},
		"ended, by one without":                {aRecord(ended), aRecord(otherLogin, without), true},
		"an attempt in flight, by a new login": {aRecord(by("another"), mayBeSpent, sentTwice), aRecord(otherLogin), false},
	} {
		t.Run(name, func(t *testing.T) {
			given := *c.login
			next := c.stored.replacedBy(c.login)
			assert.Equal(t, c.want, next.NoRefreshToken)
			assert.Equal(t, given, *c.login)
			next = next.with(nil, nil)
			next.NoRefreshToken = false
			assert.Equal(t, given, *next, "nothing of what was there is left")
		})
	}
}

func TestMovedChangesTheRegistrationOnly(t *testing.T) {
	r := aRecord(by("ours"), failing, mayBeSpent)
	next := checkUnchanged(t, r, func() *record { return r.moved(moved) })
	assert.Equal(t, moved, *next.Registration)
	assert.Nil(t, next.Attempt)
	next.Registration, next.Attempt = r.Registration, r.Attempt
	assert.Equal(t, r, next)
}
