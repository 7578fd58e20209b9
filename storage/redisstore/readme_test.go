package redisstore_test

import (
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/accounttest"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/redisstore"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// What README.md shows keeps a token on a server with README's configuration.
func TestREADME(t *testing.T) {
	account := accounttest.New(t)
	conf := account.Config
	keys, err := storage.NewKeyset(storage.NewKey())
	require.NoError(t, err)
	address := start(t, "--include", documented(t)).addr
	var said strings.Builder
	log.SetOutput(&said)
	defer log.SetOutput(os.Stderr)

	client := redis.NewClient(&redis.Options{Addr: address})
	store := &redisstore.Store{Client: client}
	if err := store.Check(ctx); err != nil {
		log.Print(err) // settings under which Redis forgets what it acknowledged
	}
	manager := &tokensource.Manager{Config: conf, Store: storage.Encrypt(store, keys)}

	defer client.Close()
	assert.Empty(t, said.String())
	account.RequireKept(t, manager, &tokensource.Manager{Config: conf, Store: manager.Store})
}

// documented writes README's configuration into a file, and returns its path.
func documented(t *testing.T) string {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, config, _ := strings.Cut(string(readme), "```conf\n")
	config, _, found := strings.Cut(config, "```")
	require.True(t, found)
	path := filepath.Join(t.TempDir(), "redis.conf")
	require.NoError(t, os.WriteFile(path, []byte(config), 0o600))
	return path
}
