package mcpauth_test

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/pkce"
	"github.com/oauth2keep/oauth2keep/pkce/loopback"
	"github.com/oauth2keep/oauth2keep/tokensource/mcpauth"
)

// inBrowser returns a handler whose user has a browser, and says yes or no there.
func inBrowser(t *testing.T, s *server) *mcpauth.Handler {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l.Close() // the port is free, most likely
	store, _ := newStore(t)
	h := handler(s.endpoint, store)
	h.Config.DynamicClientRegistrationConfig.Metadata.RedirectURIs = []string{"http://" + l.Addr().String() + "/callback"}
	h.Config.AuthorizationCodeFetcher = mcpauth.InBrowser(loopback.Login{
		Program: "test",
		Show:    func(loopback.Prompt) {},
		OpenBrowser: func(ctx context.Context, page string) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
			if err != nil {
				return err
			}
			resp, err := http.DefaultClient.Do(req) // follows the redirect to the program
			if err != nil {
				return err
			}
			return resp.Body.Close()
		},
	})
	return h
}

// The browser comes back with the code, the SDK's state and the issuer.
func TestInBrowser(t *testing.T) {
	as := newIssuer(t)
	h := inBrowser(t, newServer(t, as))
	require.NoError(t, call(h))
	as.end()
	require.NoError(t, call(h), "the port can be had again")
	assert.Equal(t, [4]int{2, 1, 1, 0}, four(as.counts()))
}

func TestInBrowserDenied(t *testing.T) {
	as := newIssuer(t)
	as.deny = true
	h := inBrowser(t, newServer(t, as))
	start := time.Now()
	require.ErrorIs(t, call(h), pkce.ErrDenied)
	assert.Less(t, time.Since(start), 10*time.Second)
}

// A redirect URL without a port would be another one than the SDK exchanges the code with.
func TestInBrowserNeedsAPort(t *testing.T) {
	h := inBrowser(t, newServer(t, newIssuer(t)))
	h.Config.DynamicClientRegistrationConfig.Metadata.RedirectURIs = []string{"http://127.0.0.1/callback"}
	require.ErrorContains(t, call(h), "needs a RedirectURL with a port")
}
