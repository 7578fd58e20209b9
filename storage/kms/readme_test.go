package kms_test

import (
	"context"
	"log"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/kms"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// What README.md shows keeps a token in a directory, sealed with a key that a KMS has wrapped.
func TestREADME(t *testing.T) {
	sandbox := endpointstest.New(t, endpoints.GitHub)
	conf := sandbox.Provider(endpoints.GitHub).Config(sandbox.Config(endpoints.GitHub, "http://127.0.0.1/callback"))
	dir, err := storage.OpenDir(t.TempDir())
	require.NoError(t, err)
	defer dir.Close()
	ctx, k, path := context.Background(), localKMS(), filepath.Join(t.TempDir(), "token.keys")
	create := func() error {
		_, err := kms.File(path).Create(ctx, k, storage.NewKey())
		return err
	}
	require.NoError(t, create())

	file := kms.File(path) // such as /etc/myapp/token.keys
	keys, err := file.Open(ctx, k)
	if err != nil {
		log.Fatal(err)
	}
	manager := &tokensource.Manager{Config: conf, Store: storage.Encrypt(dir, keys)}

	require.NoError(t, manager.Save(ctx, "github/me", sandbox.Connect(endpoints.GitHub)))
	next := &tokensource.Manager{Config: conf, Store: manager.Store} // of another process
	resp, err := next.Client("github/me").Get(sandbox.Provider(endpoints.GitHub).APIURLs[0] + "/user")
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, http.StatusOK, resp.StatusCode)
}
