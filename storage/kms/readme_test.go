package kms_test

import (
	"context"
	"log"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/accounttest"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/kms"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// What README.md shows keeps a token in a directory, sealed with a key that a KMS has wrapped.
func TestREADME(t *testing.T) {
	account := accounttest.New(t)
	conf := account.Config
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

	account.RequireKept(t, manager, &tokensource.Manager{Config: conf, Store: manager.Store})
}
