package oauth2keep_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/pkce"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// shops is a provider with a host for each shop.
var shops = endpoints.Provider{
	Name:      "Shops",
	Endpoint:  oauth2.Endpoint{AuthURL: "https://{shop}/authorize", TokenURL: "https://{shop}/token"},
	RevokeURL: "https://{shop}/revoke",
	APIURLs:   []string{"https://{shop}/api"},
	Vars:      map[string][]string{"shop": {"*.shops.example"}},
}

// TestEndToEndTenants has two connections of one Manager at two hosts, on one store:
// each is refreshed, with rotation, called and revoked at its own, also by another
// process that knows no more than the store does.
func TestEndToEndTenants(t *testing.T) {
	sandbox := endpointstest.New(t, shops)
	policy := sandbox.Policy(shops)
	policy.Rotate = true
	sandbox.SetPolicy(shops, policy)
	client := sandbox.Client()
	defer client.CloseIdleConnections()
	inSandbox := func(ctx context.Context) context.Context { return context.WithValue(ctx, oauth2.HTTPClient, client) }
	keys, err := storage.NewKeyset(key)
	require.NoError(t, err)

	mux := http.NewServeMux()
	web := httptest.NewServer(mux)
	defer web.Close()
	registered := sandbox.Config(shops, web.URL+"/callback")
	registered.Endpoint = shops.Endpoint
	config := shops.Config(registered)
	store := new(storage.Memory)
	start := func() *tokensource.Manager {
		return &tokensource.Manager{Config: config, Store: storage.Encrypt(store, keys), Base: client.Transport}
	}
	manager := start()
	flow := &pkce.Flow{Config: config, Sealer: keys, RequestContext: inSandbox}
	var refused error
	mux.HandleFunc("GET /connect", func(w http.ResponseWriter, r *http.Request) {
		s, err := flow.Begin(w, r, r.FormValue("as"), oauth2.SetAuthURLParam("shop", r.FormValue("shop")))
		if refused = err; err == nil {
			http.Redirect(w, r, s.URL, http.StatusFound)
		}
	})
	mux.Handle("/callback", flow.Callback(func(w http.ResponseWriter, r *http.Request, s *pkce.Session, tok *oauth2.Token, err error) {
		if assert.NoError(t, err) {
			assert.NoError(t, manager.Save(r.Context(), s.Connection, tok))
		}
	}))
	tenants := map[string]string{"tea": "tea.shops.example", "coffee": "coffee.shops.example"}
	for name, shop := range tenants {
		user := browser(t)
		user.Transport = client.Transport
		callback, err := endpointstest.Approve(t.Context(), user, web.URL+"/connect?as="+name+"&shop="+shop)
		require.NoError(t, err)
		resp, err := user.Get(callback.String())
		require.NoError(t, err)
		resp.Body.Close()
	}
	call := func(m *tokensource.Manager, name, shop string) int {
		resp, err := m.Client(name).Get("https://" + shop + "/api/things")
		require.NoError(t, err)
		resp.Body.Close()
		return resp.StatusCode
	}
	for range 3 {
		for name, shop := range tenants {
			require.Equal(t, http.StatusOK, call(manager, name, shop))
			source := manager.Source(name)
			old, err := source.Token()
			require.NoError(t, err)
			source.Reject(old)
			next, err := source.Token()
			require.NoError(t, err)
			require.False(t, old.RefreshToken == next.RefreshToken, "the refresh token wasn't replaced")
			require.Equal(t, http.StatusOK, call(manager, name, shop))
		}
		require.NoError(t, manager.Flush(t.Context()))
		manager = start()
	}
	_, err = manager.Client("tea").Get("https://coffee.shops.example/api/things")
	require.Error(t, err, "a token goes to the host of its own shop")
	stats := sandbox.Stats(shops)
	assert.Equal(t, 6, stats.Refreshed)
	assert.Empty(t, stats.Rejected)

	for _, shop := range []string{"evil.com/", "a@tea.shops.example", "evil.com", "tea.shops.example:1", "tea.shops.example/x", ""} {
		resp, err := http.Get(web.URL + "/connect?as=mallory&shop=" + shop)
		require.NoError(t, err)
		resp.Body.Close()
		assert.Error(t, refused, shop)
	}
	require.NoError(t, manager.Disconnect(t.Context(), "tea"))
	assert.Equal(t, http.StatusOK, call(manager, "coffee", tenants["coffee"]))
	assert.Equal(t, 1, sandbox.Stats(shops).Revoked)
	assert.Equal(t, stats.Approved, sandbox.Stats(shops).Approved)
}
