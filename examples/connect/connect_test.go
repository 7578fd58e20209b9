package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/internal/testenv"
)

// site is the application, and a user's browser.
type site struct {
	url     string
	browser *http.Client
	sandbox *endpointstest.Server
}

func start(t *testing.T, dir string, sandbox *endpointstest.Server) site {
	t.Helper()
	mux := http.NewServeMux()
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	a, err := newApplication(sandbox.Provider(endpoints.GitHub), sandbox.Config(endpoints.GitHub, web.URL+"/callback"), dir)
	require.NoError(t, err)
	mux.Handle("/", only(web.Listener.Addr().String(), a.handler()))
	// Approve and Deny open pages, while the button posts a form.
	mux.HandleFunc("GET /press", a.connect)
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return site{url: web.URL, browser: &http.Client{Jar: jar}, sandbox: sandbox}
}

func (s site) open(t *testing.T, url string) string {
	t.Helper()
	resp, err := s.browser.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(body)
}

func TestConnect(t *testing.T) {
	sandbox, dir := endpointstest.New(t, endpoints.GitHub), t.TempDir()
	s := start(t, dir, sandbox)
	assert.Contains(t, s.open(t, s.url), "The account isn&#39;t connected.")

	callback, err := endpointstest.Deny(t.Context(), s.browser, s.url+"/press")
	require.NoError(t, err)
	assert.Contains(t, s.open(t, callback.String()), "You said no")

	callback, err = endpointstest.Approve(t.Context(), s.browser, s.url+"/press")
	require.NoError(t, err)
	assert.Contains(t, s.open(t, callback.String()), "Connected. The API answers 200 OK")
	assert.Contains(t, s.open(t, callback.String()), "Connected. The API answers 200 OK", "a reload")

	s = start(t, dir, sandbox)
	assert.Contains(t, s.open(t, s.url), "Connected. The API answers 200 OK", "after a restart")

	assert.Contains(t, s.open(t, s.url+"/callback?state=old&code=c"), "This took too long")

	sandbox.RevokeAll(endpoints.GitHub)
	s.open(t, s.url)
	assert.Contains(t, s.open(t, s.url), "The account isn&#39;t connected.", "after a revocation")
}

// The sandbox of the next start knows none of these tokens: they would be another client's.
func TestNothingOfTheSandboxIsLeft(t *testing.T) {
	t.Chdir(testenv.DirInMemory(t))
	for _, name := range []string{"TMPDIR", "TMP"} { // the latter on Windows
		t.Setenv(name, testenv.DirInMemory(t))
	}
	t.Setenv("CLIENT_ID", "")
	t.Setenv("DATA", "")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- run(ctx, l, l.Addr().String()) }()
	s := site{url: "http://" + l.Addr().String(), browser: http.DefaultClient}
	assert.Contains(t, s.open(t, s.url), "The account isn&#39;t connected.")
	stop()
	require.NoError(t, <-ended)
	for _, dir := range []string{".", os.TempDir()} {
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		assert.Empty(t, entries)
	}
}

func TestOnlyItsOwnPageCanConnect(t *testing.T) {
	s := start(t, testenv.DirInMemory(t), endpointstest.New(t, endpoints.GitHub))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/connect", nil)
	require.NoError(t, err)
	req.Header.Set("Origin", "https://elsewhere.example")
	resp, err := s.browser.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusForbidden, resp.StatusCode)
}

// A page elsewhere that has its own name stand for this machine (DNS rebinding) is of the same
// origin to the browser, and must not read what the user's connection brings.
func TestAnotherNameIsRefused(t *testing.T) {
	s := start(t, testenv.DirInMemory(t), endpointstest.New(t, endpoints.GitHub))
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		for _, path := range []string{"/", "/callback?state=s&code=c"} {
			req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, nil)
			require.NoError(t, err)
			req.Host = "elsewhere.example:8080"
			resp, err := s.browser.Do(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			assert.Equal(t, http.StatusMisdirectedRequest, resp.StatusCode, "%s %s", method, path)
		}
	}
}
