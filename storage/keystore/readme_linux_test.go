package keystore_test

import (
	"log"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/accounttest"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/keystore"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// What README.md shows keeps a token in a directory, sealed with a key in the keyring.
func TestREADME(t *testing.T) {
	keystore.StartSecretService(t)
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	account := accounttest.New(t)
	conf := account.Config
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
	again, err := keystore.App{Name: "myapp"}.Open(ctx) // in another process
	require.NoError(t, err)
	account.RequireKept(t, manager, &tokensource.Manager{Config: conf, Store: storage.Encrypt(dir, again)})
}
