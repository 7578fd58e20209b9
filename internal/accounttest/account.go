// Package accounttest has an account for tests of what the modules' READMEs show.
package accounttest

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// Account is one at a server that acts as GitHub.
type Account struct {
	Config *endpoints.Config
	server *endpointstest.Server
}

// New returns an account that isn't connected yet.
func New(t testing.TB) *Account {
	server := endpointstest.New(t, endpoints.GitHub)
	conf := server.Provider(endpoints.GitHub).Config(server.Config(endpoints.GitHub, "http://127.0.0.1/callback"))
	return &Account{conf, server}
}

// RequireKept connects the account, saves its token with one Manager, and calls the API with
// another, which stands for that of another process.
func (a *Account) RequireKept(t testing.TB, manager, other *tokensource.Manager) {
	t.Helper()
	require.NoError(t, manager.Save(t.Context(), "github/me", a.server.Connect(endpoints.GitHub)))
	resp, err := other.Client("github/me").Get(a.server.Provider(endpoints.GitHub).APIURLs[0] + "/user")
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, http.StatusOK, resp.StatusCode)
}
