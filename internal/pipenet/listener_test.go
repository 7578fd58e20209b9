package pipenet_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/pipenet"
)

func echo(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host+r.URL.Path) }

func ask(t *testing.T, transport http.RoundTripper) {
	client := &http.Client{Transport: transport}
	for _, host := range []string{"a.example", "b.example:8443"} {
		for _, scheme := range []string{"http://", "https://"} {
			resp, err := client.Get(scheme + host + "/path")
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.NoError(t, resp.Body.Close())
			assert.Equal(t, host+"/path", string(body))
		}
	}
}

func TestServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // ends when all goroutines have
		ask(t, pipenet.Serve(t, http.HandlerFunc(echo)))
	})
}

// Handlers take it apart, as those that limit how often a client may ask.
func TestRemoteAddrIsAHostAndAPort(t *testing.T) {
	transport := pipenet.Serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for _, addr := range []string{r.RemoteAddr, r.Context().Value(http.LocalAddrContextKey).(net.Addr).String()} {
			host, _, err := net.SplitHostPort(addr)
			assert.NoError(t, err)
			assert.Equal(t, "127.0.0.1", host)
		}
	}))
	resp, err := (&http.Client{Transport: transport}).Get("https://a.example/")
	require.NoError(t, err)
	assert.NoError(t, resp.Body.Close())
}

func TestServerOutsideOfABubble(t *testing.T) {
	transport := pipenet.Serve(t, http.HandlerFunc(echo))
	synctest.Test(t, func(t *testing.T) {
		inside := &http.Transport{DialContext: transport.DialContext, DialTLSContext: transport.DialContext}
		defer inside.CloseIdleConnections()
		ask(t, inside)
	})
}

func TestNobodyWaitsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := pipenet.Listen()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := l.Dial(ctx, "tcp", "a.example:443")
		assert.ErrorIs(t, err, context.DeadlineExceeded)

		go func() {
			_, err := l.Accept()
			assert.ErrorIs(t, err, net.ErrClosed)
		}()
		time.Sleep(time.Minute)
		assert.NoError(t, l.Close())
		assert.NoError(t, l.Close(), "again")
		_, err = l.Dial(t.Context(), "tcp", "a.example:443")
		assert.ErrorIs(t, err, net.ErrClosed)
	})
}
