package mcpauth_test

import (
	"context"
	"errors"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
	"github.com/oauth2keep/oauth2keep/tokensource/mcpauth"
)

// A restart, a refresh and another restart need neither a consent nor a registration.
func TestRestart(t *testing.T) {
	as := newIssuer(t)
	s := newServer(t, as)
	store, again := newStore(t)
	require.NoError(t, call(handler(s.endpoint, store)))
	require.NoError(t, call(handler(s.endpoint, again())))
	as.expire()
	require.NoError(t, call(handler(s.endpoint, again())), "a 401 is answered by a refresh")
	require.NoError(t, call(handler(s.endpoint, again())))
	assert.Equal(t, [4]int{1, 1, 1, 0}, four(as.counts()))
}

func four(a, b, c, d int) [4]int { return [4]int{a, b, c, d} }

// The server ends the token of a session again and again.
func TestRefusedInASession(t *testing.T) {
	as := newIssuer(t)
	s := newServer(t, as)
	store, _ := newStore(t)
	h := handler(s.endpoint, store)
	session, err := connect(h)
	require.NoError(t, err)
	defer session.Close()
	require.NoError(t, greet(session))
	as.expire()
	require.NoError(t, greet(session))
	assert.Equal(t, [4]int{1, 1, 1, 0}, four(as.counts()))
}

// All ways in which a client authenticates serve a refresh as well, and a restart.
func TestClientAuthentication(t *testing.T) {
	methods := []string{"client_secret_post", "none", "client_secret_basic"}
	if testing.Short() {
		methods = methods[:1] // other tests use the last
	}
	for _, method := range methods {
		t.Run(method, func(t *testing.T) {
			as := newIssuer(t)
			as.auth = method
			s := newServer(t, as)
			store, again := newStore(t)
			require.NoError(t, call(handler(s.endpoint, store)))
			as.expire()
			require.NoError(t, call(handler(s.endpoint, again())))
			assert.Equal(t, [4]int{1, 1, 1, 0}, four(as.counts()))
			h := handler(s.endpoint, again())
			m, name, err := h.Manager(ctx)
			require.NoError(t, err)
			require.NoError(t, m.Disconnect(ctx, name), "revokes")
			require.NoError(t, call(h))
			assert.Equal(t, [4]int{2, 1, 1, 0}, four(as.counts()), "the client is still registered")
		})
	}
}

// A grant that ended costs one consent, however many sessions and handlers use it.
func TestGrantEnded(t *testing.T) {
	as := newIssuer(t)
	s := newServer(t, as)
	store, again := newStore(t)
	var reasons []mcpauth.ConsentReason
	var handlers []*mcpauth.Handler
	for range 3 {
		h := handler(s.endpoint, again())
		h.OnConsent = func(_ context.Context, c mcpauth.Consent) error { reasons = append(reasons, c.Reason); return nil }
		handlers = append(handlers, h)
	}
	require.NoError(t, call(handlers[0]))
	as.end()
	errs := make(chan error)
	for _, h := range handlers {
		for range 3 {
			go func() { errs <- call(h) }()
		}
	}
	for range 9 {
		assert.NoError(t, <-errs)
	}
	assert.Equal(t, []mcpauth.ConsentReason{mcpauth.FirstConsent, mcpauth.GrantEnded}, reasons)
	assert.Equal(t, [4]int{2, 1, 1, 0}, four(as.counts()), "one refresh finds out")
	require.NoError(t, call(handler(s.endpoint, store)))
}

// A server in trouble is no reason to ask the user.
func TestOutageAsksNobody(t *testing.T) {
	as := newIssuer(t)
	s := newServer(t, as)
	store, again := newStore(t)
	require.NoError(t, call(handler(s.endpoint, store)))
	as.expire()
	as.set(func() { as.broken = 503 })
	err := call(handler(s.endpoint, again()))
	var e *tokensource.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, tokensource.ReasonUnavailable, e.Reason)
	assert.NotErrorIs(t, err, tokensource.ErrLoginRequired)
	as.set(func() { as.broken = 0 })
	replace(t, again(), "mcp/"+s.endpoint, "failure", map[string]any{"reason": e.Reason, "next": time.Now()}) // which it waits for
	require.NoError(t, call(handler(s.endpoint, again())))
	consents, _, _, _ := as.counts()
	assert.Equal(t, 1, consents)
}

// The MCP server refuses what its own authorization server has just issued: the user isn't
// asked again and again.
func TestTokensAreRefused(t *testing.T) {
	as := newIssuer(t)
	s := newServer(t, as)
	store, _ := newStore(t)
	h := handler(s.endpoint, store)
	require.NoError(t, call(h))
	s.set(func() { s.refuses = true })
	for range 5 {
		assert.Error(t, call(h))
	}
	assert.Equal(t, [4]int{1, 1, 1, 0}, four(as.counts()))
}

// A client that the authorization server has deleted is registered anew, and the user asked
// once.
func TestClientDeleted(t *testing.T) {
	as := newIssuer(t)
	s := newServer(t, as)
	store, again := newStore(t)
	other := handler(s.endpoint, again())
	require.NoError(t, call(handler(s.endpoint, store)))
	require.NoError(t, call(other))
	as.expire()
	as.set(func() { clear(as.clients) })
	h := handler(s.endpoint, again())
	var asked []mcpauth.Consent
	h.OnConsent = func(_ context.Context, c mcpauth.Consent) error { asked = append(asked, c); return nil }
	require.NoError(t, call(h))
	require.NoError(t, call(h))
	require.NoError(t, call(other), "which still has the old client, and adopts the new one")
	require.Len(t, asked, 1)
	assert.Equal(t, mcpauth.ClientUnknown, asked[0].Reason)
	consents, registrations, _, _ := as.counts()
	assert.Equal(t, []int{2, 2}, []int{consents, registrations})
}

// One that was deleted while the user was asked is registered anew by the next call.
func TestClientDeletedWhileAsked(t *testing.T) {
	as := newIssuer(t)
	s := newServer(t, as)
	store, again := newStore(t)
	h := handler(s.endpoint, store)
	as.set(func() { as.consent = func(url.Values) { clear(as.clients) } })
	require.ErrorContains(t, call(h), "invalid_client")
	as.set(func() { as.consent = nil })
	require.ErrorIs(t, call(h), mcpauth.ErrDeclined, "the user isn't asked again at once")
	declinedLongAgo(t, again(), s)
	require.NoError(t, call(h))
	consents, registrations, _, _ := as.counts()
	assert.Equal(t, []int{2, 2}, []int{consents, registrations})
}

// One that was deleted, so that the consent page leads nowhere, is registered anew by the call
// after that.
func TestClientDeletedUnnoticed(t *testing.T) {
	as := newIssuer(t)
	s := newServer(t, as)
	_, again := newStore(t)
	require.NoError(t, call(handler(s.endpoint, again())))
	as.end()
	away := handler(s.endpoint, again())
	away.OnConsent = func(context.Context, mcpauth.Consent) error { return errors.New("later") }
	require.ErrorContains(t, call(away), "later")
	as.set(func() { clear(as.clients) })
	require.ErrorContains(t, call(handler(s.endpoint, again())), "the consent page answers 400")
	require.ErrorIs(t, call(handler(s.endpoint, again())), mcpauth.ErrDeclined, "the user isn't asked again at once")
	declinedLongAgo(t, again(), s)
	require.NoError(t, call(handler(s.endpoint, again())))
	consents, registrations, _, _ := as.counts()
	assert.Equal(t, []int{2, 2}, []int{consents, registrations})
}

// A client whose secret is about to expire isn't used for a new consent.
func TestSecretExpires(t *testing.T) {
	as := newIssuer(t)
	as.secret = 5 * time.Minute
	s := newServer(t, as)
	store, again := newStore(t)
	require.NoError(t, call(handler(s.endpoint, store)))
	as.end()
	require.NoError(t, call(handler(s.endpoint, again())))
	consents, registrations, _, _ := as.counts()
	assert.Equal(t, []int{2, 2}, []int{consents, registrations})
}

// Several servers, and two accounts at one of them, share a store.
func TestSeveralServers(t *testing.T) {
	store, again := newStore(t)
	as := newIssuer(t)
	one, two := newServer(t, as), newServer(t, newIssuer(t))
	second := func() *mcpauth.Handler {
		h := handler(one.endpoint, again())
		h.Name = "mcp/second account"
		return h
	}
	for range 2 {
		require.NoError(t, call(handler(one.endpoint, store)))
		require.NoError(t, call(handler(two.endpoint, store)))
		require.NoError(t, call(second()))
	}
	assert.Equal(t, [4]int{2, 2, 0, 0}, four(as.counts()))
	m, name, err := second().Manager(ctx)
	require.NoError(t, err)
	var names []string
	for st, err := range m.Connections(ctx) { // passes over the others', and over what is kept of clients
		require.NoError(t, err)
		names = append(names, st.Connection)
	}
	assert.Equal(t, []string{name}, names)
}

// interrupted is a store that calls a function after the next Get under a name, once.
type interrupted struct {
	storage.Store
	name  string
	after *atomic.Pointer[func()]
}

func (s interrupted) Get(ctx context.Context, name string) ([]byte, storage.Version, error) {
	value, version, err := s.Store.Get(ctx, name)
	if name == s.name {
		if f := s.after.Swap(nil); f != nil {
			(*f)()
		}
	}
	return value, version, err
}

// Another process saves a new login between two looks at the record, whose grant had ended. Its
// token isn't taken for the one that has ended: the user isn't asked again.
func TestConsentBetweenTwoLooks(t *testing.T) {
	as := newIssuer(t)
	s := newServer(t, as)
	memory := new(storage.Memory)
	keys, err := storage.NewKeyset(storage.NewKey())
	require.NoError(t, err)
	looking := interrupted{memory, "mcp/" + s.endpoint, new(atomic.Pointer[func()])}
	one := handler(s.endpoint, storage.Encrypt(looking, keys))
	declines := false
	one.OnConsent = func(context.Context, mcpauth.Consent) error {
		if declines {
			return errDenied
		}
		return nil
	}
	require.NoError(t, call(one))
	as.end()
	declines = true
	require.ErrorIs(t, call(one), errDenied, "the end is recorded, and nobody consents")
	declines = false
	another := func() { assert.NoError(t, call(handler(s.endpoint, storage.Encrypt(memory, keys)))) }
	looking.after.Store(&another)
	require.NoError(t, call(one))
	require.Nil(t, looking.after.Load())
	consents, _, _, _ := as.counts()
	assert.Equal(t, 2, consents)
}
