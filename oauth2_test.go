package oauth2keep_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/internal/testenv"
	"github.com/oauth2keep/oauth2keep/pkce"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// application is a web application that connects accounts, with everything that it
// has on disk below dir.
type application struct {
	dir     string
	config  *endpoints.Config
	files   *storage.Dir
	manager *tokensource.Manager
	web     *httptest.Server
	failed  error // what the callback was told last
}

// key encrypts the records of all applications, as a file would that outlives them.
var key = storage.NewKey()

// start starts the application: the first time, or as a new process.
func start(t *testing.T, sandbox *endpointstest.Server, p endpoints.Provider, dir string, scopes ...string) *application {
	t.Helper()
	keys, err := storage.NewKeyset(key)
	require.NoError(t, err)
	files, err := storage.OpenDir(dir)
	require.NoError(t, err)
	mux := http.NewServeMux()
	a := &application{dir: dir, files: files, web: httptest.NewServer(mux)}
	client := sandbox.Config(p, a.web.URL+"/callback")
	client.Scopes = scopes
	a.config = sandbox.Provider(p).Config(client)
	a.manager = &tokensource.Manager{Config: a.config, Store: storage.Encrypt(files, keys)}

	flow := &pkce.Flow{Config: a.config, Sealer: keys}
	mux.HandleFunc("GET /connect", func(w http.ResponseWriter, r *http.Request) {
		s, err := flow.Begin(w, r, "alice")
		if assert.NoError(t, err) {
			http.Redirect(w, r, s.URL, http.StatusFound)
		}
	})
	mux.HandleFunc("GET /embed", func(w http.ResponseWriter, r *http.Request) {
		s, err := flow.BeginEmbedded(w, r, "alice")
		if assert.NoError(t, err) {
			http.Redirect(w, r, s.URL, http.StatusFound)
		}
	})
	mux.Handle("/callback", flow.Callback(func(w http.ResponseWriter, r *http.Request, s *pkce.Session, tok *oauth2.Token, err error) {
		if a.failed = err; err != nil {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		assert.NoError(t, a.manager.Save(r.Context(), s.Connection, tok))
	}))
	return a
}

// stop ends the application as a process would.
func (a *application) stop(t *testing.T) {
	t.Helper()
	a.web.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(t, a.manager.Flush(ctx))
	require.NoError(t, a.files.Close())
}

// browser is a user's browser: it keeps cookies.
func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &http.Client{Jar: jar}
}

// connect is a user who connects an account, in the given flow.
func (a *application) connect(t *testing.T, embedded bool) {
	t.Helper()
	user := browser(t)
	if embedded {
		handed, err := endpointstest.Approve(t.Context(), user, a.web.URL+"/embed")
		require.NoError(t, err)
		// What the page's JavaScript does with it.
		resp, err := user.PostForm(a.web.URL+"/callback", handed.Query())
		require.NoError(t, err)
		resp.Body.Close()
	} else {
		callback, err := endpointstest.Approve(t.Context(), user, a.web.URL+"/connect")
		require.NoError(t, err)
		resp, err := user.Get(callback.String())
		require.NoError(t, err)
		resp.Body.Close()
	}
	require.NoError(t, a.failed)
}

// call calls the provider's API and returns the status.
func (a *application) call(t *testing.T, path string) int {
	t.Helper()
	urls, err := a.config.APIURLs(nil)
	require.NoError(t, err)
	resp, err := a.manager.Client("alice").Get(urls[0] + path)
	require.NoError(t, err)
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	return resp.StatusCode
}

// assertNoTokenOnDisk searches every file for the token.
func (a *application) assertNoTokenOnDisk(t *testing.T, tok *oauth2.Token) {
	t.Helper()
	files := 0
	require.NoError(t, filepath.WalkDir(a.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		files++
		if strings.Contains(string(content), tok.AccessToken) || tok.RefreshToken != "" && strings.Contains(string(content), tok.RefreshToken) {
			t.Errorf("a token stands in %s", path)
		}
		return err
	}))
	require.NotZero(t, files)
}

// TestEndToEnd goes the whole path at each provider, in each of its flows: consent,
// exchange, encrypted storage, restart, API, revocation, another login.
func TestEndToEnd(t *testing.T) {
	all := []struct {
		name     string
		provider endpoints.Provider
		scopes   []string
		embedded bool
		path     string
	}{
		{"Finch redirect", endpoints.Finch, []string{"company", "directory"}, false, "/employer/company"},
		{"Chart embedded", endpoints.Chart, nil, true, "/tax-payer"},
		{"TaxRock", endpoints.TaxRock, nil, false, "/client-accounts"},
		{"Finch embedded", endpoints.Finch, []string{"company"}, true, "/employer/company"},
		{"Chart redirect", endpoints.Chart, nil, false, "/tax-payer"},
		{"TaxRock sandbox", endpoints.TaxRockSandbox, nil, false, "/client-accounts"},
	}
	if testing.Short() {
		all = all[:3]
	}
	for _, tt := range all {
		t.Run(tt.name, func(t *testing.T) {
			sandbox := endpointstest.New(t)
			dir := testenv.DirInMemory(t)
			app := start(t, sandbox, tt.provider, dir, tt.scopes...)
			app.connect(t, tt.embedded)
			require.Equal(t, http.StatusOK, app.call(t, tt.path))
			first, err := app.manager.Source("alice").Token()
			require.NoError(t, err)
			app.assertNoTokenOnDisk(t, first)
			app.stop(t)

			app = start(t, sandbox, tt.provider, dir, tt.scopes...)
			require.Equal(t, http.StatusOK, app.call(t, tt.path))
			again, err := app.manager.Source("alice").Token()
			require.NoError(t, err)
			assert.True(t, first.AccessToken == again.AccessToken, "the token isn't the one that was saved")
			assertSameMetadata(t, first, again)

			// The user ends it at the provider.
			sandbox.RevokeAll(tt.provider)
			require.Equal(t, http.StatusUnauthorized, app.call(t, tt.path))
			_, err = app.manager.Source("alice").Token()
			require.ErrorIs(t, err, tokensource.ErrLoginRequired)
			status, err := app.manager.Status(t.Context(), "alice")
			require.NoError(t, err)
			require.Equal(t, tokensource.StateLoginRequired, status.State)
			app.stop(t)

			// That is known after another restart too, and a new login ends that.
			app = start(t, sandbox, tt.provider, dir, tt.scopes...)
			_, err = app.manager.Source("alice").Token()
			require.ErrorIs(t, err, tokensource.ErrLoginRequired)
			app.connect(t, tt.embedded)
			require.Equal(t, http.StatusOK, app.call(t, tt.path))

			// The application ends it.
			require.NoError(t, app.manager.Disconnect(t.Context(), "alice"))
			_, err = app.manager.Source("alice").Token()
			require.ErrorIs(t, err, storage.ErrNotFound)
			require.Equal(t, 2, sandbox.Stats(tt.provider).Revoked)
			app.stop(t)
		})
	}
}

func assertSameMetadata(t *testing.T, a, b *oauth2.Token) {
	t.Helper()
	var before, after map[string]any
	require.NoError(t, endpoints.Metadata(a, &before))
	require.NoError(t, endpoints.Metadata(b, &after))
	delete(before, "expires_in") // when it expires is kept as a time
	delete(before, "token_type")
	delete(after, "token_type")
	assert.Equal(t, before, after)
}

// TestEndToEndRefresh has a TaxRock token expire under load, with rotation, and once more
// after a restart: there by the provider's clock only.
func TestEndToEndRefresh(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a token to expire; run without -short")
	}
	const life, callers = 2 * time.Second, 16 // no token is taken to live shorter
	sandbox := endpointstest.New(t)
	policy := sandbox.Policy(endpoints.TaxRock)
	policy.AccessLifetime, policy.Rotate = life, true
	sandbox.SetPolicy(endpoints.TaxRock, policy)
	dir := testenv.DirInMemory(t)
	app := start(t, sandbox, endpoints.TaxRock, dir)
	app.connect(t, false)
	for round, expire := range []func(time.Duration){time.Sleep, sandbox.Advance} {
		expire(life)
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() { assert.Equal(t, http.StatusOK, app.call(t, "/client-accounts")) })
		}
		wg.Wait()
		if round == 0 {
			assert.Zero(t, sandbox.Stats(endpoints.TaxRock).APIRefused, "a token that had expired was sent")
		}
		app.stop(t)
		app = start(t, sandbox, endpoints.TaxRock, dir)
	}
	app.stop(t)
	stats := sandbox.Stats(endpoints.TaxRock)
	assert.Equal(t, 2, stats.RefreshRequests)
	assert.Equal(t, 2, stats.Refreshed)
	assert.Zero(t, stats.Reused)
	assert.Positive(t, stats.APIRefused)
	assert.LessOrEqual(t, stats.APIRefused, callers)
}

// TestEndToEndDenied has the user say no, and then go another way.
func TestEndToEndDenied(t *testing.T) {
	providers := []endpoints.Provider{endpoints.Finch, endpoints.Chart, endpoints.TaxRock}
	if testing.Short() {
		providers = providers[:1]
	}
	for _, p := range providers {
		t.Run(p.Name, func(t *testing.T) {
			sandbox := endpointstest.New(t)
			var scopes []string
			if p.Name == "Finch" {
				scopes = []string{"company"}
			}
			app := start(t, sandbox, p, testenv.DirInMemory(t), scopes...)
			defer app.stop(t)
			user := browser(t)
			callback, err := endpointstest.Deny(t.Context(), user, app.web.URL+"/connect")
			require.NoError(t, err)
			resp, err := user.Get(callback.String())
			require.NoError(t, err)
			resp.Body.Close()
			require.ErrorIs(t, app.failed, pkce.ErrDenied)
			_, err = app.manager.Source("alice").Token()
			require.ErrorIs(t, err, storage.ErrNotFound)

			// Someone else's callback, opened in this browser, connects nothing.
			stranger, err := endpointstest.Approve(t.Context(), browser(t), app.web.URL+"/connect")
			require.NoError(t, err)
			resp, err = user.Get(stranger.String())
			require.NoError(t, err)
			resp.Body.Close()
			require.ErrorIs(t, app.failed, pkce.ErrState)

			// The answer to the exchange says no, and what to do.
			sandbox.Fail(p, endpointstest.Fault{On: endpointstest.TokenEndpoint, Trouble: endpointstest.Firewall, Times: 1})
			callback, err = endpointstest.Approve(t.Context(), user, app.web.URL+"/connect")
			require.NoError(t, err)
			resp, err = user.Get(callback.String())
			require.NoError(t, err)
			resp.Body.Close()
			require.ErrorIs(t, app.failed, pkce.ErrStartAgain)
			assert.Equal(t, endpoints.KindUnreadable, endpoints.KindOf(app.failed))
			assert.False(t, errors.Is(app.failed, pkce.ErrMisconfigured))
		})
	}
}

// What the packages ask of each other without importing it: an interface that is asked
// for by a type assertion is lost without a word if a method changes.
var (
	_ pkce.Authorizer        = (*endpoints.Config)(nil)
	_ tokensource.Refresher  = (*endpoints.Config)(nil)
	_ tokensource.Registrant = (*endpoints.Config)(nil)
	_ tokensource.Revoker    = (*endpoints.Config)(nil)
	_ tokensource.API        = (*endpoints.Config)(nil)
)
