package keystore_test

import (
	"log"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/keystore"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// What README.md shows keeps a token in a directory, sealed with a key in the keyring.
func TestREADME(t *testing.T) {
	keystore.StartSecretService(t)
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	sandbox := endpointstest.New(t, endpoints.GitHub)
	conf := sandbox.Provider(endpoints.GitHub).Config(sandbox.Config(endpoints.GitHub, "http://127.0.0.1/callback"))
	ctx, tokenDir := t.Context(), t.TempDir()

	keys, err := keystore.App{Name: "myapp"}.Open(ctx) // makes the key at the first call
	if err != nil {
		log.Fatal(err) // says what to do
	}
	dir, err := storage.OpenDir(tokenDir)
	if err != nil {
		log.Fatal(err)
	}
	manager := &tokensource.Manager{Config: conf, Store: storage.Encrypt(dir, keys)}

	defer dir.Close()
	require.NoError(t, manager.Save(ctx, "github/me", sandbox.Connect(endpoints.GitHub)))
	again, err := keystore.App{Name: "myapp"}.Open(ctx) // in another process
	require.NoError(t, err)
	next := &tokensource.Manager{Config: conf, Store: storage.Encrypt(dir, again)}
	resp, err := next.Client("github/me").Get(sandbox.Provider(endpoints.GitHub).APIURLs[0] + "/user")
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, http.StatusOK, resp.StatusCode)
}
