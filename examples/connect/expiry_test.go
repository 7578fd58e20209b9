package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// network answers requests in place of the provider and its API.
type network func(*http.Request) string

func (n network) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK,
		Header:     http.Header{"Content-Type": {"application/json"}},
		Body:       io.NopCloser(strings.NewReader(n(r))),
		Request:    r,
	}, nil
}

// In the bubble of synctest an hour takes no time. Nothing goes over a real network there.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, err := storage.NewKeyset(storage.NewKey())
		require.NoError(t, err)
		manager := &tokensource.Manager{
			Config: endpoints.GitHub.Config(oauth2.Config{ClientID: "id", ClientSecret: "secret"}),
			Store:  storage.Encrypt(new(storage.Memory), keys),
			Base: network(func(r *http.Request) string {
				if r.URL.Host == "github.com" {
					return `{"access_token": "second", "token_type": "bearer", "expires_in": 28800}`
				}
				return r.Header.Get("Authorization")
			}),
		}
		token := &oauth2.Token{AccessToken: "first", RefreshToken: "r", Expiry: time.Now().Add(8 * time.Hour)}
		require.NoError(t, manager.Save(t.Context(), "github/alice", token))
		for _, want := range []string{"Bearer first", "Bearer second"} {
			resp, err := manager.Client("github/alice").Get("https://api.github.com/user")
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			assert.Equal(t, want, string(body))
			time.Sleep(8 * time.Hour)
		}
		require.NoError(t, manager.Flush(t.Context()))
	})
}
