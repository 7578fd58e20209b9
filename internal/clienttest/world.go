// Package clienttest tries a program that uses connections by some library's client: a
// client of Google's, gRPC, client-go and so on. [Test] takes it through call, expiry,
// refusal, the end of the grant and what else a token goes through, with a real
// authorization server and a real API, and the clock of testing/synctest.
package clienttest

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// Lifetime is that of an access token. A refresh token is good for one refresh.
const Lifetime = time.Hour

// World is two providers, whose connections are in one store, and a server of somebody
// else's.
type World struct {
	Here, There *Provider
	Elsewhere   *Site
	Base        http.RoundTripper // makes requests from within the bubble
	Roots       *x509.CertPool    // of all sites

	server *endpointstest.Server
	lanes  *lanes
	gate   atomic.Pointer[chan struct{}] // nil: token requests go through
}

// Provider is an authorization server with an API, and the Manager of its connections.
type Provider struct {
	Manager *tokensource.Manager
	API     *Site

	World *World

	definition endpoints.Provider
	config     *endpoints.Config
}

// Site is an HTTPS server.
type Site struct {
	URL     string
	TLS     *tls.Config  // its certificate
	Refused atomic.Int32 // calls

	mu   sync.Mutex // guards sent
	sent []string   // the Authorization of each request

	redirect atomic.Pointer[string] // where the next request is sent to
}

// Run runs a test in a bubble of testing/synctest that has a World outside. Answer is the
// API's, to calls with a good token; nil answers with an empty JSON object.
func Run(t *testing.T, answer http.HandlerFunc, test func(t *testing.T, w *World)) {
	newNetwork(t).run(t, answer, test)
}

// run is Run for one World after another.
func (n *network) run(t *testing.T, answer http.HandlerFunc, test func(t *testing.T, w *World)) {
	here, there := definition("here"), definition("there")
	w := &World{server: endpointstest.New(t, here, there), Roots: n.roots, lanes: n.lanes}
	w.Base = roundTripper(w.roundTrip)
	w.Elsewhere = n.elsewhere.become(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }))
	provider := func(d endpoints.Provider, a *address) *Provider {
		policy := w.server.Policy(d)
		policy.AccessLifetime, policy.Rotate = Lifetime, true
		w.server.SetPolicy(d, policy)
		p := &Provider{World: w, definition: w.server.Provider(d)}
		p.config = p.definition.Config(w.server.Config(d, "https://app.example/callback"))
		p.API = a.become(p.guarded(n.outside, answer))
		return p
	}
	w.Here, w.There = provider(here, n.here), provider(there, n.there)
	synctest.Test(t, func(t *testing.T) {
		keys, err := storage.NewKeyset(storage.NewKey())
		require.NoError(t, err)
		store := storage.Encrypt(new(storage.Memory), keys)
		for _, p := range []*Provider{w.Here, w.There} {
			p.Manager = &tokensource.Manager{Config: p.config, Store: store, Base: w.Base, APIURLs: []string{p.API.URL}}
		}
		test(t, w)
		for _, p := range []*Provider{w.Here, w.There} {
			require.NoError(t, p.Manager.Flush(t.Context()))
			assert.Empty(t, w.server.Stats(p.definition).Reused, "a refresh token was sent twice")
		}
	})
}

func definition(name string) endpoints.Provider {
	origin := "https://" + name + ".example"
	return endpoints.Provider{
		Name:      name,
		Endpoint:  oauth2.Endpoint{AuthURL: origin + "/authorize", TokenURL: origin + "/token"},
		RevokeURL: origin + "/revoke",
		APIURLs:   []string{origin + "/v1"},
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// roundTrip makes a request from within the bubble.
func (w *World) roundTrip(r *http.Request) (*http.Response, error) {
	if gate := w.gate.Load(); gate != nil && r.URL.Path == "/token" {
		select {
		case <-*gate:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	return w.lanes.RoundTrip(r)
}

// Hang has token requests hang until release is called.
func (w *World) Hang() (release func()) {
	gate := make(chan struct{})
	w.gate.Store(&gate)
	return sync.OnceFunc(func() {
		w.gate.Store(nil)
		close(gate)
	})
}

// Pass lets time pass, here and at the providers.
func (w *World) Pass(d time.Duration) {
	w.server.Advance(d)
	time.Sleep(d)
}

// Expire lets every access token expire that was issued until now.
func (w *World) Expire() { w.Pass(Lifetime + time.Minute) }

// Restart returns a Manager of the same connections as another process has it.
func (p *Provider) Restart() *tokensource.Manager {
	return &tokensource.Manager{Config: p.config, Store: p.Manager.Store, Base: p.World.Base, APIURLs: p.Manager.APIURLs}
}

// Connect connects a user's account.
func (p *Provider) Connect(t *testing.T, name string) *oauth2.Token {
	t.Helper()
	var token *oauth2.Token
	p.World.lanes.outside(func() { token = p.World.server.Connect(p.definition) })
	token.Expiry = time.Now().Add(Lifetime) // by the clock of the bubble
	require.NoError(t, p.Manager.Save(t.Context(), name, token))
	return token
}

// RefuseTokens has the API refuse every access token that was issued until now, though it
// should be good for longer.
func (p *Provider) RefuseTokens() {
	p.World.server.Advance(Lifetime)
	p.World.Pass(time.Minute)
}

// End ends the grant of a token.
func (p *Provider) End(t *testing.T, token *oauth2.Token) {
	t.Helper()
	require.True(t, p.World.server.Revoke(p.definition, token))
}

// Stats tells what the authorization server has seen.
func (p *Provider) Stats() endpointstest.Stats { return p.World.server.Stats(p.definition) }

// Check reports whether the token in an Authorization is good, and if it isn't what the
// provider says, with the means of the bubble.
func (p *Provider) Check(ctx context.Context, authorization string) (*http.Response, error) {
	return p.check(ctx, p.World.lanes, authorization)
}

func (p *Provider) check(ctx context.Context, base http.RoundTripper, authorization string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.definition.APIURLs[0]+"/check", nil)
	if err != nil {
		return nil, err
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return base.RoundTrip(r)
}

// guarded is the API: it asks the authorization server about the token of each call.
func (p *Provider) guarded(outside http.RoundTripper, answer http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resp, err := p.check(r.Context(), outside, r.Header.Get("Authorization"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		w.Header().Set("Content-Type", "application/json")
		switch {
		case resp.StatusCode != http.StatusOK:
			p.API.Refused.Add(1)
			w.Header().Set("WWW-Authenticate", cmp.Or(resp.Header.Get("WWW-Authenticate"), "Bearer"))
			w.WriteHeader(resp.StatusCode)
			_, _ = io.Copy(w, resp.Body)
		case answer != nil:
			answer(w, r)
		default:
			_, _ = io.WriteString(w, "{}")
		}
	})
}

// recording keeps the Authorization of each request, and redirects the one that Redirect
// was called for.
func (s *Site) recording(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Saw(r.Header.Get("Authorization"))
		if to := s.redirect.Swap(nil); to != nil {
			http.Redirect(w, r, *to, http.StatusTemporaryRedirect)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// Redirect has the next request be redirected.
func (s *Site) Redirect(to string) { s.redirect.Store(&to) }

// Saw notes the Authorization of a request, or "".
func (s *Site) Saw(authorization string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, authorization)
}

// Sent returns the Authorization of each request until now.
func (s *Site) Sent() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.sent...)
}

// Registration is that of the provider's connections.
func (p *Provider) Registration() tokensource.Registration {
	issuer, id := p.config.Registration()
	return tokensource.Registration{Issuer: issuer, ClientID: id}
}
