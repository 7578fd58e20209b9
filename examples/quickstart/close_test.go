package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/internal/testenv"
)

// slow is a provider that takes its time to refresh a token.
type slow time.Duration

func (d slow) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(time.Duration(d))
	body := `{"access_token": "new", "refresh_token": "next", "token_type": "Bearer", "expires_in": 3600}`
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// accepted is a listener that has accepted one connection.
type accepted struct {
	net.Listener
	conns chan net.Conn
}

func (l accepted) Accept() (net.Conn, error) {
	c, ok := <-l.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (l accepted) Close() error { close(l.conns); return nil }

// A request that hangs takes up all the time that requests have, and the token that is being
// refreshed meanwhile is saved all the same.
func TestCloseSavesTokensAfterARequestThatHangs(t *testing.T) {
	dir := testenv.DirInMemory(t)
	synctest.Test(t, func(t *testing.T) {
		app, err := openApplication(dir)
		require.NoError(t, err)
		config := endpoints.TaxRock.Config(oauth2.Config{ClientID: "id", ClientSecret: "secret", RedirectURL: "https://app.example/callback"})
		app.add("taxrock", config, "/callback")
		manager := app.managers["taxrock"]
		manager.Base = slow(15 * time.Second)
		old := &oauth2.Token{AccessToken: "old", RefreshToken: "first", Expiry: time.Now().Add(-time.Hour)}
		require.NoError(t, manager.Save(t.Context(), alice("taxrock"), old))

		l := accepted{conns: make(chan net.Conn, 1)}
		user, conn := net.Pipe()
		l.conns <- conn
		hangs := make(chan struct{})
		app.server = &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hangs })}
		go app.server.Serve(l)
		go io.WriteString(user, "GET / HTTP/1.1\r\nHost: app.example\r\n\r\n")
		go manager.Source(alice("taxrock")).TokenContext(t.Context())
		synctest.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err = app.close(ctx)
		assert.ErrorIs(t, err, context.DeadlineExceeded, "the request is given up")
		assert.NotContains(t, err.Error(), "tokensource")
		close(hangs)
		user.Close()

		app, err = openApplication(dir)
		require.NoError(t, err)
		app.add("taxrock", config, "/callback")
		token, err := app.managers["taxrock"].Source(alice("taxrock")).Stored(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "new", token.AccessToken)
		require.NoError(t, app.close(t.Context()))
	})
}
