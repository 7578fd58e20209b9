package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/internal/testenv"
)

// TestRealProviders has a sandbox stand in for the real providers. What was connected is
// there after a restart.
func TestRealProviders(t *testing.T) {
	server := endpointstest.New(t, offers[0].provider, offers[3].provider)
	actual := offers
	t.Cleanup(func() { offers = actual })
	offers = slices.Clone(offers)
	for i, name := range map[int]string{0: "FINCH", 3: "ZENDESK"} {
		client := server.Config(offers[i].provider, "")
		offers[i].provider = server.Provider(offers[i].provider)
		t.Setenv(name+"_CLIENT_ID", client.ClientID)
		t.Setenv(name+"_CLIENT_SECRET", client.ClientSecret)
	}
	data := filepath.Join(testenv.DirInMemory(t), "data")
	change := func(s *settings) { s.data, s.providers = data, "finch,zendesk" }
	t.Run("first", func(t *testing.T) {
		app := start(t, change)
		for _, o := range []offer{offers[0], offers[3]} {
			server.Config(o.provider, app.URL+"/callback/"+o.id) // registers the redirect URL
		}
		b := app.user(t, "alice")
		p := b.connect("finch")
		assert.Contains(t, p.body, `data-name="finch/alice" data-state="healthy"`)
		p = b.connect("zendesk", "account", "tea-house")
		assert.Contains(t, p.body, `data-name="zendesk/alice/tea-house" data-state="healthy"`)
		assert.Equal(t, http.StatusNotFound, b.get("/sandbox").status)
		assert.Equal(t, http.StatusNotFound, b.post("/embedded/finch").status)
		assert.False(t, p.has("embed-finch"))
		assert.Equal(t, http.StatusNotFound, b.post("/sandbox/end").status)
		assert.NotContains(t, p.body, "sandbox")
		assert.NotContains(t, p.header.Get("Content-Security-Policy"), "127.0.0.1")
	})
	t.Run("with one of the two", func(t *testing.T) {
		app := start(t, func(s *settings) { change(s); s.providers = "finch" })
		app.index.walk(t.Context(), app.store)
		p := app.user(t, "alice").get("/connections")
		assert.Contains(t, p.body, `data-name="finch/alice" data-state="healthy"`)
		assert.NotContains(t, p.body, "zendesk")
	})
	t.Run("restarted", func(t *testing.T) {
		app := start(t, change)
		var rows int
		require.NoError(t, app.database.QueryRow("SELECT COUNT(*) FROM webapp_connections").Scan(&rows))
		assert.Equal(t, 2, rows, "a process leaves alone what it doesn't know")
		b := app.user(t, "alice")
		assert.Equal(t, "200 OK", b.post("/call/finch/alice").text("answer-status"))
		assert.Equal(t, "200 OK", b.post("/call/zendesk/alice/tea-house").text("answer-status"))
	})
}

func TestSettingsThatCanNotBe(t *testing.T) {
	t.Setenv("FINCH_CLIENT_ID", "")
	for want, s := range map[string]settings{
		"-provider nobody isn't known; there are finch, chart, taxrock, zendesk": {providers: "nobody"},
		"set FINCH_CLIENT_ID and FINCH_CLIENT_SECRET in the environment":         {providers: "finch"},
		"-listen must be an address of the loopback":                             {providers: "finch", listen: "0.0.0.0:0"},
		"-url must be an origin":                                                 {url: "https://example.com/path"},
		"the database: ":                                                         {postgres: "postgres://user:pass word@[nonsense"},
		"-cert and -key":                                                         {cert: "missing.pem"},
		"say with -data":                                                         {providers: "finch", data: "-"},
		"choose another address with -listen":                                    {listen: "256.0.0.1:0"},
	} {
		if s.listen == "" {
			s.listen = "127.0.0.1:0"
		}
		switch s.data {
		case "-":
			s.data = ""
		default:
			s.data = testenv.DirInMemory(t)
		}
		err := run(t.Context(), s, io.Discard)
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "pass word")
	}
}

// The program ends when it is told to, and leaves nothing behind that it has made for itself.
func TestRun(t *testing.T) {
	t.Setenv("TMPDIR", testenv.DirInMemory(t))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, settings{listen: "127.0.0.1:0"}, in) }()
	var url string
	_, err := fmt.Fscanln(out, &url)
	require.NoError(t, err)
	resp, err := http.Get(url + "/login")
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	cancel()
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(20 * time.Second):
		t.Fatal("it doesn't end")
	}
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "webapp*"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

// With https, cookies are Secure and have the prefix by which browsers keep others from
// planting them.
func TestHTTPS(t *testing.T) {
	cert, key, roots := certificate(t)
	app := start(t, func(s *settings) { s.cert, s.key = cert, key })
	b := app.browser(t)
	b.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: roots}
	set := make(map[string]*http.Cookie)
	b.client.CheckRedirect = func(next *http.Request, _ []*http.Request) error {
		for _, c := range next.Response.Cookies() {
			set[c.Name[:min(len(c.Name), 18)]] = c
		}
		return nil
	}
	b.post("/login", "user", "alice")
	p := b.connect("taxrock")
	assert.Equal(t, "The account is connected.", p.text("notice"))
	assert.NotEmpty(t, p.header.Get("Strict-Transport-Security"))
	for _, name := range []string{"__Host-session", "__Host-oauth2keep-"} {
		require.NotNil(t, set[name], name)
		assert.True(t, set[name].Secure && set[name].HttpOnly && set[name].Path == "/" && set[name].Domain == "", name)
	}
}

// certificate makes one for 127.0.0.1 that nobody but the test trusts.
func certificate(t *testing.T) (certFile, keyFile string, roots *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir := testenv.DirInMemory(t)
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	roots = x509.NewCertPool()
	roots.AddCert(parsed)
	return certFile, keyFile, roots
}
