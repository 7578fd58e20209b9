package clienttest

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/tokensource"
)

// Client is a library's client, joined with a connection.
type Client struct {
	// New makes a client of the API at url, with a connection of p. What it returns makes
	// one call with it, concurrently if need be.
	New func(t *testing.T, p *Provider, connection, url string) func(context.Context) error

	Answer http.HandlerFunc // what the API answers to a call with a good token

	// What the client can't do better.
	Once     bool // a call that the API refuses fails; the next one has another token
	Deaf     bool // a call waits for its token without a look at its context
	Careless bool // the token goes wherever it is redirected to, or told to call
}

const customer = "customer-42"

// Test tries a client.
func Test(t *testing.T, c Client) {
	n := newNetwork(t)
	for _, check := range []struct {
		name string
		run  func(*testing.T, *World, Client)
	}{
		{"an expiry is one refresh", expires},
		{"a refusal is one refresh", refused},
		{"a grant that has ended requires a login", ended},
		{"a context that is done ends the call and not the refresh", cancelled},
		{"two providers never see each other's tokens", apart},
		{"the token is sent nowhere else", kept},
	} {
		t.Run(check.name, func(t *testing.T) {
			n.run(t, c.Answer, func(t *testing.T, w *World) { check.run(t, w, c) })
		})
	}
}

// calls makes several calls at a time, and returns their errors.
func calls(ctx context.Context, call ...func(context.Context) error) []error {
	n := 16
	if testing.Short() {
		n = 2 // each has a connection of its own
	}
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { errs[i] = call[i%len(call)](ctx) })
	}
	all.Wait()
	return errs
}

func expires(t *testing.T, w *World, c Client) {
	w.Here.Connect(t, customer)
	one, two := c.New(t, w.Here, customer, w.Here.API.URL), c.New(t, w.Here, customer, w.Here.API.URL)
	require.NoError(t, one(t.Context()))
	for n := range 2 {
		w.Expire()
		for _, err := range calls(t.Context(), one, two) {
			require.NoError(t, err)
		}
		assert.Equal(t, n+1, w.Here.Stats().RefreshRequests)
	}
	assert.Zero(t, w.Here.API.Refused.Load())
	assert.Empty(t, w.Here.Stats().Rejected)
}

func refused(t *testing.T, w *World, c Client) {
	w.Here.Connect(t, customer)
	call := c.New(t, w.Here, customer, w.Here.API.URL)
	require.NoError(t, call(t.Context()))
	w.Here.RefuseTokens()
	if c.Once {
		assert.Error(t, call(t.Context()), "it is repeated")
	}
	for _, err := range calls(t.Context(), call) {
		assert.NoError(t, err)
	}
	assert.Equal(t, 1, w.Here.Stats().RefreshRequests)
	assert.NotZero(t, w.Here.API.Refused.Load())
}

func ended(t *testing.T, w *World, c Client) {
	token := w.Here.Connect(t, customer)
	call := c.New(t, w.Here, customer, w.Here.API.URL)
	require.NoError(t, call(t.Context()))
	w.Here.End(t, token)
	w.Expire()
	for _, err := range calls(t.Context(), call) {
		requireLogin(t, err, token)
	}
	assert.Equal(t, 1, w.Here.Stats().RefreshRequests)
	requireLogin(t, c.New(t, w.Here, "nobody", w.Here.API.URL)(t.Context()), token)
}

// requireLogin: the error of the client leads to ours, and to x/oauth2's.
func requireLogin(t *testing.T, err error, token *oauth2.Token) {
	t.Helper()
	require.ErrorIs(t, err, tokensource.ErrLoginRequired)
	var retrieve *oauth2.RetrieveError
	require.ErrorAs(t, err, &retrieve)
	assert.Equal(t, "invalid_grant", retrieve.ErrorCode)
	for _, secret := range []string{token.AccessToken, token.RefreshToken} {
		assert.NotContains(t, err.Error(), secret)
	}
}

func cancelled(t *testing.T, w *World, c Client) {
	w.Here.Connect(t, customer)
	call := c.New(t, w.Here, customer, w.Here.API.URL)
	require.NoError(t, call(t.Context()))
	w.Expire()
	release := w.Hang()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- call(ctx) }()
	synctest.Wait()
	require.Empty(t, result, "the call didn't wait for the token")
	cancel()
	synctest.Wait()
	if c.Deaf {
		assert.Empty(t, result, "it does heed its context")
	} else {
		require.NotEmpty(t, result, "the call goes on")
		assert.ErrorIs(t, <-result, context.Canceled)
	}
	release()
	require.NoError(t, w.Here.Manager.Flush(t.Context()))
	synctest.Wait()
	_, err := w.Here.Restart().Source(customer).TokenContext(t.Context())
	require.NoError(t, err, "it wasn't saved")
	require.NoError(t, call(t.Context()))
	assert.Equal(t, 1, w.Here.Stats().RefreshRequests)
}

func apart(t *testing.T, w *World, c Client) {
	w.Here.Connect(t, customer)
	w.There.Connect(t, "customer-43")
	here := c.New(t, w.Here, customer, w.Here.API.URL)
	there := c.New(t, w.There, "customer-43", w.There.API.URL)
	for range 2 {
		require.NoError(t, here(t.Context()))
		require.NoError(t, there(t.Context()))
		w.Expire()
	}
	assert.Zero(t, w.Here.API.Refused.Load()+w.There.API.Refused.Load())
	before := w.Here.Stats()
	err := c.New(t, w.Here, "customer-43", w.Here.API.URL)(t.Context())
	require.Error(t, err, "a connection of the other provider's")
	assert.NotErrorIs(t, err, tokensource.ErrLoginRequired)
	assert.Equal(t, before, w.Here.Stats(), "something of it was sent")
}

func kept(t *testing.T, w *World, c Client) {
	w.Here.Connect(t, customer)
	call := c.New(t, w.Here, customer, w.Here.API.URL)
	require.NoError(t, call(t.Context()))
	w.Here.API.Redirect(w.Elsewhere.URL + "/landed")
	_ = call(t.Context()) // some follow, and some don't
	_ = c.New(t, w.Here, customer, w.Elsewhere.URL)(t.Context())
	authorized := slices.ContainsFunc(w.Elsewhere.Sent(), func(sent string) bool { return sent != "" })
	assert.Equal(t, c.Careless, authorized, "the token was sent to somebody else")
}
