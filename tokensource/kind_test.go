package tokensource_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

func newStore(t *testing.T) *storage.Encrypted {
	keys, err := storage.NewKeyset(storage.NewKey())
	require.NoError(t, err)
	return storage.Encrypt(new(storage.Memory), keys)
}

// TestKindOfErrorsOfConnections: package endpoints can tell a user what to do about
// the errors of this package, also where the provider's answer was met by another
// process, and where net/http has wrapped them.
func TestKindOfErrorsOfConnections(t *testing.T) {
	server := endpointstest.New(t)
	provider := server.Provider(endpoints.Finch)
	m := &tokensource.Manager{Config: provider.Config(server.Config(endpoints.Finch, "")), Store: newStore(t)}
	require.NoError(t, m.Save(t.Context(), "k", server.Connect(endpoints.Finch)))
	server.RevokeAll(endpoints.Finch)
	resp, err := m.Client("k").Get(provider.APIURLs[0] + "/introspect")
	require.NoError(t, err)
	resp.Body.Close()

	_, err = m.Client("k").Get(provider.APIURLs[0] + "/introspect")
	require.ErrorIs(t, err, tokensource.ErrLoginRequired)
	assert.Equal(t, endpoints.KindLoginRequired, endpoints.KindOf(err))
	_, err = m.Source("k").Token()
	assert.Equal(t, endpoints.KindLoginRequired, endpoints.KindOf(err))

	_, err = m.Client("nobody").Get(provider.APIURLs[0])
	assert.Equal(t, endpoints.KindLoginRequired, endpoints.KindOf(err), "no such connection")
	_, err = m.Client("k").Get("https://other.example")
	require.Error(t, err)
	assert.Equal(t, endpoints.KindUnknown, endpoints.KindOf(err), "another origin")
}

// TestMisconfiguredProcessDoesNotStopOthers has one process with the client's old
// secret, and another with the new one.
func TestMisconfiguredProcessDoesNotStopOthers(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.FormValue("client_secret") != "new" {
			w.WriteHeader(http.StatusUnauthorized)
			w.Write([]byte(`{"error":"invalid_client"}`))
			return
		}
		w.Write([]byte(`{"access_token":"fresh","expires_in":3600}`))
	}))
	defer server.Close()
	store := newStore(t)
	process := func(secret string) *tokensource.Manager {
		return &tokensource.Manager{Store: store, Config: &oauth2.Config{
			ClientID: "id", ClientSecret: secret,
			Endpoint: oauth2.Endpoint{TokenURL: server.URL, AuthStyle: oauth2.AuthStyleInParams},
		}}
	}
	old, current := process("old"), process("new")
	require.NoError(t, old.Save(t.Context(), "k", &oauth2.Token{AccessToken: "a", RefreshToken: "r", Expiry: time.Now().Add(-time.Minute)}))
	_, err := old.Source("k").Token()
	require.Error(t, err)
	assert.Equal(t, endpoints.KindClientRejected, endpoints.KindOf(err))

	token, err := current.Source("k").Token()
	require.NoError(t, err)
	assert.Equal(t, "fresh", token.AccessToken)
}

// TestPlainConfigUnderAContext refreshes at a provider that takes JSON, with a plain
// *oauth2.Config.
func TestPlainConfigUnderAContext(t *testing.T) {
	server := endpointstest.New(t)
	provider := server.Provider(endpoints.TaxRock)
	client := server.Config(endpoints.TaxRock, "http://localhost/callback")
	m := &tokensource.Manager{Config: &client, RequestContext: provider.Context, APIURLs: provider.APIURLs, Store: newStore(t)}
	token := server.Connect(endpoints.TaxRock)
	token.Expiry = time.Now().Add(-time.Minute)
	require.NoError(t, m.Save(context.Background(), "k", token))
	resp, err := m.Client("k").Get(provider.APIURLs[0] + "/client-accounts")
	require.NoError(t, err)
	defer resp.Body.Close()
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Equal(t, 1, server.Stats(endpoints.TaxRock).Refreshed)
}
