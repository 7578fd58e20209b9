package main

import (
	"crypto/rand"
	"html"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

func TestConnect(t *testing.T) {
	app := start(t, nil)
	b := app.user(t, "alice")
	require.True(t, b.get("/connections").has("no-connections"))
	for _, tt := range []struct {
		provider, account, name, answer string
	}{
		{"finch", "", "finch/alice", "Acme, Inc."},
		{"chart", "", "chart/alice", "Jane Doe"},
		{"taxrock", "", "taxrock/alice", "Acme Holdings"},
		{"zendesk", "tea-house", "zendesk/alice/tea-house", "/tea-house/api/v2/users/me.json"},
		{"zendesk", " Coffee-House.zendesk.com", "zendesk/alice/coffee-house", "/coffee-house/api/v2/users/me.json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := b.connect(tt.provider, "account", tt.account)
			assert.Equal(t, http.StatusOK, p.status)
			assert.Equal(t, "/connections", p.url.Path, "the callback's URL has a code in it")
			assert.Equal(t, "The account is connected.", p.text("notice"))
			assert.Contains(t, p.body, `data-name="`+tt.name+`" data-state="healthy"`)

			p = b.post("/call/" + tt.name)
			assert.Equal(t, "200 OK", p.text("answer-status"), p.body)
			assert.True(t, p.says(tt.answer), p.body)
		})
	}
}

// An embedded page's message has code and state, and no redirect_uri was sent.
func TestConnectEmbedded(t *testing.T) {
	app := start(t, nil)
	b := app.user(t, "alice")
	for _, provider := range []string{"finch", "chart"} {
		p := b.post("/embedded/" + provider)
		require.Equal(t, http.StatusOK, p.status)
		origin := p.attribute("embedded", "data-origin")
		assert.Contains(t, p.header.Get("Content-Security-Policy"), "frame-src "+origin+";")
		consent := html.UnescapeString(p.attribute("embedded", "data-consent"))
		assert.True(t, strings.HasPrefix(consent, origin), consent)
		told, err := endpointstest.Approve(t.Context(), b.client, consent)
		require.NoError(t, err)
		p = b.post("/callback/"+provider, "code", told.Query().Get("code"), "state", told.Query().Get("state"))
		assert.Equal(t, "The account is connected.", p.text("notice"))
		assert.Contains(t, p.body, `data-name="`+provider+`/alice" data-state="healthy"`)
	}
	assert.Contains(t, b.get("/connections").header.Get("Content-Security-Policy"), "frame-src 'none'", "other pages frame nothing")
	assert.Equal(t, http.StatusNotFound, b.post("/embedded/taxrock").status, "it has no such flow")
}

// A code that someone has sent to another's browser, or that belongs to an attempt of
// another browser, is refused before it is sent to the provider.
func TestCallbackOfAnotherBrowser(t *testing.T) {
	app := start(t, nil)
	attacker, victim := app.user(t, "bob"), app.user(t, "alice")
	callback := attacker.approve("taxrock")
	p := victim.get(callback.String())
	assert.Equal(t, "state", p.attribute("problem", "data-problem"))
	assert.Zero(t, app.sandbox.server.Stats(app.provider("taxrock").provider).CodeRequests)
	assert.True(t, victim.get("/connections").has("no-connections"))
}

// Who comes back must be who went, also in the same browser.
func TestCallbackOfAnotherUser(t *testing.T) {
	for name, meanwhile := range map[string]func(*browser){
		"logged in":  func(b *browser) { b.post("/login", "user", "bob") },
		"logged out": func(b *browser) { b.post("/logout") },
	} {
		t.Run(name, func(t *testing.T) {
			app := start(t, nil)
			b := app.user(t, "alice")
			callback := b.approve("taxrock")
			meanwhile(b)
			p := b.get(callback.String())
			assert.Equal(t, "other_user", p.attribute("problem", "data-problem"))
			for _, id := range []string{"alice", "bob"} {
				_, err := app.provider("taxrock").manager.Status(t.Context(), "taxrock/"+id)
				assert.ErrorIs(t, err, tokensource.ErrLoginRequired, id)
				assert.True(t, app.user(t, id).get("/connections").has("no-connections"))
			}
		})
	}
}

// A reload sends nothing, and shows what the connection is.
func TestCallbackOpenedTwice(t *testing.T) {
	app := start(t, nil)
	b := app.user(t, "alice")
	callback := b.approve("taxrock")
	b.get(callback.String())
	p := b.get(callback.String())
	assert.True(t, p.says("That page was opened twice"))
	assert.Contains(t, p.body, `data-name="taxrock/alice" data-state="healthy"`)
	assert.Equal(t, 1, app.sandbox.server.Stats(app.provider("taxrock").provider).CodeRequests)
}

// An account's name is checked before anything is begun with it.
func TestConnectNoAccount(t *testing.T) {
	app := start(t, nil)
	b := app.user(t, "alice")
	for _, account := range []string{"", "tea house", "evil.example.com", "a/b", "../alice", "a@b", "{client_id}", "ünïcode", strings.Repeat("a", 64), "-a"} {
		p := b.post("/connect/zendesk", "account", account)
		assert.Equal(t, "account", p.attribute("problem", "data-problem"), account)
	}
	assert.Equal(t, http.StatusNotFound, b.post("/connect/nobody").status)
	assert.Equal(t, http.StatusNotFound, b.post("/embedded/nobody").status)
}

// The page of a failure shows no more than its own words, whatever its URL says.
func TestProblemPageTakesNothingFromItsURL(t *testing.T) {
	app := start(t, nil)
	b := app.user(t, "alice")
	q := url.Values{"provider": {"finch"}, "reference": {"<script>call 555"}, "account": {"<b>evil"}}
	p := b.get("/problem/denied?" + q.Encode())
	assert.Equal(t, http.StatusForbidden, p.status)
	assert.NotContains(t, p.body, "evil")
	assert.NotContains(t, p.body, "555")
	assert.Equal(t, http.StatusNotFound, b.get("/problem/nonsense?provider=finch").status)
	assert.Equal(t, http.StatusNotFound, b.get("/problem/denied?provider=nobody").status)
}

// From the refusal on, a log line and the page have a reference in common.
func TestRefusalIsInTheLog(t *testing.T) {
	app := start(t, nil)
	b := app.user(t, "alice")
	p := b.post("/sandbox/try/secret")
	reference := p.text("reference")
	require.Regexp(t, referencePattern, reference)
	assert.Regexp(t, `provider=taxrock problem=client_rejected reference=`+reference+` error=".*status 401`, app.Logs.String())
}

func TestDisconnect(t *testing.T) {
	app := start(t, nil)
	b := app.user(t, "alice")
	for provider, notice := range map[string]string{
		"finch": notices["disconnected"], "taxrock": notices["disconnected"], "zendesk": notices["forgotten"],
	} {
		b.connect(provider, "account", "tea-house")
		name := strings.TrimSuffix(provider+"/alice/"+map[string]string{"zendesk": "tea-house"}[provider], "/")
		p := b.post("/disconnect/" + name)
		assert.Equal(t, notice, p.text("notice"))
		assert.NotContains(t, p.body, `data-name="`+name)
		assert.Equal(t, http.StatusNotFound, b.get("/connections/"+name).status)
	}
	assert.Equal(t, 1, app.sandbox.server.Stats(app.provider("finch").provider).Revoked)
}

// A token that has expired at the provider is renewed, and the call repeated.
func TestExpire(t *testing.T) {
	app := start(t, nil)
	b := app.user(t, "alice")
	b.connect("taxrock")
	p := b.post("/sandbox/expire/taxrock/alice")
	assert.Contains(t, p.text("notice"), "an hour has passed")
	p = b.post("/call/taxrock/alice")
	assert.Equal(t, "200 OK", p.text("answer-status"))
	stats := app.sandbox.server.Stats(app.provider("taxrock").provider)
	assert.Equal(t, 1, stats.Refreshed)
	assert.Equal(t, 1, stats.APIRefused)
}

// A grant that its user has revoked at the provider asks for a new login, which restores it.
func TestRevokeAndConnectAgain(t *testing.T) {
	app := start(t, nil)
	b := app.user(t, "alice")
	for i, tt := range []struct{ provider, why string }{
		{"finch", reasonWords[tokensource.ReasonRejected]},
		{"taxrock", reasonWords[tokensource.ReasonRevoked]},
	} {
		if testing.Short() && i > 0 {
			break
		}
		name := tt.provider + "/alice"
		b.connect(tt.provider)
		b.post("/sandbox/revoke/" + name)
		p := b.post("/call/" + name)
		assert.Equal(t, "401 Unauthorized", p.text("answer-status"), "the first call, of which nobody knew")
		assert.Equal(t, "login_required", p.attribute("status", "data-state"))
		assert.Equal(t, tt.why, p.text("why"))
		assert.Equal(t, "The connection to this account has ended. Please connect the account again.", p.text("hint"))
		p = b.get("/connections/" + name)
		assert.Equal(t, "login_required", p.attribute("status", "data-state"))
		assert.NotContains(t, p.body, "Can be renewed", "what ended can't be, whatever is stored")
		p = b.post("/call/" + name)
		assert.Contains(t, p.body, findProblem("login_required").Title, "the next call isn't sent")

		p = b.connect(tt.provider)
		assert.Contains(t, p.body, `data-name="`+name+`" data-state="healthy"`)
		assert.Equal(t, "200 OK", b.post("/call/"+name).text("answer-status"))
	}
}

// Several tabs and users at once don't disturb each other.
func TestManyAtOnce(t *testing.T) {
	accounts := 8
	if testing.Short() {
		accounts = 1
	}
	app := start(t, nil)
	var wg sync.WaitGroup
	for _, id := range []string{"alice", "bob"} {
		for range accounts {
			b, account := app.user(t, id), "shop-"+strings.ToLower(rand.Text()[:8])
			wg.Go(func() {
				name := "zendesk/" + id + "/" + account
				assert.Contains(t, b.connect("zendesk", "account", account).body, `data-name="`+name+`" data-state="healthy"`)
				assert.Equal(t, "200 OK", b.post("/call/"+name).text("answer-status"))
			})
		}
	}
	wg.Wait()
	assert.Equal(t, accounts, strings.Count(app.user(t, "bob").get("/connections").body, `<tr data-name="zendesk/bob/`))
}

// What the words about a problem are is written once.
func TestProblemsHaveWords(t *testing.T) {
	for _, p := range problems {
		p := findProblem(p.ID)
		assert.NotEmpty(t, p.Title, p.ID)
		assert.NotEmpty(t, p.Text, p.ID)
		assert.GreaterOrEqual(t, p.Status, 400, p.ID)
	}
	for reason, why := range reasonWords {
		assert.NotEmpty(t, why)
		assert.NotEmpty(t, hint(reason), reason)
	}
}

func TestLengthOf(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"a moment": 100 * time.Millisecond, "1 second": time.Second, "59 seconds": 58800 * time.Millisecond, "1 minute": 59500 * time.Millisecond,
		"52 minutes": 52 * time.Minute, "1 hour": 59*time.Minute + 30*time.Second, "23 hours": 23 * time.Hour, "1 day": 24*time.Hour - time.Second, "90 days": 90 * 24 * time.Hour,
	} {
		assert.Equal(t, want, lengthOf(d), d)
	}
}
