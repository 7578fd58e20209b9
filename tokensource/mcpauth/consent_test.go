package mcpauth_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
	"github.com/oauth2keep/oauth2keep/tokensource/mcpauth"
)

// The MCP server changes to another authorization server, which gets nothing that the first
// has issued.
func TestIssuerChanges(t *testing.T) {
	before, after := newIssuer(t), newIssuer(t)
	s := newServer(t, before)
	store, again := newStore(t)
	other := handler(s.endpoint, again())
	require.NoError(t, call(handler(s.endpoint, store)))
	require.NoError(t, call(other))
	s.set(func() { s.issuer = after })
	h := handler(s.endpoint, again())
	var asked []mcpauth.Consent
	h.OnConsent = func(_ context.Context, c mcpauth.Consent) error { asked = append(asked, c); return nil }
	require.NoError(t, call(h))
	require.NoError(t, call(other))
	require.NoError(t, call(handler(s.endpoint, again())))
	assert.Equal(t, []mcpauth.Consent{{Server: s.endpoint, Issuer: after.URL, PreviousIssuer: before.URL, Reason: mcpauth.IssuerChanged}}, asked)
	assert.Equal(t, [4]int{1, 1, 0, 0}, four(after.counts()))
	assert.Equal(t, [4]int{1, 1, 0, 0}, four(before.counts()), "nor is anything refreshed for an issuer that isn't trusted")
	sent := requestsOf(after)
	for secret := range before.refresh {
		assert.NotContains(t, sent, secret)
	}
	for id, c := range before.clients {
		assert.NotContains(t, sent, id)
		assert.NotContains(t, sent, c.secret)
	}
	after.expire()
	require.NoError(t, call(handler(s.endpoint, again())))
	assert.Equal(t, [4]int{1, 1, 1, 0}, four(after.counts()))
}

// Metadata that can't be fetched don't mean that the issuer has changed.
func TestMetadataOutage(t *testing.T) {
	as := newIssuer(t)
	s := newServer(t, as)
	_, again := newStore(t)
	require.NoError(t, call(handler(s.endpoint, again())))
	s.set(func() { s.broken = true })
	as.expire()
	require.NoError(t, call(handler(s.endpoint, again())), "a refresh needs none")
	as.end()
	require.ErrorContains(t, call(handler(s.endpoint, again())), "which it had, can't be fetched")
	consents, _, _, _ := as.counts()
	assert.Equal(t, 1, consents)
	s.set(func() { s.broken = false })
	require.NoError(t, call(handler(s.endpoint, again())))
}

// An authorization server whose metadata are refused just now has not lost them: nothing goes
// to where one without metadata would have its endpoints.
func TestServerMetadataOutage(t *testing.T) {
	as := newIssuer(t)
	statuses := []int{http.StatusForbidden, http.StatusTooManyRequests, http.StatusServiceUnavailable}
	if testing.Short() {
		statuses = statuses[:1]
	}
	for _, status := range statuses {
		s := newServer(t, as)
		_, again := newStore(t)
		as.set(func() { as.metadata = map[string]any{"token_endpoint": as.URL + "/elsewhere/token"} })
		require.NoError(t, call(handler(s.endpoint, again())))
		as.end()
		before := four(as.counts())
		as.set(func() { as.hidden = status })
		require.ErrorContains(t, call(handler(s.endpoint, again())), "the metadata of the authorization server")
		after := four(as.counts())
		assert.Equal(t, before[:2], after[:2], "%d", status)
		as.set(func() { as.hidden = 0 })
		require.NoError(t, call(handler(s.endpoint, again())))
	}
}

// An authorization server that never had metadata goes on without.
func TestServerWithoutMetadata(t *testing.T) {
	as := newIssuer(t)
	as.hidden = http.StatusNotFound
	s := newServer(t, as)
	_, again := newStore(t)
	require.NoError(t, call(handler(s.endpoint, again())))
	as.end()
	require.NoError(t, call(handler(s.endpoint, again())))
}

func requestsOf(s *issuer) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for _, r := range s.requests {
		b.WriteString(r.Encode())
	}
	return b.String()
}

// A client that was registered beforehand is bound to the issuer that it was used with.
func TestPreregisteredClient(t *testing.T) {
	before, after := newIssuer(t), newIssuer(t)
	known := registered{id: "known", secret: "secret-of-the-known", method: "client_secret_post", redirects: []string{redirectURL}}
	before.add(known)
	after.add(known)
	s := newServer(t, before)
	_, again := newStore(t)
	preregistered := func(secret, issuer string) *mcpauth.Handler {
		h := handler(s.endpoint, again())
		h.Config.DynamicClientRegistrationConfig, h.Config.RedirectURL = nil, redirectURL
		h.Config.PreregisteredClient = &oauthex.ClientCredentials{ClientID: known.id, ClientSecretAuth: &oauthex.ClientSecretAuth{ClientSecret: secret}, Issuer: issuer}
		return h
	}
	require.NoError(t, call(preregistered(known.secret, "")))
	value, _, err := again().Get(ctx, "mcp/"+s.endpoint+"#client")
	require.NoError(t, err)
	assert.NotContains(t, string(value), known.secret, "it is the program's to keep")

	before.set(func() { before.clients["known"].secret = "another" })
	before.expire()
	require.NoError(t, call(preregistered("another", "")), "the operator has replaced it")
	consents, _, refreshes, _ := before.counts()
	assert.Equal(t, []int{1, 1}, []int{consents, refreshes})

	s.set(func() { s.issuer = after })
	require.ErrorContains(t, call(preregistered(known.secret, "")), "PreregisteredClient.Issuer")
	assert.Empty(t, requestsOf(after))
	require.NoError(t, call(preregistered(known.secret, after.URL)))
}

// A client that the program has registered at an issuer is no other issuer's, though
// that was trusted before and knows a client of the same name. Its secret isn't sent there.
func TestPreregisteredClientMoves(t *testing.T) {
	before, after := newIssuer(t), newIssuer(t)
	before.add(registered{id: "known", secret: "secret-before", method: "client_secret_post", redirects: []string{redirectURL}})
	after.add(registered{id: "known", secret: "secret-after", method: "client_secret_post", redirects: []string{redirectURL}})
	s := newServer(t, before)
	_, again := newStore(t)
	preregistered := func(secret, issuer string) *mcpauth.Handler {
		h := handler(s.endpoint, again())
		h.Config.DynamicClientRegistrationConfig, h.Config.RedirectURL = nil, redirectURL
		h.Config.PreregisteredClient = &oauthex.ClientCredentials{ClientID: "known", ClientSecretAuth: &oauthex.ClientSecretAuth{ClientSecret: secret}, Issuer: issuer}
		return h
	}
	require.NoError(t, call(preregistered("secret-before", "")))
	before.expire() // so that the token would be refreshed
	require.ErrorContains(t, call(preregistered("secret-after", after.URL)), "does not match")
	s.set(func() { s.issuer = after })
	require.NoError(t, call(preregistered("secret-after", after.URL)))
	assert.NotContains(t, requestsOf(before), "secret-after")
	assert.NotContains(t, requestsOf(after), "secret-before")
	assert.Equal(t, [4]int{1, 0, 0, 0}, four(after.counts()))
}

// A wrong secret of the program's own isn't mended by the user.
func TestWrongSecretAsksNobody(t *testing.T) {
	as := newIssuer(t)
	as.add(registered{id: "known", secret: "right", method: "client_secret_post", redirects: []string{redirectURL}})
	s := newServer(t, as)
	_, again := newStore(t)
	preregistered := func(secret string) *mcpauth.Handler {
		h := handler(s.endpoint, again())
		h.Config.DynamicClientRegistrationConfig, h.Config.RedirectURL = nil, redirectURL
		h.Config.PreregisteredClient = &oauthex.ClientCredentials{ClientID: "known", ClientSecretAuth: &oauthex.ClientSecretAuth{ClientSecret: secret}}
		return h
	}
	require.NoError(t, call(preregistered("right")))
	as.expire()
	err := call(preregistered("wrong"))
	var e *tokensource.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, tokensource.ReasonMisconfigured, e.Reason)
	consents, _, _, _ := as.counts()
	assert.Equal(t, 1, consents)
}

// A client that is named by the URL of its metadata has no secret and isn't registered.
func TestClientIDMetadataDocument(t *testing.T) {
	const id = "https://client.example/metadata.json"
	as := newIssuer(t)
	as.add(registered{id: id, method: "none", redirects: []string{redirectURL}})
	s := newServer(t, as)
	_, again := newStore(t)
	document := func() *mcpauth.Handler {
		h := handler(s.endpoint, again())
		h.Config.ClientIDMetadataDocumentConfig = &auth.ClientIDMetadataDocumentConfig{URL: id}
		return h
	}
	require.NoError(t, call(document()))
	assert.Len(t, as.requests, 2, "a consent page and one exchange: the client doesn't try how it authenticates")
	as.expire()
	require.NoError(t, call(document()))
	assert.Equal(t, [4]int{1, 0, 1, 0}, four(as.counts()))
}

// More scopes are asked for with those that were granted, also after a restart, and once.
func TestStepUp(t *testing.T) {
	as := newIssuer(t)
	s := newServer(t, as)
	s.scopes = []string{"read"}
	_, again := newStore(t)
	var asked []mcpauth.Consent
	new := func() *mcpauth.Handler {
		h := handler(s.endpoint, again())
		h.OnConsent = func(_ context.Context, c mcpauth.Consent) error { asked = append(asked, c); return nil }
		return h
	}
	other := new()
	require.NoError(t, call(new()))
	require.NoError(t, call(other))
	s.set(func() { s.scopes = []string{"write"} })
	require.NoError(t, call(new()))
	require.NoError(t, call(other), "adopts it")
	s.set(func() { s.scopes = []string{"read", "write"} })
	require.NoError(t, call(new()))
	require.Len(t, asked, 3)
	assert.Equal(t, mcpauth.MoreScopes, asked[1].Reason)
	assert.Equal(t, []string{"read"}, asked[1].Scopes)
	assert.Equal(t, []string{"write"}, asked[2].Scopes)

	as.set(func() { as.consent = func(q url.Values) { q.Set("scope", "read write") } }) // and never admin
	s.set(func() { s.scopes = []string{"admin"} })
	for range 3 {
		require.Error(t, call(new()))
	}
	require.Len(t, asked, 4)
}

// A user who says no isn't asked again at once, by a call that waited, or by the request
// that the SDK's client makes next.
func TestDecline(t *testing.T) {
	as := newIssuer(t)
	as.deny = true
	s := newServer(t, as)
	_, again := newStore(t)
	asking, other := handler(s.endpoint, again()), handler(s.endpoint, again())
	var waiting atomic.Bool
	asking.OnConsent = func(context.Context, mcpauth.Consent) error {
		waiting.Store(true)
		time.Sleep(50 * time.Millisecond) // for the other to wait
		return nil
	}
	errs := make(chan error)
	go func() { errs <- call(asking) }()
	require.Eventually(t, waiting.Load, 5*time.Second, time.Millisecond)
	err := call(other)
	require.ErrorIs(t, err, mcpauth.ErrDeclined)
	require.NotErrorIs(t, err, errDenied)
	require.ErrorIs(t, <-errs, errDenied)
	consents, registrations, _, _ := as.counts()
	assert.Equal(t, []int{1, 1}, []int{consents, registrations})
	as.set(func() { as.deny = false })
	declinedLongAgo(t, again(), s)
	require.NoError(t, call(other))
	consents, registrations, _, _ = as.counts()
	assert.Equal(t, []int{2, 1}, []int{consents, registrations}, "the client is kept even so")
}

// A program without a user says so.
func TestOnConsentRefuses(t *testing.T) {
	as := newIssuer(t)
	s := newServer(t, as)
	store, _ := newStore(t)
	h := handler(s.endpoint, store)
	errHeadless := errors.New("nobody is here")
	h.OnConsent = func(context.Context, mcpauth.Consent) error { return errHeadless }
	require.ErrorIs(t, call(h), errHeadless)
	assert.Equal(t, [4]int{}, four(as.counts()))
	_, _, err := h.Manager(ctx)
	require.ErrorIs(t, err, tokensource.ErrLoginRequired)
}

// withoutLocks is a store like those of several machines.
type withoutLocks struct{ storage.Store }

// Two processes register at once, on a store without locks. The user is sent to the consent
// page as one client, and both go on with that.
func TestRegisterAtOnce(t *testing.T) {
	as := newIssuer(t)
	var both sync.WaitGroup
	both.Add(2)
	as.gate = func() { both.Done(); both.Wait() }
	s := newServer(t, as)
	dir, err := storage.OpenDir(testenv.DirInMemory(t))
	require.NoError(t, err)
	defer dir.Close()
	keys, err := storage.NewKeyset(storage.NewKey())
	require.NoError(t, err)
	new := func() *mcpauth.Handler { return handler(s.endpoint, storage.Encrypt(withoutLocks{dir}, keys)) }
	errs := make(chan error)
	for range 2 {
		go func() { errs <- call(new()) }()
	}
	require.NoError(t, errors.Join(<-errs, <-errs))
	_, registrations, _, _ := as.counts()
	assert.Equal(t, 2, registrations)
	clients := map[string]bool{}
	for _, r := range as.requests {
		if id := r.Get("client_id"); id != "" {
			clients[id] = true
		}
	}
	assert.Len(t, clients, 1)
	as.expire()
	require.NoError(t, call(new()))
	_, _, refreshes, reused := as.counts()
	assert.Equal(t, []int{1, 0}, []int{refreshes, reused})
}

// Another process has had the user consent anew by the time that this one, which was told just
// before that the grant has ended, has its request refused. It adopts that.
func TestConsentedElsewhereMeanwhile(t *testing.T) {
	as := newIssuer(t)
	s := newServer(t, as)
	_, again := newStore(t)
	one, two := handler(s.endpoint, again()), handler(s.endpoint, again())
	require.NoError(t, call(one))
	require.NoError(t, call(two))
	as.end()
	m, name, err := two.Manager(ctx)
	require.NoError(t, err)
	source := m.Source(name)
	token, err := source.Token()
	require.NoError(t, err)
	source.Reject(token)
	_, err = source.Token()
	require.ErrorIs(t, err, tokensource.ErrLoginRequired)
	require.NoError(t, call(one), "asks the user")
	require.NoError(t, call(two))
	consents, _, _, _ := as.counts()
	assert.Equal(t, 2, consents)
}

// The clock of the machine where the user consented is ahead. That was long ago nevertheless.
func TestConsentOfTheFuture(t *testing.T) {
	as := newIssuer(t)
	s := newServer(t, as)
	_, again := newStore(t)
	require.NoError(t, call(handler(s.endpoint, again())))
	replace(t, again(), "mcp/"+s.endpoint, "login", time.Now().Add(time.Hour))
	s.set(func() { s.refuses = true })
	h := handler(s.endpoint, again())
	asked := errors.New("asked")
	h.OnConsent = func(_ context.Context, c mcpauth.Consent) error {
		assert.Equal(t, mcpauth.TokenRefused, c.Reason)
		return asked
	}
	require.Error(t, call(h), "refreshes, which doesn't help")
	require.ErrorIs(t, call(h), asked)
}

// pausing is a store whose first Put under a name is made when gate is closed.
type pausing struct {
	storage.Store
	name    string
	reached chan struct{}
	gate    chan struct{}
	once    *sync.Once
}

func (p pausing) Put(ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	if name == p.name {
		p.once.Do(func() { close(p.reached); <-p.gate })
	}
	return p.Store.Put(ctx, name, value, old)
}

// Two processes that register differently ask at once, on a store without locks, and one saves
// its client and token between the other's client and token. What is kept is of one client, and
// serves both.
func TestConsentToTwoClientsAtOnce(t *testing.T) {
	as := newIssuer(t)
	s := newServer(t, as)
	memory := new(storage.Memory)
	keys, err := storage.NewKeyset(storage.NewKey())
	require.NoError(t, err)
	slow := pausing{withoutLocks{memory}, "mcp/" + s.endpoint, make(chan struct{}), make(chan struct{}), new(sync.Once)}
	one := handler(s.endpoint, storage.Encrypt(slow, keys))
	two := handler(s.endpoint, storage.Encrypt(withoutLocks{memory}, keys))
	two.Config.DynamicClientRegistrationConfig.Metadata.ClientName = "another request"
	errs := make(chan error)
	go func() { errs <- call(one) }()
	<-slow.reached
	require.NoError(t, call(two))
	close(slow.gate)
	require.NoError(t, <-errs)
	as.expire()
	require.NoError(t, call(one))
	require.NoError(t, call(two))
	require.NoError(t, call(handler(s.endpoint, storage.Encrypt(withoutLocks{memory}, keys))))
	assert.Equal(t, [4]int{2, 2, 1, 0}, four(as.counts()))
}
