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
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// failing is a store that takes no write from a certain one until a moment.
type failing struct {
	storage.Store
	writes, from int
	until        time.Time
}

func (f *failing) Put(ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	if f.writes++; f.writes >= f.from && time.Now().Before(f.until) {
		return "", errDown
	}
	return f.Store.Put(ctx, name, value, old)
}

// accepted is a listener that has accepted one connection.
type accepted struct {
	net.Listener
	conns chan net.Conn
}

func (l accepted) Accept() (net.Conn, error) {
	if c, ok := <-l.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l accepted) Close() error { close(l.conns); return nil }

type answers string

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	header := http.Header{"Content-Type": {"application/json"}}
	return &http.Response{StatusCode: http.StatusOK, Header: header, Body: io.NopCloser(strings.NewReader(string(a))), Request: r}, nil
}

// A request that hangs takes up all the time that requests have, and a token is saved all the
// same when the store is there again.
func TestCloseSavesTokensAfterARequestThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, err := storage.NewKeyset(storage.NewKey())
		require.NoError(t, err)
		memory := new(storage.Memory)
		store := &failing{Store: memory, from: 3, // a login, and a refresh that has begun
			until: time.Now().Add(requestTimeout + flushTimeout*4/5)}
		config := endpoints.TaxRock.Config(oauth2.Config{ClientID: "id", ClientSecret: "secret", RedirectURL: "https://app.example/callback"})
		manager := &tokensource.Manager{
			Config: config, Store: storage.Encrypt(store, keys),
			Base: answers(`{"access_token": "new", "refresh_token": "next", "token_type": "Bearer", "expires_in": 3600}`),
		}
		old := &oauth2.Token{AccessToken: "old", RefreshToken: "first", Expiry: time.Now().Add(-time.Hour)}
		require.NoError(t, manager.Save(t.Context(), "taxrock/alice", old))

		l := accepted{conns: make(chan net.Conn, 1)}
		user, conn := net.Pipe()
		l.conns <- conn
		hangs := make(chan struct{})
		a := &application{
			server:    &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hangs })},
			providers: []*provider{{offer: offer{id: "taxrock"}, manager: manager}},
		}
		go a.server.Serve(l)
		go io.WriteString(user, "GET / HTTP/1.1\r\nHost: app.example\r\n\r\n")
		go manager.Source("taxrock/alice").TokenContext(t.Context())
		synctest.Wait()

		err = a.close(t.Context())
		assert.ErrorIs(t, err, context.DeadlineExceeded, "the request is given up")
		assert.NotContains(t, err.Error(), "taxrock")
		close(hangs)
		user.Close()
		later := &tokensource.Manager{Config: config, Store: storage.Encrypt(memory, keys)}
		token, err := later.Source("taxrock/alice").Stored(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "new", token.AccessToken)
	})
}
