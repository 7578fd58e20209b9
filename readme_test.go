package oauth2keep_test

//lint:file-ignore SA4006 README.md leaves out what a program does about an error

import (
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
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

// The program of README.md connects an account and calls the API, on a server that acts as the
// provider at the provider's own address.
func TestREADME(t *testing.T) {
	sandbox := endpointstest.New(t, endpoints.TaxRock)
	registered := sandbox.Config(endpoints.TaxRock, "https://example.com/callback")
	id, secret := registered.ClientID, registered.ClientSecret
	transport, mux := http.DefaultTransport, http.DefaultServeMux
	http.DefaultTransport, http.DefaultServeMux = sandbox.Client().Transport, http.NewServeMux()
	defer func() { http.DefaultTransport, http.DefaultServeMux = transport, mux }()
	storage := below(t.TempDir())
	require.NoError(t, os.MkdirAll(string(storage)+"/etc/myapp", 0o700))
	require.NoError(t, os.MkdirAll(string(storage)+"/var/lib/myapp", 0o700))
	storage.writeKey(t, "/etc/myapp/token.key")

	conf := endpoints.TaxRock.Config(oauth2.Config{
		ClientID: id, ClientSecret: secret, RedirectURL: "https://example.com/callback",
	})
	key, err := storage.ReadKeyFile("/etc/myapp/token.key")
	keys, err := storage.NewKeyset(key)
	dir, err := storage.OpenDir("/var/lib/myapp/tokens")
	manager := &tokensource.Manager{Config: conf, Store: storage.Encrypt(dir, keys)}
	flow := &pkce.Flow{Config: conf, Sealer: keys}

	http.HandleFunc("GET /connect", func(w http.ResponseWriter, r *http.Request) {
		s, err := flow.Begin(w, r, "taxrock/customer-42")
		if err != nil {
			t.Error(err)
			return
		}
		http.Redirect(w, r, s.URL, http.StatusFound)
	})
	http.Handle("/callback", flow.Callback(func(w http.ResponseWriter, r *http.Request, s *pkce.Session, t *oauth2.Token, err error) {
		if err == nil {
			err = manager.Save(r.Context(), s.Connection, t)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
	require.NoError(t, err)
	connect(t)

	resp, err := manager.Client("taxrock/customer-42").Get("https://delegate.api.taxrock.com/client-accounts")
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	require.NoError(t, manager.Flush(t.Context()))
}

// connect is a user who connects an account.
func connect(t *testing.T) {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	user := &http.Client{Jar: jar, Transport: site{}}
	callback, err := endpointstest.Approve(t.Context(), user, "https://example.com/connect")
	require.NoError(t, err)
	resp, err := user.Get(callback.String())
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

// site has http.DefaultServeMux at example.com, and elsewhere what http.DefaultTransport finds.
type site struct{}

func (site) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != "example.com" {
		return http.DefaultTransport.RoundTrip(r)
	}
	w := httptest.NewRecorder()
	r.Host, r.RequestURI = r.URL.Host, r.URL.RequestURI()
	http.DefaultServeMux.ServeHTTP(w, r)
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

// below has the functions of package storage that README.md calls, with paths below a directory.
type below string

func (dir below) ReadKeyFile(path string) ([]byte, error) {
	return storage.ReadKeyFile(string(dir) + path)
}

func (dir below) OpenDir(path string) (*storage.Dir, error) {
	return storage.OpenDir(string(dir) + path)
}

func (below) NewKeyset(key []byte) (*storage.Keyset, error) { return storage.NewKeyset(key) }

func (below) Encrypt(s storage.Store, k *storage.Keyset) *storage.Encrypted {
	return storage.Encrypt(s, k)
}

func (dir below) writeKey(t *testing.T, path string) {
	require.NoError(t, storage.WriteKeyFile(string(dir)+path, storage.NewKey()))
}

// What README.md says of a variable: the consent page is the shop's.
func TestREADMEShop(t *testing.T) {
	keys, err := storage.NewKeyset(storage.NewKey())
	require.NoError(t, err)
	conf := endpoints.Shopify.Config(oauth2.Config{ClientID: "id", ClientSecret: "secret", RedirectURL: "https://example.com/callback"})
	flow := &pkce.Flow{Config: conf, Sealer: keys}
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "https://example.com/connect", nil)

	s, err := flow.Begin(w, r, "shopify/tea-house", oauth2.SetAuthURLParam("shop", "tea-house.myshopify.com"))

	require.NoError(t, err)
	assert.Contains(t, s.URL, "https://tea-house.myshopify.com/admin/oauth/authorize?")
}
