package clienttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// network is what Worlds have that come one after the other. Its connections stay open: they
// are what takes most of the time.
type network struct {
	here, there, elsewhere *address
	roots                  *x509.CertPool // of all addresses
	outside                *http.Transport
	lanes                  *lanes // over outside
}

func newNetwork(t *testing.T) *network {
	n := &network{roots: x509.NewCertPool(), outside: http.DefaultTransport.(*http.Transport).Clone()}
	n.roots.AddCert(certificate().Leaf)
	n.outside.MaxIdleConnsPerHost = 32
	n.outside.TLSClientConfig = &tls.Config{RootCAs: n.roots, CurvePreferences: []tls.CurveID{tls.X25519}} // the quickest
	t.Cleanup(n.outside.CloseIdleConnections)
	n.here, n.there, n.elsewhere = newAddress(t), newAddress(t), newAddress(t)
	var stop func()
	n.lanes, stop = newLanes(256, n.outside)
	t.Cleanup(stop)
	return n
}

// address is an HTTPS server that is one Site after another.
type address struct {
	url  string
	tls  *tls.Config
	site atomic.Pointer[http.Handler]
}

func newAddress(t *testing.T) *address {
	a := &address{tls: &tls.Config{Certificates: []tls.Certificate{certificate()}}}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*a.site.Load()).ServeHTTP(w, r) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // a call that is given up
	a.url = "https://" + server.Listener.Addr().String()
	server.Listener = tls.NewListener(server.Listener, a.tls) // StartTLS reads a certificate of its own
	server.Start()
	t.Cleanup(server.Close)
	return a
}

// become makes a Site of the address, in place of the one before.
func (a *address) become(h http.Handler) *Site {
	s := &Site{URL: a.url, TLS: a.tls}
	h = s.recording(h)
	a.site.Store(&h)
	return s
}

// certificate is that of all addresses. httptest's is of RSA, and takes most of the time of a
// handshake.
var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
})
