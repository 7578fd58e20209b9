package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
)

// TestNoSecretIsShown goes through all flows and failures, and looks for every token, code,
// state, session, secret and key in every page, URL, log line and file.
func TestNoSecretIsShown(t *testing.T) {
	if testing.Short() {
		t.Skip("visits hundreds of pages: runs without -short")
	}
	app := start(t, nil)
	b := app.user(t, "alice")
	secrets := make(map[string]string) // and what they are
	note := func(what, secret string) {
		require.Greater(t, len(secret), 8, what)
		secrets[secret] = what
	}
	note("session", b.sessionOf())
	key, err := os.ReadFile(filepath.Join(app.dataDir, "token.key"))
	require.NoError(t, err)
	note("key", strings.TrimSpace(string(key)))

	names := []string{"finch/alice", "chart/alice", "taxrock/alice", "zendesk/alice/tea-house"}
	tokens := func() {
		for _, name := range names {
			p := app.provider(readName(name).provider)
			note("client secret", app.sandbox.server.Config(p.provider, p.config.RedirectURL()).ClientSecret)
			token, err := p.manager.Source(name).Stored(t.Context())
			if err != nil {
				continue
			}
			note("access token", token.AccessToken)
			if token.RefreshToken != "" {
				note("refresh token", token.RefreshToken)
			}
		}
	}
	visit := func() {
		tokens()
		for _, name := range names {
			b.get("/connections/" + name)
			b.post("/call/" + name)
		}
		b.get("/connections")
		app.user(t, "carol").get("/admin")
	}
	for _, name := range names {
		n := readName(name)
		callback := b.approve(n.provider, "account", n.account)
		note("code", callback.Query().Get("code"))
		note("state", callback.Query().Get("state"))
		b.get(callback.String())
		b.get(callback.String()) // a reload
	}
	visit()
	b.post("/sandbox/expire/taxrock/alice")
	visit()
	for _, g := range faultGroups() {
		for _, f := range g.Faults {
			b.post("/login", "user", "alice")
			note("session", b.sessionOf())
			b.post("/sandbox/try/" + f.ID)
			visit()
		}
	}
	b.post("/sandbox/end")
	for _, name := range names {
		b.post("/sandbox/revoke/" + name)
		visit()
		b.post("/disconnect/" + name)
	}
	require.Greater(t, len(secrets), 40, "there was little to look for")

	everything := strings.Join(b.seen, "\n") + app.Logs.String()
	files := filesBelow(t, app.dataDir)
	for secret, what := range secrets {
		for _, form := range []string{secret, url.QueryEscape(secret), hex.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte(secret))} {
			if strings.Contains(everything, form) {
				t.Errorf("a page, URL or log line has a %s", what)
			}
			if what != "key" && bytes.Contains(files, []byte(form)) {
				t.Errorf("a file has a %s", what)
			}
		}
	}
}

// filesBelow returns what is in all files of a directory.
func filesBelow(t *testing.T, dir string) (content []byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	for _, file := range files {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		content = append(content, b...)
	}
	require.NotEmpty(t, content)
	return content
}

// What an API answers is text, whatever it looks like.
func TestAPIAnswerIsEscaped(t *testing.T) {
	app := start(t, nil)
	b := app.user(t, "alice")
	token := app.sandbox.server.Connect(app.provider("finch").provider)
	require.NoError(t, app.provider("finch").manager.Save(t.Context(), "finch/alice", token))
	app.sandbox.server.Fail(app.provider("finch").provider, endpointstest.Fault{On: endpointstest.API, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "<script>alert(1)</script>")
	})})
	p := b.post("/call/finch/alice")
	assert.NotContains(t, p.body, "<script>")
	assert.True(t, p.says("<script>alert(1)</script>"))
}
