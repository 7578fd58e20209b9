package natsstore_test

import (
	"log"
	"os"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/accounttest"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/natsstore"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// What README.md shows keeps a token on a server with README's configuration.
func TestREADME(t *testing.T) {
	account := accounttest.New(t)
	conf := account.Config
	keys, err := storage.NewKeyset(storage.NewKey())
	require.NoError(t, err)
	connection, err := nats.Connect("nats://" + start(t, documented(t)).addr)
	require.NoError(t, err)
	defer connection.Close()
	var said strings.Builder
	log.SetOutput(&said)
	defer log.SetOutput(os.Stderr)

	js, err := jetstream.New(connection)
	require.NoError(t, err)
	_, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: "oauth2keep"})
	require.NoError(t, err)
	store := &natsstore.Store{JetStream: js}
	if err := store.Check(ctx); err != nil {
		log.Print(err) // settings of the bucket under which records can be lost
	}
	manager := &tokensource.Manager{Config: conf, Store: storage.Encrypt(store, keys)}

	assert.Empty(t, said.String())
	account.RequireKept(t, manager, &tokensource.Manager{Config: conf, Store: manager.Store})
}

// documented returns README's configuration, with a place for the directory of a server's data.
func documented(t *testing.T) string {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, config, _ := strings.Cut(string(readme), "```conf\nmax_payload")
	config, _, found := strings.Cut("max_payload"+config, "```")
	require.True(t, found)
	assert.Equal(t, durable, strings.Replace(config, "{ sync_interval: always }", "{store_dir: %q, sync_interval: always}", 1))
	return durable
}
