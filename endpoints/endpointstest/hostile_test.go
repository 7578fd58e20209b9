package endpointstest

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// TestSeedsRepeat: a seed decides what happens.
func TestSeedsRepeat(t *testing.T) {
	what := func(seed uint64) (s []Trouble) {
		server := New(t)
		server.makeHostile(endpoints.TaxRock, seed)
		for range 50 {
			f, _ := server.site(endpoints.TaxRock).fault(TokenEndpoint)
			s = append(s, f.Trouble)
		}
		return s
	}
	assert.Equal(t, what(1), what(1))
	assert.NotEqual(t, what(1), what(2))
}

// TestEveryTroubleHappens, and half of the requests have none.
func TestEveryTroubleHappens(t *testing.T) {
	server := New(t)
	server.makeHostile(endpoints.TaxRock, 7)
	site := server.site(endpoints.TaxRock)
	seen := make(map[Trouble]bool)
	var late, repeated, handled, fine int
	for range 2000 {
		f, disguise := site.fault(TokenEndpoint)
		seen[f.Trouble] = true
		if a := jsonAnswer(http.StatusOK, map[string]any{"access_token": "a"}); f.Trouble == TruncatedAnswer {
			disguise(a)
			require.Equal(t, `{"access_token":"a"}`, string(a.body), "half of a form would be a form")
		}
		late, repeated, handled = late+count(f.late), repeated+count(f.repeated), handled+count(f.Handler != nil)
		fine += count(f.Trouble == Slow && !f.late && !f.repeated && f.Handler == nil)
	}
	for _, trouble := range []Trouble{LostAnswer, BrokenAnswer, TruncatedAnswer, Unavailable, RateLimited, Firewall} {
		assert.True(t, seen[trouble], trouble)
	}
	assert.Greater(t, late, 20)
	assert.Greater(t, repeated, 20)
	assert.Greater(t, handled, 200)
	assert.InDelta(t, 1000, fine, 150)
	assert.NotZero(t, server.offset.Load(), "the clock")
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestTroubleThatMeansSomething isn't used: a definition's own word is none.
func TestTroubleThatMeansSomething(t *testing.T) {
	p := endpoints.TaxRock
	p.Answer.Errors = []endpoints.ErrorRule{{Status: http.StatusForbidden, Kind: endpoints.KindLoginRequired}}
	h := &hostility{site: newSite(nil, p)}
	h.site.api = &origin{}
	for _, f := range h.troubles(Revocation) {
		assert.NotEqual(t, Firewall, f.Trouble)
	}
}

// TestDisguise changes what has no meaning, and nothing else.
func TestDisguise(t *testing.T) {
	h := &hostility{site: newSite(nil, endpoints.TaxRock)}
	sent := map[string]any{"access_token": "a", "expires_in": 3600, "error": map[string]any{"b": "c", "d": []any{1.5, "e"}}}
	var orders, types, statuses, quoted = map[string]bool{}, map[string]bool{}, map[int]bool{}, 0
	for seed := range uint64(200) {
		a := jsonAnswer(http.StatusOK, sent)
		h.disguise(TokenEndpoint, a, rand.New(rand.NewPCG(seed, 0)))
		var got map[string]any
		require.NoError(t, json.Unmarshal(a.body, &got))
		for name := range got {
			if sent[name] == nil {
				delete(got, name)
			}
		}
		if got["expires_in"] == "3600" {
			got["expires_in"] = 3600.0
			quoted++
		}
		assert.Equal(t, map[string]any{"access_token": "a", "expires_in": 3600.0, "error": sent["error"]}, got)
		orders[string(a.body)], types[a.header.Get("Content-Type")], statuses[a.status] = true, true, true
	}
	assert.Greater(t, len(orders), 100)
	assert.Greater(t, len(types), 4)
	assert.Len(t, statuses, 2)
	assert.Positive(t, quoted)

	forms := 0
	for seed := range uint64(50) {
		a := jsonAnswer(http.StatusOK, map[string]any{"access_token": "a b"})
		h.disguise(TokenEndpoint, a, rand.New(rand.NewPCG(seed, 0)))
		forms += count(string(a.body) == "access_token=a+b")
	}
	assert.Positive(t, forms)
	a := jsonAnswer(http.StatusOK, nil)
	h.disguise(TokenEndpoint, a, rand.New(rand.NewPCG(1, 0)))
	assert.Equal(t, "null", string(a.body), "what isn't an object stays")
}

// TestRepeatedRequest is processed twice, and the second answer comes back.
func TestRepeatedRequest(t *testing.T) {
	p := endpoints.TaxRock
	w := newWalk(t, p, Test{}, true)
	l := w.visit("approve")
	w.server.Fail(p, Fault{repeated: true, Times: 1})
	_, err := w.config.Exchange(w.ctx, l.rfc.Get("code"), l.options...)
	w.fails(err, "a code that came twice", endpoints.KindCodeRejected)
	assert.Equal(t, 1, w.server.Stats(p).Exchanged)
	assert.Equal(t, 1, w.server.Stats(p).CodeRequests)
}

// TestHostileWalkCallsAndAsks, with tokens that live and with dead ones.
func TestHostileWalkCallsAndAsks(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for answers that are late; run without -short")
	}
	t.Parallel()
	asked := 0
	p := endpoints.Okta("example.okta.com")
	p.Request = func(r *endpoints.Request) error {
		asked += count(r.Grant == atIntrospect)
		return nil
	}
	w := newWalk(t, p, Test{Seed: 1}, true)
	w.hostile()
	assert.Greater(t, asked, 5)
	assert.Greater(t, w.server.Stats(p).APIAnswered, 5)
	assert.Positive(t, w.server.Stats(p).APIRefused)
}

// TestStartIsForTests.
func TestStartIsForTests(t *testing.T) {
	defer func(f func() bool) { isTest = f }(isTest)
	isTest = func() bool { return false }
	_, err := Start()
	require.ErrorContains(t, err, "Start is for tests")
	s, err := StartProgram()
	require.NoError(t, err)
	s.Close()
}
