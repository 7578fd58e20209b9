package mcpauth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource/mcpauth"
)

// What the SDK refuses of metadata stays refused, with a client that is kept and without:
// nobody is asked, and nothing is sent.
func TestHostileMetadata(t *testing.T) {
	as := newIssuer(t)
	for name, c := range map[string]struct {
		resource map[string]any // members of the MCP server's metadata
		issuer   map[string]any // of the authorization server's
	}{
		"an authorization server in the clear": {resource: map[string]any{"authorization_servers": []string{"http://as.example"}}},
		"one at a private address":             {resource: map[string]any{"authorization_servers": []string{"https://10.0.0.1"}}},
		"one with a script":                    {resource: map[string]any{"authorization_servers": []string{"javascript:alert(1)"}}},
		"no authorization server":              {resource: map[string]any{"authorization_servers": []string{}}},
		"another issuer":                       {issuer: map[string]any{"issuer": "https://as.example"}},
		"no PKCE":                              {issuer: map[string]any{"code_challenge_methods_supported": nil}},
		"a token endpoint in the clear":        {issuer: map[string]any{"token_endpoint": "http://as.example/token"}},
		"a token endpoint with a variable":     {issuer: map[string]any{"token_endpoint": as.URL + "/{refresh_token}"}},
		"a token endpoint with a password":     {issuer: map[string]any{"token_endpoint": strings.Replace(as.URL, "//", "//user:pass@", 1) + "/token"}},
		"a consent page with a script":         {issuer: map[string]any{"authorization_endpoint": "javascript:alert(1)"}},
	} {
		if testing.Short() && !slices.Contains([]string{"one at a private address", "another issuer", "a token endpoint with a variable"}, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			s := newServer(t, as)
			store, again := newStore(t)
			spoil := func() {
				s.set(func() {
					s.metadata = map[string]any{"resource": s.endpoint, "authorization_servers": []string{as.URL}}
					for member, v := range c.resource {
						s.metadata[member] = v
					}
				})
				as.set(func() { as.metadata = c.issuer })
			}
			t.Cleanup(func() { as.set(func() { as.metadata = nil }) })
			spoil()
			before := four(as.counts())
			assert.Error(t, call(handler(s.endpoint, store)))
			assert.Equal(t, before, four(as.counts()))

			s.set(func() { s.metadata = nil })
			as.set(func() { as.metadata = nil })
			require.NoError(t, call(handler(s.endpoint, store)))
			as.end()
			spoil()
			before = four(as.counts())
			assert.Error(t, call(handler(s.endpoint, again())))
			after := four(as.counts())
			assert.Equal(t, before[:2], after[:2], "the kept endpoint is told nothing else than a refresh")
		})
	}
}

// A registration that the SDK refuses isn't kept.
func TestHostileRegistration(t *testing.T) {
	as := newIssuer(t)
	as.script = true
	s := newServer(t, as)
	store, _ := newStore(t)
	h := handler(s.endpoint, store)
	require.ErrorContains(t, call(h), "client_uri")
	as.set(func() { as.script = false })
	require.NoError(t, call(h))
	consents, _, _, _ := as.counts()
	assert.Equal(t, 1, consents)
}

// A revocation endpoint that can't be used is left out: nothing else depends on it.
func TestUselessRevocationEndpoint(t *testing.T) {
	as := newIssuer(t)
	as.metadata = map[string]any{"revocation_endpoint": "http://as.example/revoke"}
	s := newServer(t, as)
	store, _ := newStore(t)
	h := handler(s.endpoint, store)
	require.NoError(t, call(h))
	m, name, err := h.Manager(ctx)
	require.NoError(t, err)
	require.ErrorContains(t, m.Disconnect(ctx, name), "unsupported")
}

// A server that repeats what it was sent gets none of it into an error.
func TestNoSecretInErrors(t *testing.T) {
	as := newIssuer(t)
	as.echo = true
	s := newServer(t, as)
	store, again := newStore(t)
	check := func(err error) {
		t.Helper()
		require.Error(t, err)
		text := fmt.Sprintf("%v %+v %#v", err, err, err)
		for _, secret := range []string{"code-", "secret-", "access-", "refresh-", "registration-", "code_verifier"} {
			assert.NotContains(t, text, secret)
		}
	}
	for _, status := range []int{400, 401, 500, 200} {
		as.set(func() { as.broken = status })
		h := handler(s.endpoint, again())
		h.Name = fmt.Sprint("account ", status) // and not one that was just declined
		check(call(h))
	}
	as.set(func() { as.broken = 0 })
	h := handler(s.endpoint, store)
	require.NoError(t, call(h))
	as.expire()
	as.set(func() { as.broken = 500 })
	check(call(h))
	for _, text := range []string{fmt.Sprintf("%v %+v %#v", h, h, h)} {
		assert.NotContains(t, text, "secret-")
	}
}

// A URL that isn't accepted may have a password in it.
func TestNoPasswordIsPrinted(t *testing.T) {
	for _, server := range []string{"https://user:hunter2@mcp.example.com/mcp", "https://user:hunter2@mcp.example.com:port/"} {
		h := handler(server, nil)
		assert.NotContains(t, fmt.Sprintf("%v %+v %#v %s", h, h, h, h.LogValue()), "hunter2")
		_, err := h.TokenSource(ctx)
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "hunter2")
		store, _ := newStore(t)
		_, err = handler(server, store).TokenSource(ctx)
		require.ErrorContains(t, err, "Handler.Server")
		assert.NotContains(t, err.Error(), "hunter2")
	}
}

// What is kept is sealed.
func TestNothingIsStoredInTheClear(t *testing.T) {
	as := newIssuer(t)
	s := newServer(t, as)
	memory := new(storage.Memory)
	keys, err := storage.NewKeyset(storage.NewKey())
	require.NoError(t, err)
	require.NoError(t, call(handler(s.endpoint, storage.Encrypt(memory, keys))))
	records := 0
	for name, err := range memory.Names(ctx) {
		require.NoError(t, err)
		value, _, err := memory.Get(ctx, name)
		require.NoError(t, err)
		for _, secret := range []string{"client-", "secret-", "access-", "refresh-", "registration-"} {
			assert.NotContains(t, string(value), secret)
		}
		records++
	}
	assert.Equal(t, 2, records)
}

// What is kept by a later release, or by something else, is left alone.
func TestForeignRecord(t *testing.T) {
	as := newIssuer(t)
	s := newServer(t, as)
	for content, text := range map[string]string{`{"format":2,"client":[]}`: "format 2", `nothing`: "isn't the client"} {
		store, again := newStore(t)
		name := "mcp/" + s.endpoint + "#client"
		_, err := store.Put(ctx, name, []byte(content), "")
		require.NoError(t, err)
		require.ErrorContains(t, call(handler(s.endpoint, again())), text)
		value, _, err := store.Get(ctx, name)
		require.NoError(t, err)
		assert.Equal(t, content, string(value))
	}
	assert.Equal(t, [4]int{}, four(as.counts()))
}

// A caller who gives up takes nobody else's consent along.
func TestCallerGivesUp(t *testing.T) {
	as := newIssuer(t)
	s := newServer(t, as)
	store, again := newStore(t)
	h := handler(s.endpoint, store)
	giveUp, cancel := context.WithCancel(ctx)
	h.Config.AuthorizationCodeFetcher = func(ctx context.Context, _ *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	require.ErrorIs(t, authorize(giveUp, h, s), context.Canceled)
	require.NoError(t, call(handler(s.endpoint, again())))
}

// hooked is a store that calls a function before it writes.
type hooked struct {
	storage.Store
	before func(name string)
}

func (s hooked) Put(ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	s.before(name)
	return s.Store.Put(ctx, name, value, old)
}

// What the user has consented to is saved, though the caller has given up meanwhile.
func TestCallerGivesUpAfterConsent(t *testing.T) {
	as := newIssuer(t)
	s := newServer(t, as)
	dir, err := storage.OpenDir(testenv.DirInMemory(t))
	require.NoError(t, err)
	defer dir.Close()
	keys, err := storage.NewKeyset(storage.NewKey())
	require.NoError(t, err)
	giveUp, cancel := context.WithCancel(ctx)
	h := handler(s.endpoint, storage.Encrypt(hooked{dir, func(string) {
		if consents, _, _, _ := as.counts(); consents > 0 {
			cancel()
		}
	}}, keys))
	_ = authorize(giveUp, h, s)
	require.Error(t, giveUp.Err())
	require.NoError(t, call(handler(s.endpoint, storage.Encrypt(dir, keys))))
	assert.Equal(t, [4]int{1, 1, 0, 0}, four(as.counts()))
}

// A token endpoint that redirects gets the code sent nowhere else.
func TestRedirectedExchange(t *testing.T) {
	as := newIssuer(t)
	s := newServer(t, as)
	store, _ := newStore(t)
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	as.redirect = other.URL
	require.Error(t, call(handler(s.endpoint, store)))
	assert.Zero(t, elsewhere.Load())
}

// roundTripper is a function that is an http.RoundTripper.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A caller who gives up when the user has consented doesn't take that along: the code is good
// for one exchange, and its answer must be kept.
func TestCallerGivesUpDuringTheExchange(t *testing.T) {
	as := newIssuer(t)
	s := newServer(t, as)
	for _, at := range []string{"before", "during"} {
		store, again := newStore(t)
		giveUp, cancel := context.WithCancel(ctx)
		h := handler(s.endpoint, store)
		h.Config.AuthorizationCodeFetcher = func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			result, err := approve(ctx, args)
			if at == "before" {
				cancel()
			}
			return result, err
		}
		h.Config.Client = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/token" {
				cancel()
			}
			return http.DefaultTransport.RoundTrip(r)
		})}
		before, _, _, _ := as.counts()
		require.NoError(t, authorize(giveUp, h, s), at)
		require.Error(t, giveUp.Err())
		require.NoError(t, call(handler(s.endpoint, again())))
		after, _, _, _ := as.counts()
		assert.Equal(t, before+1, after, at)
	}
}

// The challenge of another host, to which a redirect of the MCP server's has led, is not the
// MCP server's: its issuer isn't asked for anything, and no token is refreshed for it.
func TestChallengeFromElsewhere(t *testing.T) {
	as, evil := newIssuer(t), newIssuer(t)
	s, elsewhere := newServer(t, as), newServer(t, evil)
	_, again := newStore(t)
	h := handler(s.endpoint, again())
	require.NoError(t, call(h))
	elsewhere.set(func() {
		elsewhere.metadata = map[string]any{"resource": s.endpoint, "authorization_servers": []string{evil.URL}}
	})
	s.set(func() { s.moved = elsewhere.endpoint })
	nobody, _ := newStore(t)
	for _, h := range []*mcpauth.Handler{h, handler(s.endpoint, again()), handler(s.endpoint, nobody)} {
		require.ErrorContains(t, call(h), "redirected")
	}
	assert.Equal(t, [4]int{}, four(evil.counts()))
	assert.Equal(t, [4]int{1, 1, 0, 0}, four(as.counts()))
}

// A server elsewhere must not have the program, or the user's browser, send anything to what
// listens on this machine.
func TestServerElsewhereNamesThisMachine(t *testing.T) {
	const remote, issuer = "https://mcp.example", "https://as.example"
	for _, member := range []string{"authorization_servers", "authorization_endpoint", "token_endpoint", "registration_endpoint", "revocation_endpoint"} {
		for _, local := range []string{"http://127.0.0.1:2375", "http://localhost:9200", "https://[::1]:8443"} {
			resource := map[string]any{"resource": remote + "/mcp", "authorization_servers": []string{issuer}}
			server := map[string]any{"issuer": issuer, "authorization_endpoint": issuer + "/authorize", "token_endpoint": issuer + "/token",
				"registration_endpoint": issuer + "/register", "code_challenge_methods_supported": []string{"S256"}}
			if member == "authorization_servers" {
				resource[member] = []string{local}
			} else {
				server[member] = local + "/path"
			}
			store, _ := newStore(t)
			h := handler(remote+"/mcp", store)
			h.Config.Client = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				w := httptest.NewRecorder()
				switch {
				case r.URL.Host == "mcp.example" && r.URL.Path == "/.well-known/oauth-protected-resource/mcp":
					reply(w, http.StatusOK, resource)
				case r.URL.Host == "as.example" && r.Method == http.MethodGet:
					reply(w, http.StatusOK, server)
				default:
					assert.Equal(t, "mcp.example", r.URL.Host, "%s: %s %s", member, r.Method, r.URL)
					w.WriteHeader(http.StatusNotFound)
				}
				resp := w.Result()
				resp.Request = r
				return resp, nil
			})}
			h.Config.AuthorizationCodeFetcher = func(_ context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
				t.Errorf("%s: the user is asked at %s", member, args.URL)
				return nil, errDenied
			}
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, remote+"/mcp", http.NoBody)
			require.NoError(t, err)
			err = h.Authorize(ctx, req, &http.Response{StatusCode: http.StatusUnauthorized, Body: http.NoBody, Request: req})
			require.ErrorContains(t, err, "isn't on this machine", "%s: %s", member, local)
		}
	}
}

// authorize calls Authorize as a transport does that had a 401.
func authorize(ctx context.Context, h *mcpauth.Handler, s *server) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	return h.Authorize(ctx, req, resp)
}

func TestMistakes(t *testing.T) {
	as := newIssuer(t)
	s := newServer(t, as)
	store, _ := newStore(t)
	for text, change := range map[string]func(*mcpauth.Handler){
		"Handler.Store is not set":      func(h *mcpauth.Handler) { h.Store = nil },
		"Handler.Config is not set":     func(h *mcpauth.Handler) { h.Config = nil },
		"is not the URL":                func(h *mcpauth.Handler) { h.Server = "mcp.example.com" },
		"not an https URL":              func(h *mcpauth.Handler) { h.Server = "http://mcp.example.com/mcp" },
		"NewTokenSource and Initial":    func(h *mcpauth.Handler) { h.Config.InitialTokenSource = oauth2.StaticTokenSource(nil) },
		"AuthorizationCodeFetcher":      func(h *mcpauth.Handler) { h.Config.AuthorizationCodeFetcher = nil },
		"make one for each MCP server":  func(h *mcpauth.Handler) { h.Server = s.URL + "/other" },
		"must be provided":              func(h *mcpauth.Handler) { h.Config.DynamicClientRegistrationConfig = nil },
		"requires non-nil Metadata":     func(h *mcpauth.Handler) { h.Config.DynamicClientRegistrationConfig.Metadata = nil },
		"application type":              func(h *mcpauth.Handler) { h.Config.DynamicClientRegistrationConfig.Metadata.ApplicationType = "web" },
		"is not in the list of allowed": func(h *mcpauth.Handler) { h.Config.RedirectURL = "http://127.0.0.1/other" },
	} {
		h := handler(s.endpoint, store)
		change(h)
		assert.ErrorContains(t, authorize(ctx, h, s), text)
	}
	assert.Equal(t, [4]int{}, four(as.counts()))
}

// The fields of Config are the program's, and are not changed.
func TestConfigIsCopied(t *testing.T) {
	as := newIssuer(t)
	s := newServer(t, as)
	store, _ := newStore(t)
	h := handler(s.endpoint, store)
	require.NoError(t, call(h))
	m := h.Config.DynamicClientRegistrationConfig.Metadata
	assert.Equal(t, &oauthex.ClientRegistrationMetadata{ClientName: "test", RedirectURIs: []string{redirectURL}}, m)
	assert.False(t, h.Config.RequestRefreshToken)
	data, err := json.Marshal(m)
	require.NoError(t, err)
	assert.NotContains(t, string(data), "grant_types")
}

// The same server in other words is the same connection.
func TestCanonicalServer(t *testing.T) {
	store, _ := newStore(t)
	for server, name := range map[string]string{
		"https://MCP.example.com:443/mcp#top": "mcp/https://mcp.example.com/mcp",
		"https://mcp.example.com/":            "mcp/https://mcp.example.com",
		"https://mcp.example.com:8443/a?b=c":  "mcp/https://mcp.example.com:8443/a?b=c",
	} {
		h := handler(server, store)
		assert.Equal(t, name, mcpauth.NameOf(h))
	}
}
