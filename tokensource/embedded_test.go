package tokensource

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// TestRefresherThatWrapsAnother has applications wrap an endpoints.Config in the two ways
// that Go offers: what embeds the interface hides the other methods, what embeds the type
// has them.
func TestRefresherThatWrapsAnother(t *testing.T) {
	var mu sync.Mutex
	var paths []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		paths = append(paths, r.URL.Path+" "+r.Header.Get("Authorization"))
		mu.Unlock()
		switch r.URL.Path {
		case "/token":
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"access_token":"new","refresh_token":"next","expires_in":3600}`))
		case "/refused":
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			w.WriteHeader(401)
		}
	}))
	defer server.Close()
	provider := endpoints.Provider{
		Name: "Test", RevokeURL: server.URL + "/revoke", APIURLs: []string{server.URL},
		Endpoint: oauth2.Endpoint{AuthURL: server.URL + "/auth", TokenURL: server.URL + "/token", AuthStyle: oauth2.AuthStyleInParams},
	}
	conf := provider.Config(oauth2.Config{ClientID: "id", ClientSecret: "secret"})
	issuer, clientID := conf.Registration()
	login := &oauth2.Token{AccessToken: "old", RefreshToken: "r", Expiry: time.Now().Add(-time.Hour)}

	t.Run("by its type", func(t *testing.T) {
		paths = nil
		m := &Manager{Config: struct{ *endpoints.Config }{conf}, Store: newMemory()}
		require.NoError(t, m.Save(t.Context(), "k", login))
		resp, err := m.Client("k").Get(server.URL + "/me")
		require.NoError(t, err)
		resp.Body.Close()
		assert.Equal(t, "client \"id\" at "+server.URL, m.set.registration.String())
		require.NoError(t, m.Disconnect(t.Context(), "k"))
		assert.Equal(t, []string{"/token ", "/me Bearer new", "/revoke "}, paths)
		_, err = m.Source("k").Token()
		assert.True(t, isReason(err, ReasonNotConnected))
	})
	t.Run("by the interface", func(t *testing.T) {
		paths = nil
		m := &Manager{Config: struct{ Refresher }{conf}, Store: newMemory()}
		err := m.Save(t.Context(), "k", login)
		require.ErrorContains(t, err, "Manager.Registration", "nobody knows whose tokens these are")
		_, err = m.Source("k").Token()
		require.Error(t, err)

		m = &Manager{Config: struct{ Refresher }{conf}, Store: newMemory(), Registration: Registration{Issuer: issuer, ClientID: clientID}}
		require.NoError(t, m.Save(t.Context(), "k", login))
		_, err = m.Client("k").Get(server.URL + "/me")
		require.ErrorContains(t, err, "Manager.APIURLs")
		token, err := m.Source("k").Token()
		require.NoError(t, err)
		assert.Equal(t, "new", token.AccessToken)
		err = m.Disconnect(t.Context(), "k")
		require.ErrorIs(t, err, errors.ErrUnsupported)
		assert.ErrorContains(t, err, "Manager.Forget")
		token, err = m.Source("k").Token()
		require.NoError(t, err, "nothing was done")
		assert.Equal(t, "new", token.AccessToken)
		assert.Equal(t, []string{"/token "}, paths)
	})
}
