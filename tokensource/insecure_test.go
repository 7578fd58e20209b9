package tokensource

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// plaintext are URLs, and whether tokens may be sent to them.
var plaintext = map[string]bool{
	"https://provider.example":          true,
	"http://localhost":                  true,
	"http://LOCALHOST:8080":             true,
	"http://127.0.0.1:8080":             true,
	"http://127.0.0.2":                  true,
	"http://[::1]:8080":                 true,
	"http://[0:0:0:0:0:0:0:1]":          true,
	"http://[::ffff:127.0.0.1]:8080":    true,
	"http://provider.example":           false,
	"HTTP://provider.example":           false,
	"http://user:pw@provider.example":   false,
	"http://localhost.example":          false,
	"http://a.localhost":                false,
	"http://localhost.":                 false,
	"http://127.0.0.1.example":          false,
	"http://127.0.0.1@provider.example": false,
	"http://128.0.0.1":                  false,
	"http://127.1":                      false,
	"http://2130706433":                 false,
	"http://0.0.0.0":                    false,
	"http://10.0.0.1":                   false,
	"http://[::]":                       false,
	"http://[::ffff:10.0.0.1]":          false,
	"http://[fe80::1%25lo]":             false,
}

func TestAPITokensAreNotSentInPlaintext(t *testing.T) {
	for url, safe := range plaintext {
		for _, allowed := range []bool{false, true} {
			onSwap(t, func(f *fixture) {
				m := f.connected()
				api := withAPI(m)
				m.APIURLs, m.InsecureHTTP = []string{"https://api.example.com", url}, allowed
				resp, err := m.Client("k").Get(url + "/v1")
				if safe || allowed {
					require.NoError(f, err, url)
					resp.Body.Close()
					return
				}
				require.ErrorContains(f, err, "InsecureHTTP", url)
				assert.NotContains(f, err.Error(), "user:pw")
				assert.Empty(f, api.calls())
			})
		}
	}
}

func TestTokenURLInPlaintextIsRefusedWhoeverSaysWhoseItIs(t *testing.T) {
	for url, safe := range plaintext {
		conf := &oauth2.Config{ClientID: testClient, Endpoint: oauth2.Endpoint{TokenURL: url + "/token", AuthStyle: oauth2.AuthStyleInParams}}
		for name, m := range map[string]*Manager{
			"x/oauth2":                   {Config: conf},
			"with a Registration":        {Config: conf, Registration: testOwner},
			"wrapped":                    {Config: struct{ Refresher }{conf}, Registration: testOwner},
			"two-legged":                 {Config: TwoLegged(&clientcredentials.Config{TokenURL: url + "/token"})},
			"two-legged, Registration":   {Config: TwoLegged(&clientcredentials.Config{TokenURL: url + "/token"}), Registration: testOwner},
			"with a client of one's own": {Config: conf, Registration: testOwner},
		} {
			if testing.Short() && name != "x/oauth2" && url != "http://localhost" && url != "http://provider.example" {
				continue // which URLs are safe doesn't depend on who says whose they are
			}
			for _, allowed := range []bool{false, true} {
				var sent atomic.Int32
				m := &Manager{Config: m.Config, Registration: m.Registration, Store: newMemory(), InsecureHTTP: allowed}
				m.Base = roundTripper(func(r *http.Request) (*http.Response, error) {
					sent.Add(1)
					return reply(200, `{"access_token":"t","expires_in":3600}`, "Content-Type", "application/json"), nil
				})
				ctx := t.Context()
				if name == "with a client of one's own" {
					ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: m.Base})
				}
				err := m.Save(ctx, "k", &oauth2.Token{AccessToken: "old", RefreshToken: "refresh-1", Expiry: time.Now().Add(-time.Hour)})
				if err == nil {
					_, err = m.Source("k").TokenContext(ctx)
				}
				if safe || allowed {
					assert.NoError(t, err, "%s, %s", url, name)
					assert.EqualValues(t, 1, sent.Load())
					continue
				}
				assert.ErrorContains(t, err, "InsecureHTTP", "%s, %s", url, name)
				assert.NotContains(t, err.Error(), "user:pw")
				assert.Zero(t, sent.Load(), "%s, %s", url, name)
			}
		}
	}
}

func TestRevocationInPlaintextIsRefused(t *testing.T) {
	onSwap(t, func(f *fixture) {
		var sent atomic.Int32
		m, _ := f.revocable(nil)
		m.Base = roundTripper(func(*http.Request) (*http.Response, error) {
			sent.Add(1)
			return reply(200, ""), nil
		})
		m.Config.(*revoker).act = func(ctx context.Context) error {
			resp, err := ctx.Value(oauth2.HTTPClient).(*http.Client).Get("http://provider.example/revoke")
			if err == nil {
				resp.Body.Close()
			}
			return err
		}
		require.ErrorContains(f, m.Disconnect(f.Context(), "k"), "InsecureHTTP")
		assert.Zero(f, sent.Load())
	})
}

// A proxy's redirect from https to http must not take the token along.
func TestRealDowngradeLosesTheToken(t *testing.T) {
	var token string
	plain := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { token = r.Header.Get("Authorization") }))
	defer plain.Close()
	secure := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusTemporaryRedirect))
	defer secure.Close()
	p := new(fakeProvider)
	m := &Manager{Config: p, Store: newMemory(), APIURLs: []string{secure.URL}, Base: secure.Client().Transport}
	require.NoError(t, m.Save(t.Context(), "k", p.login()))
	resp, err := m.Client("k").Get(secure.URL)
	require.NoError(t, err)
	resp.Body.Close()
	assert.Empty(t, token)
}
