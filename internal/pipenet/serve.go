package pipenet

import (
	"net/http"
	"sync"
	"testing"
)

// Serve serves h until the test is over. The transport that it returns leads every request
// there, whatever its host is, and those by https without TLS.
func Serve(t testing.TB, h http.Handler) *http.Transport {
	l := Listen()
	server := &http.Server{Handler: h}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	transport := &http.Transport{DialContext: l.Dial, DialTLSContext: l.Dial}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Close()
		serving.Wait()
	})
	return transport
}
