package tokensource

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// localFaults are errors by which a request never left the machine.
var localFaults = map[string]error{
	"no network":          &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ENETUNREACH},
	"no one listens":      &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED},
	"no name":             &net.DNSError{Err: "no such host", Name: "provider.test", IsNotFound: true},
	"no name server":      &net.OpError{Op: "dial", Err: &net.DNSError{Err: "timeout", IsTimeout: true}},
	"unknown certificate": &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}},
}

func TestFaultOfThisMachinesNetworkBindsNobodyElseAndItselfForSeconds(t *testing.T) {
	t.Parallel() // beside TestProcesses, which waits
	for name, fault := range localFaults {
		t.Run(name, func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				offline := true
				m := f.processWith(func(ctx context.Context, refresh string) (*oauth2.Token, error) {
					if offline {
						return nil, &url.Error{Op: "Post", URL: testIssuer, Err: fault}
					}
					return f.refresh(ctx, refresh)
				})
				require.NoError(f, m.Save(f.Context(), "k", f.login()))
				time.Sleep(time.Hour)
				for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Second) {
					_, err := m.Source("k").Token()
					require.True(f, isReason(err, ReasonUnavailable), "%v", err)
					stored := f.stored()
					require.Nil(f, stored.Failure)
					require.Nil(f, stored.Attempt)
				}
				assert.False(f, f.stored().MayBeSpent)
				offline = false
				back := time.Now()
				for {
					if _, err := m.Source("k").Token(); err == nil {
						break
					}
					require.Less(f, time.Since(back), maxOffline+recheck)
					time.Sleep(time.Second)
				}
				assert.Equal(f, 1, f.count())

				offline = true
				time.Sleep(time.Hour)
				_, err := m.Source("k").Token()
				require.Error(f, err)
				r := <-later(f.process().Source("k").Token)
				require.NoError(f, r.err)
				assert.Less(f, r.took, time.Second, "it has a network")
			})
		})
	}
}

func TestFaultBeforeARequestIsWrittenIsKnownOnARealConnection(t *testing.T) {
	quiet := log.New(io.Discard, "", 0)
	unknown := httptest.NewUnstartedServer(nil)
	unknown.Config.ErrorLog = quiet
	unknown.StartTLS()
	defer unknown.Close()
	plain := httptest.NewServer(nil)
	defer plain.Close()
	cut, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer cut.Close()
	go func() {
		for {
			c, err := cut.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	for name, tokenURL := range map[string]string{
		"the certificate is unknown":     unknown.URL,
		"what listens speaks no TLS":     "https" + plain.URL[len("http"):],
		"the TLS handshake is cut short": "https://" + cut.Addr().String(),
	} {
		m := &Manager{Config: &oauth2.Config{Endpoint: oauth2.Endpoint{TokenURL: tokenURL, AuthStyle: oauth2.AuthStyleInParams}}, RefreshTimeout: 10 * time.Second}
		fl := &flight{m: m, carried: t.Context()}
		_, o, err := fl.send(&record{RefreshToken: "secret-refresh"})
		require.Error(t, err, name)
		assert.True(t, o.neverLeft, "%s: %v", name, err)
		assert.False(t, o.answerLost || o.mayBeSpent, name)
		assert.Equal(t, ReasonUnavailable, o.reason, name)
	}
}

// What net/http says of a proxy's answer is the proxy's own text.
func TestProxyThatRefusesTheWayToTheProviderIsTold(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusProxyAuthRequired)
	}))
	defer proxy.Close()
	at, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	conf := &oauth2.Config{ClientID: testClient, Endpoint: oauth2.Endpoint{TokenURL: "https://provider.example/token", AuthStyle: oauth2.AuthStyleInParams}}
	m := &Manager{Config: conf, Store: newMemory(), Base: &http.Transport{Proxy: http.ProxyURL(at)}}
	require.NoError(t, m.Save(t.Context(), "k", &oauth2.Token{RefreshToken: "secret-refresh"}))
	_, err = m.Source("k").Token()
	require.ErrorContains(t, err, "the provider is unavailable: no connection to it could be made, perhaps because of a proxy")
	assert.NotContains(t, err.Error(), "Authentication")
}
