package clients

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/go-retryablehttp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/clienttest"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// retrying makes calls again that fail for a while, but not those for which only the user can
// do something.
func retrying(client *http.Client) *retryablehttp.Client {
	c := retryablehttp.NewClient()
	c.HTTPClient, c.Logger = client, nil
	c.CheckRetry = func(ctx context.Context, resp *http.Response, err error) (bool, error) {
		if errors.Is(err, tokensource.ErrLoginRequired) {
			return false, err
		}
		return retryablehttp.DefaultRetryPolicy(ctx, resp, err)
	}
	return c
}

func post(ctx context.Context, c *retryablehttp.Client, url string) error {
	r, err := retryablehttp.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader([]byte("an order")))
	if err != nil {
		return err
	}
	resp, err := c.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refusal(resp.StatusCode)
	}
	return nil
}

// takesOrders answers a call if its body is whole.
func takesOrders(w http.ResponseWriter, r *http.Request) {
	if body, _ := io.ReadAll(r.Body); string(body) != "an order" {
		w.WriteHeader(http.StatusUnprocessableEntity)
	}
}

func TestRetryable(t *testing.T) {
	clienttest.Test(t, clienttest.Client{
		Answer: takesOrders,
		New: func(_ *testing.T, p *clienttest.Provider, connection, url string) func(context.Context) error {
			c := retrying(p.Manager.Client(connection))
			return func(ctx context.Context) error { return post(ctx, c, url) }
		},
	})
}

// TestRetriesDoNotMultiplyTokenRequests: neither those of an API in trouble, nor those of a
// token endpoint in trouble, nor those for a user who has to connect again.
func TestRetriesDoNotMultiplyTokenRequests(t *testing.T) {
	var trouble atomic.Int32 // calls that the API still answers with 503
	answer := func(w http.ResponseWriter, r *http.Request) {
		if trouble.Add(-1) >= 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		takesOrders(w, r)
	}
	clienttest.Run(t, answer, func(t *testing.T, w *clienttest.World) {
		token := w.Here.Connect(t, "customer-42")
		c := retrying(w.Here.Manager.Client("customer-42"))
		trouble.Store(2)
		require.NoError(t, post(t.Context(), c, w.Here.API.URL))
		assert.Zero(t, w.Here.Stats().RefreshRequests)

		w.Here.RefuseTokens()
		trouble.Store(2)
		require.NoError(t, post(t.Context(), c, w.Here.API.URL), "401, 503, 503, 200")
		assert.Equal(t, 1, w.Here.Stats().RefreshRequests)

		w.Expire()
		release := w.Hang()
		require.Error(t, post(t.Context(), c, w.Here.API.URL))
		release()
		before := w.Here.Stats().RefreshRequests
		w.Pass(tokensourceBackoff)
		require.NoError(t, post(t.Context(), c, w.Here.API.URL))
		assert.LessOrEqual(t, w.Here.Stats().RefreshRequests-before, 1)

		w.Here.End(t, token)
		w.Expire()
		before = w.Here.Stats().RefreshRequests
		took, err := elapsed(func() error { return post(t.Context(), c, w.Here.API.URL) })
		requireLogin(t, err)
		assert.Zero(t, took, "it waits for what waiting doesn't help")
		assert.Equal(t, 1, w.Here.Stats().RefreshRequests-before)
	})
}

// TestRetriesBelowAManager are what nobody should have: a refresh token is sent again and
// again by who knows nothing of it. RequestContext gives token requests a client without
// retries.
func TestRetriesBelowAManager(t *testing.T) {
	clienttest.Run(t, nil, func(t *testing.T, w *clienttest.World) {
		w.Here.Connect(t, "customer-42")
		var requests atomic.Int32
		failing := roundTripper(func(r *http.Request) (*http.Response, error) {
			requests.Add(1)
			return &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		})
		below := retryablehttp.NewClient()
		below.HTTPClient, below.Logger = &http.Client{Transport: failing}, nil
		w.Expire()

		m := w.Here.Restart()
		m.Base = &retryablehttp.RoundTripper{Client: below}
		m.RequestContext = func(ctx context.Context) context.Context {
			return context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: failing})
		}
		_, err := m.Source("customer-42").TokenContext(t.Context())
		require.Error(t, err)
		assert.Equal(t, int32(1), requests.Swap(0))

		m = w.Here.Restart()
		m.Base = &retryablehttp.RoundTripper{Client: below}
		w.Pass(tokensourceBackoff)
		_, err = m.Source("customer-42").TokenContext(t.Context())
		require.Error(t, err)
		assert.Greater(t, requests.Load(), int32(1), "it is safe now: say so")
	})
}
