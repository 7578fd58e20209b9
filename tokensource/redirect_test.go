package tokensource

import (
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
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

// TestTokenRequestIsNotRepeatedOverHTTP2 has net/http try to make a request again that was
// written, as it does over HTTP/2 when the server resets the stream.
func TestTokenRequestIsNotRepeatedOverHTTP2(t *testing.T) {
	var again []error
	m := &Manager{
		Config: &oauth2.Config{ClientID: "id", Endpoint: oauth2.Endpoint{TokenURL: "https://auth.example/token", AuthStyle: oauth2.AuthStyleInParams}},
		Store:  encrypted(new(storage.Memory)),
		Base: roundTripper(func(r *http.Request) (*http.Response, error) {
			trace := httptrace.ContextClientTrace(r.Context())
			trace.WroteHeaderField(":method", nil)
			trace.WroteHeaders()
			_, err := r.GetBody()
			again = append(again, err)
			return nil, err
		}),
	}
	require.NoError(t, m.Save(t.Context(), "k", &oauth2.Token{AccessToken: "a", RefreshToken: "r", Expiry: time.Now().Add(-time.Hour)}))
	_, err := m.Source("k").Token()
	require.Error(t, err)
	require.Len(t, again, 2, "the answer is lost, which the Manager knows")
	for _, err := range again {
		require.ErrorContains(t, err, "it isn't sent again")
	}
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
