package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sessionOf returns the value of a browser's session cookie.
func (b *browser) sessionOf() string {
	for _, c := range b.client.Jar.Cookies(b.app.application.url) {
		if strings.HasSuffix(c.Name, "session") {
			return c.Value
		}
	}
	return ""
}

// Every page but the login's asks who is there.
func TestNothingWithoutALogin(t *testing.T) {
	app := start(t, nil)
	app.user(t, "alice").connect("finch")
	b := app.browser(t)
	for _, path := range []string{"/", "/connections", "/connections/finch/alice", "/admin", "/sandbox"} {
		assert.Equal(t, "/login", b.get(path).url.Path, path)
	}
	for _, path := range []string{"/connect/finch", "/embedded/finch", "/call/finch/alice", "/disconnect/finch/alice", "/sandbox/end", "/sandbox/try/store", "/sandbox/expire/finch/alice", "/sandbox/revoke/finch/alice"} {
		assert.Equal(t, "/login", b.post(path).url.Path, path)
	}
	assert.Equal(t, http.StatusNotFound, b.post("/login", "user", "mallory").status)
}

// A session's id is new with each login, and the old one is worth nothing.
func TestSessionIsRotated(t *testing.T) {
	app := start(t, nil)
	b := app.browser(t)
	planted := &http.Cookie{Name: "session", Value: "PLANTEDBYSOMEONEELSE123456", Path: "/"}
	b.client.Jar.SetCookies(app.application.url, []*http.Cookie{planted})
	b.post("/login", "user", "alice")
	first := b.sessionOf()
	require.NotEqual(t, planted.Value, first, "session fixation")

	thief := app.browser(t)
	use := func(id string) string {
		thief.client.Jar.SetCookies(app.application.url, []*http.Cookie{{Name: "session", Value: id, Path: "/"}})
		return thief.get("/connections").url.Path
	}
	assert.Equal(t, "/login", use(planted.Value))
	assert.Equal(t, "/connections", use(first), "or this test shows nothing")
	b.post("/login", "user", "bob")
	assert.Equal(t, "/login", use(first), "the session before ended with the login")
	second := b.sessionOf()
	require.NotEqual(t, first, second)
	b.post("/logout")
	assert.Equal(t, "/login", use(second), "logging out ends the session on the server")
	assert.Empty(t, b.sessionOf())
}

// The table of sessions can't be used to log in.
func TestSessionsAreHashed(t *testing.T) {
	app := start(t, nil)
	id := app.user(t, "alice").sessionOf()
	var hashed string
	require.NoError(t, app.database.QueryRow("SELECT id_hash FROM webapp_sandbox_sessions").Scan(&hashed))
	assert.NotEqual(t, id, hashed)
	b := app.browser(t)
	b.client.Jar.SetCookies(app.application.url, []*http.Cookie{{Name: "session", Value: hashed, Path: "/"}})
	assert.Equal(t, "/login", b.get("/connections").url.Path)
}

func TestSessionExpires(t *testing.T) {
	app := start(t, nil)
	b := app.user(t, "alice")
	_, err := app.database.Exec("UPDATE webapp_sandbox_sessions SET expires = 1")
	require.NoError(t, err)
	assert.Equal(t, "/login", b.get("/connections").url.Path)
	app.user(t, "bob")
	var n int
	require.NoError(t, app.database.QueryRow("SELECT COUNT(*) FROM webapp_sandbox_sessions").Scan(&n))
	assert.Equal(t, 1, n, "what expired is deleted")
}

// The cookie is out of reach of scripts, other sites and, with https, of http.
func TestSessionCookie(t *testing.T) {
	for _, secure := range []bool{false, true} {
		c := (&sessions{secure: secure}).cookie("id")
		assert.True(t, c.HttpOnly)
		assert.Equal(t, http.SameSiteLaxMode, c.SameSite)
		assert.Equal(t, "/", c.Path)
		assert.Empty(t, c.Domain)
		assert.Equal(t, secure, c.Secure)
		assert.Equal(t, secure, c.Name == "__Host-session")
		assert.NoError(t, c.Valid())
	}
}

// A user's connection is neither shown to others, nor touched by them, and they don't learn
// that there is one.
func TestConnectionsOfOthers(t *testing.T) {
	app := start(t, nil)
	app.user(t, "alice").connect("finch")
	for _, id := range []string{"bob", "carol"} { // an administrator neither
		b := app.user(t, id)
		assert.NotContains(t, b.get("/connections").body, "alice")
		missing := b.get("/connections/finch/nobody")
		for _, p := range []shown{
			b.get("/connections/finch/alice"), b.post("/call/finch/alice"), b.post("/disconnect/finch/alice"),
			b.post("/sandbox/expire/finch/alice"), b.post("/sandbox/revoke/finch/alice"),
		} {
			assert.Equal(t, http.StatusNotFound, p.status)
			assert.Equal(t, missing.body, p.body)
		}
	}
	status, err := app.provider("finch").manager.Status(t.Context(), "finch/alice")
	require.NoError(t, err)
	assert.Equal(t, "healthy", string(status.State))
	assert.Zero(t, app.sandbox.server.Stats(app.provider("finch").provider).APIAnswered)
	assert.Zero(t, app.sandbox.server.Stats(app.provider("finch").provider).Revoked)
}

// A request that another site's page makes changes nothing.
func TestCrossSiteRequests(t *testing.T) {
	app := start(t, nil)
	b := app.user(t, "alice")
	b.connect("finch")
	send := func(method, path string, header map[string]string) shown {
		req, err := http.NewRequest(method, app.URL+path, strings.NewReader(url.Values{"user": {"bob"}}.Encode()))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for name, v := range header {
			req.Header.Set(name, v)
		}
		return b.do(req)
	}
	paths := []string{"/login", "/logout", "/connect/finch", "/embedded/finch", "/call/finch/alice", "/disconnect/finch/alice", "/sandbox/end", "/sandbox/try/store", "/sandbox/revoke/finch/alice", "/callback/finch"}
	for name, header := range map[string]map[string]string{
		"another site":                   {"Sec-Fetch-Site": "cross-site"},
		"another port or subdomain":      {"Sec-Fetch-Site": "same-site"},
		"another site, with old browser": {"Origin": "https://evil.example"},
		"an opaque origin":               {"Origin": "null"},
	} {
		for i, path := range paths {
			if testing.Short() && i > 0 && name != "another site" {
				break // what is refused doesn't depend on the path
			}
			p := send(http.MethodPost, path, header)
			assert.Equal(t, http.StatusForbidden, p.status, "%s %s", name, path)
			assert.Equal(t, "other_site", p.attribute("problem", "data-problem"))
		}
	}
	for _, path := range []string{"/connect/finch", "/disconnect/finch/alice", "/logout", "/call/finch/alice"} {
		p := send(http.MethodGet, path, nil)
		assert.Equal(t, http.StatusNotFound, p.status, path)
	}
	assert.Contains(t, b.get("/connections").body, `data-name="finch/alice" data-state="healthy"`)
	assert.Equal(t, "200 OK", send(http.MethodPost, "/call/finch/alice", map[string]string{"Origin": app.URL}).text("answer-status"), "or nothing works")
}

// Another name for the address is refused: the page of a domain that resolves to the
// loopback would be of the same origin.
func TestOtherHostName(t *testing.T) {
	app := start(t, nil)
	req, err := http.NewRequest(http.MethodGet, app.URL+"/login", nil)
	require.NoError(t, err)
	req.Host = "evil.example:80"
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, http.StatusMisdirectedRequest, resp.StatusCode)
}

// No form is as long as this, and no more of it is read.
func TestLongForm(t *testing.T) {
	if testing.Short() {
		t.Skip("net/http waits for the rest of the form; run without -short")
	}
	app := start(t, nil)
	b := app.browser(t)
	p := b.post("/login", "user", "alice", "padding", strings.Repeat("a", maxBody))
	assert.Equal(t, http.StatusNotFound, p.status)
	assert.Empty(t, b.sessionOf())
}

func TestHeaders(t *testing.T) {
	app := start(t, nil)
	b := app.user(t, "alice")
	for _, path := range []string{"/connections", "/login", "/nothing", "/static/style.css"} {
		h := b.get(path).header
		csp := h.Get("Content-Security-Policy")
		assert.Contains(t, csp, "default-src 'none'", path)
		assert.Contains(t, csp, "frame-ancestors 'none'", path)
		assert.Contains(t, csp, "base-uri 'none'", path)
		assert.NotContains(t, csp, "unsafe", path)
		assert.Equal(t, "nosniff", h.Get("X-Content-Type-Options"), path)
		assert.Equal(t, "same-origin", h.Get("Referrer-Policy"), path)
		assert.Equal(t, !strings.HasPrefix(path, "/static"), h.Get("Cache-Control") == "no-store", path)
	}
}
