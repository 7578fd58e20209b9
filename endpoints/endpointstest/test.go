package endpointstest

import (
	"context"
	"crypto"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// Test is what [TestProvider] has to know that a definition doesn't say. Its zero value
// is good for most.
type Test struct {
	// Vars are values of variables, and of what the callback brings
	// (Callback.Keep). Those that are missing get a value that Provider.Vars
	// accepts.
	Vars map[string]string

	// Scopes are asked for. None are those of Consent.Scopes, or if there are none
	// either, two that are made up.
	Scopes []string

	// Config, if not nil, returns the client that is tested, made of the one that it
	// is given. It can give that a key, with WithKey, if the provider takes assertions
	// that are signed; Key is the public half of it. If both are nil, TestProvider
	// makes a key where one is needed.
	Config func(*endpoints.Config) *endpoints.Config
	Key    crypto.PublicKey

	// NoRefreshToken is for a provider that issues none.
	NoRefreshToken bool

	// Seed, if not zero, makes the provider as unpleasant as real providers and
	// networks are, in ways that the seed decides: every seed is another test. Answers
	// have their members in any order and others beside them, wrong content types, forms
	// for JSON, numbers in quotes; some are slow, late, lost, cut or repeated, or come
	// from a server, a load balancer or a firewall in trouble, or are redirects; and the
	// provider's clock is wrong by up to 50 seconds. About half of the requests are
	// answered with what the provider has to say, so that a client that tries again gets
	// on.
	Seed uint64
}

// TestProvider tests a definition against a server that acts as it says. It goes
// through all that p has: consent page, callback, exchange, API, expiry, refresh, with
// rotation and without, revocation, introspection, a user who says no, a client that
// the provider doesn't know, a grant that is gone, a provider in trouble, and a device
// whose user says yes, no or nothing (RFC 8628). With a Seed it connects, calls the API,
// refreshes, introspects and revokes at a hostile server instead.
//
// The client has the addresses of the definition, which its transport leads to the server.
// What asks an address for the first time is gone through once more with those of the
// server itself; with -short, only the exchange is.
//
//	func TestAcme(t *testing.T) {
//		endpointstest.TestProvider(t, acme.Provider, endpointstest.Test{})
//	}
//
// The server reads the definition for itself. What is found is a mistake in its
// structure, or in package endpoints; whether the definition is what the provider does
// has to be compared with the provider's documentation.
func TestProvider(t *testing.T, p endpoints.Provider, test Test) {
	t.Helper()
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	if test.Seed != 0 {
		t.Run("hostile", func(t *testing.T) { newWalk(t, p, test, true).hostile() })
		return
	}
	defined := &walk{p: p, test: test, site: newSite(nil, p)}
	for i, step := range steps {
		if step.needs != nil && !step.needs(defined) {
			continue
		}
		for _, named := range []bool{true, false} {
			if !named && (!step.asks || testing.Short() && i > 0) {
				continue
			}
			name := step.name + map[bool]string{true: ", at its own address", false: ", at the server's"}[named]
			passed := t.Run(name, func(t *testing.T) { step.walk(newWalk(t, p, test, named)) })
			if !passed && i == 0 {
				return // nothing works without a token
			}
		}
	}
}

// steps are the parts of a walk, each with a server of its own, and what the definition
// has to have for one.
var steps = []struct {
	name  string
	walk  func(*walk)
	needs func(*walk) bool
	asks  bool // an address that no step before it does
}{
	{"exchange", (*walk).exchange, nil, true},
	{"denied", (*walk).denied, nil, false},
	{"wrong client", (*walk).wrongClient, nil, false},
	{"trouble", (*walk).trouble, nil, false},
	{"expiry", (*walk).expiry, (*walk).hasAPI, false},
	{"refresh", (*walk).refresh, (*walk).refreshes, true},
	{"rotation", (*walk).rotation, (*walk).rotates, false},
	{"dead grant", (*walk).deadGrant, nil, false},
	{"device", (*walk).device, func(w *walk) bool { return w.p.Endpoint.DeviceAuthURL != "" }, true},
	{"revocation", (*walk).revocation, func(w *walk) bool { return w.p.RevokeURL != "" }, true},
	{"introspection", (*walk).introspection, func(w *walk) bool { return w.p.IntrospectURL != "" }, true},
}

// walk is one server with a client of its provider.
type walk struct {
	t      *testing.T
	p      endpoints.Provider // as the client has it
	test   Test
	server *Server
	site   *site
	client *http.Client // of the application
	config *endpoints.Config
	ctx    context.Context

	secrets []string // what no error may repeat
}

// callbackURL is the application's. Nobody opens it.
const callbackURL = "http://127.0.0.1/callback?from=test"

// newWalk starts a server. The client has p as it is if named is set, and as the
// server's Provider method returns it otherwise.
func newWalk(t *testing.T, p endpoints.Provider, test Test, named bool) *walk {
	t.Helper()
	w := &walk{t: t, p: p, test: test, server: New(t, p)}
	w.site, w.client = w.server.site(p), w.server.Client()
	w.client.Timeout = 20 * time.Second
	t.Cleanup(w.client.CloseIdleConnections)
	if !named {
		w.p = w.server.Provider(p)
	}
	w.server.SetVars(p, test.Vars)
	policy := w.server.Policy(p)
	policy.NoRefreshToken = test.NoRefreshToken
	w.server.SetPolicy(p, policy)
	w.ctx = context.WithValue(t.Context(), oauth2.HTTPClient, w.client)
	oauth := w.oauth()
	oauth.Scopes = w.scopes()
	w.config = w.configure(oauth)
	w.secrets = []string{oauth.ClientSecret, url.QueryEscape(oauth.ClientSecret)}
	return w
}

// oauth returns what x/oauth2 knows of the client.
func (w *walk) oauth() oauth2.Config {
	c := w.server.Config(w.p, callbackURL)
	c.Endpoint = w.p.Endpoint
	return c
}

// configure makes a client of what x/oauth2 knows of it.
func (w *walk) configure(oauth oauth2.Config) *endpoints.Config {
	c := w.p.Config(oauth)
	if w.test.Config != nil {
		if w.test.Key != nil {
			w.server.SetKey(w.p, w.test.Key)
		}
		return w.test.Config(c)
	}
	if w.needsKey() {
		key := newKey()
		w.server.SetKey(w.p, key.Public())
		return c.WithKey(key, keyHeader)
	}
	return c
}

func (w *walk) needsKey() bool {
	return slices.ContainsFunc(slices.Collect(maps.Values(w.site.kinds)), func(c *conversation) bool {
		return c.auth == endpoints.PrivateKeyJWT
	})
}

func (w *walk) scopes() []string {
	switch known := w.site.dialect.scopes(); {
	case !w.site.consentConversation().sends("scope"):
		return nil
	case len(w.test.Scopes) > 0:
		return w.test.Scopes
	case len(w.p.Consent.Scopes) > 0:
		return nil // the definition's
	case len(known) > 1:
		return []string{known[0].name, known[1].name}
	}
	return []string{"read:things", "write"}
}

func (w *walk) hasAPI() bool { return len(w.p.APIURLs) > 0 }

func (w *walk) refreshes() bool { return !w.test.NoRefreshToken && w.site.dialect.refreshable() }

// rotates reports whether a refresh spends a token: it may name the account instead.
func (w *walk) rotates() bool { return w.refreshes() && w.site.kinds[atRefresh].sendsToken() }

// variables returns the options that a program gives to Authorize.
func (w *walk) variables() []oauth2.AuthCodeOption {
	texts := []string{w.p.Endpoint.AuthURL}
	for _, templates := range w.p.Consent.Params {
		texts = append(texts, templates...)
	}
	given := namesIn(texts...)
	texts = []string{w.p.Endpoint.TokenURL}
	for _, style := range []endpoints.AuthStyle{w.p.Style, w.p.Exchange} {
		for _, templates := range style.Params {
			texts = append(texts, templates...)
		}
		texts = slices.AppendSeq(texts, maps.Values(style.Header))
	}
	for _, name := range namesIn(texts...) {
		if !slices.Contains(w.p.Callback.Keep, name) {
			given = append(given, name)
		}
	}
	var opts []oauth2.AuthCodeOption
	for _, name := range given {
		if _, declared := w.p.Vars[name]; declared {
			opts = append(opts, oauth2.SetAuthURLParam(name, w.valueOf(name)))
		}
	}
	return opts
}

func (w *walk) valueOf(name string) string {
	w.site.mu.Lock()
	defer w.site.mu.Unlock()
	return w.site.valueOf(name, "")
}

// login is one attempt of a user to connect an account.
type login struct {
	verifier string
	callback url.Values // as the provider has sent it
	rfc      url.Values // the same, under the RFC's names
	options  []oauth2.AuthCodeOption
}

// visit has the user decide at the consent page.
func (w *walk) visit(decision string) login {
	w.t.Helper()
	l := login{verifier: oauth2.GenerateVerifier()}
	page, again, err := w.config.Authorize(w.ctx, "the-state", l.verifier, w.variables()...)
	w.must(err, "Authorize")
	browser := w.server.Client()
	defer browser.CloseIdleConnections()
	browser.Jar, _ = cookiejar.New(nil) // it has no error
	back, err := decide(w.ctx, browser, page, decision)
	w.must(err, "the consent page")
	l.callback = back.Query()
	rfc, kept := w.config.ReadCallback(l.callback)
	l.rfc = rfc
	if rfc.Get("state") != "the-state" {
		w.t.Fatalf("the callback's state is %q: %v", rfc.Get("state"), names(l.callback))
	}
	for name, v := range kept {
		if old, given := again[name]; given && old != v {
			w.t.Fatalf("%s is %q at the consent page and %q in the callback", name, old, v)
		}
		again[name] = v
	}
	l.options = []oauth2.AuthCodeOption{oauth2.VerifierOption(l.verifier)}
	for name, v := range again {
		l.options = append(l.options, oauth2.SetAuthURLParam(name, v))
	}
	w.secrets = append(w.secrets, l.verifier)
	if code := rfc.Get("code"); code != "" {
		w.secrets = append(w.secrets, code)
	}
	return l
}

// connect goes from the consent page to a token.
func (w *walk) connect() *oauth2.Token {
	w.t.Helper()
	l := w.visit("approve")
	token, err := w.config.Exchange(w.ctx, l.rfc.Get("code"), l.options...)
	w.must(err, "Exchange")
	w.noteToken(token)
	return token
}

func (w *walk) noteToken(t *oauth2.Token) {
	w.secrets = append(w.secrets, t.AccessToken)
	if t.RefreshToken != "" {
		w.secrets = append(w.secrets, t.RefreshToken)
	}
}

// must fails the test if there is an error, with what the server has to say about it.
func (w *walk) must(err error, what string) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%s: %v\nthe server refused: %v", what, err, w.rejected())
	}
}

func (w *walk) rejected() []string {
	return slices.Sorted(maps.Keys(w.server.Stats(w.p).Rejected))
}

// fails checks that an error says what to do about it, and no secrets.
func (w *walk) fails(err error, what string, want ...endpoints.ErrorKind) {
	w.t.Helper()
	if err == nil {
		w.t.Fatalf("%s succeeds", what)
	}
	if kind := endpoints.KindOf(err); !slices.Contains(want, kind) {
		w.t.Errorf("%s: the error's kind is %q and not %q: %v\nthe server refused: %v", what, kind, want, err, w.rejected())
	}
	w.keepsSecrets(err)
}

func (w *walk) keepsSecrets(err error) {
	w.t.Helper()
	for _, secret := range w.secrets {
		if strings.Contains(err.Error(), secret) {
			w.t.Errorf("an error repeats a secret: %v", err)
		}
	}
}

func names(v url.Values) []string { return slices.Sorted(maps.Keys(v)) }
