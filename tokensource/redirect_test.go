package tokensource

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
)

// TestTokenRequestIsNotRedirected has a token endpoint that sends the request, with
// the refresh token and the client's secret in it, on to someone else.
func TestTokenRequestIsNotRedirected(t *testing.T) {
	var elsewhere atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { elsewhere.Add(1) }))
	defer thief.Close()
	server := httptest.NewServer(http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	m := &Manager{
		Config: &oauth2.Config{
			ClientID: "id", ClientSecret: "secret",
			Endpoint: oauth2.Endpoint{TokenURL: server.URL, AuthStyle: oauth2.AuthStyleInParams},
		},
		Store: encrypted(new(storage.Memory)),
	}
	require.NoError(t, m.Save(t.Context(), "k", &oauth2.Token{AccessToken: "a", RefreshToken: "r", Expiry: time.Now().Add(-time.Hour)}))
	_, err := m.Source("k").Token()
	require.Error(t, err)
	require.NotErrorIs(t, err, ErrLoginRequired)
	assert.Zero(t, elsewhere.Load())
}

// TestTokenThatIsOverWhenItArrivesIsNotRefreshedAtEveryCall has a provider, or a
// clock, by which every token has expired already.
func TestTokenThatIsOverWhenItArrivesIsNotRefreshedAtEveryCall(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.life = time.Nanosecond
		time.Sleep(time.Hour)
		before := f.count()
		for range 100 {
			_, err := m.Source("k").Token()
			require.NoError(f, err)
			time.Sleep(100 * time.Millisecond)
		}
		assert.LessOrEqual(f, f.count()-before, 11, "in ten seconds")
	})
}
