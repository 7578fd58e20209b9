//go:build unix

package docs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
)

// newSandbox starts a server that acts as GitHub and Finch, and returns the environment of a
// program that finds it at their own addresses, by a proxy, and has a user with a browser.
func newSandbox(t *testing.T, scratch string) []string {
	server := endpointstest.New(t, endpoints.GitHub, endpoints.Finch)
	certificate, trusted := certificateFor(t, hosts(t, endpoints.GitHub, endpoints.Finch))
	providers := httptest.NewUnstartedServer(&httputil.ReverseProxy{
		Transport: server.Client().Transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "https", r.In.Host },
	})
	providers.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	providers.StartTLS()
	t.Cleanup(providers.Close)
	proxy := httptest.NewServer(tunnel(providers.Listener.Addr().String()))
	t.Cleanup(proxy.Close)

	authorities, browser := filepath.Join(scratch, "authorities.pem"), filepath.Join(scratch, "browser")
	require.NoError(t, os.WriteFile(authorities, trusted, 0o600))
	program, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(browser, fmt.Appendf(nil, "#!/bin/sh\nOAUTH2KEEP_PAGE=$1 exec %s -test.run '^TestBrowser$'\n", program), 0o700))
	github, finch := server.Config(endpoints.GitHub, "http://127.0.0.1/callback"), server.Config(endpoints.Finch, "http://127.0.0.1/callback")
	return []string{
		"HTTPS_PROXY=" + proxy.URL, "https_proxy=" + proxy.URL,
		"SSL_CERT_FILE=" + authorities, "CURL_CA_BUNDLE=" + authorities,
		"BROWSER=" + browser, "OAUTH2KEEP_KEYS=no-keyring",
		"GITHUB_ID=" + github.ClientID, "GITHUB_SECRET=" + github.ClientSecret,
		"FINCH_ID=" + finch.ClientID, "FINCH_SECRET=" + finch.ClientSecret,
	}
}

// TestBrowser is the browser of a program that TestCommands runs. Its user approves.
func TestBrowser(t *testing.T) {
	page := os.Getenv("OAUTH2KEEP_PAGE")
	if page == "" {
		t.Skip("TestCommands runs it")
	}
	end, err := endpointstest.Approve(t.Context(), nil, page)
	require.NoError(t, err)
	resp, err := http.Get(end.String())
	require.NoError(t, err)
	resp.Body.Close()
}

// tunnel is a proxy that leads all connections to one address.
func tunnel(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			http.Error(w, "only https is served", http.StatusForbidden)
			return
		}
		server, err := net.Dial("tcp", to)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer server.Close()
		client, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer client.Close()
		io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			io.Copy(server, client)
			server.Close()
		}()
		io.Copy(client, server)
	}
}

func hosts(t *testing.T, providers ...endpoints.Provider) []string {
	var names []string
	for _, p := range providers {
		for _, each := range append([]string{p.Endpoint.AuthURL, p.Endpoint.TokenURL}, p.APIURLs...) {
			u, err := url.Parse(each)
			require.NoError(t, err)
			names = append(names, u.Hostname())
		}
	}
	return names
}

// certificateFor makes a certificate of its own authority, and returns that as PEM.
func certificateFor(t *testing.T, hosts []string) (tls.Certificate, []byte) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sandbox"}, DNSNames: hosts, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
