package sqlstore_test

//lint:file-ignore SA4006 README.md leaves out what a program does about an error

import (
	"database/sql"
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

import _ "github.com/jackc/pgx/v5/stdlib" // the driver is yours to choose and import

// What README.md shows keeps a token in a database.
func TestREADME(t *testing.T) {
	sandbox := endpointstest.New(t, endpoints.GitHub)
	conf := sandbox.Provider(endpoints.GitHub).Config(sandbox.Config(endpoints.GitHub, "http://127.0.0.1/callback"))
	keys, err := storage.NewKeyset(storage.NewKey())
	require.NoError(t, err)
	t.Setenv("DATABASE_URL", postgres.target(t).source)

	db, err := sql.Open("pgx", os.Getenv("DATABASE_URL"))
	table, err := sqlstore.New(db, sqlstore.PostgreSQL, sqlstore.Options{})
	err = table.CreateTable(ctx) // or apply table.Schema() with your migrations
	manager := &tokensource.Manager{Config: conf, Store: storage.Encrypt(table, keys)}

	require.NoError(t, err)
	defer db.Close()
	defer db.Exec("DROP TABLE oauth2keep")
	require.NoError(t, manager.Save(ctx, "github/me", sandbox.Connect(endpoints.GitHub)))
	next := &tokensource.Manager{Config: conf, Store: manager.Store} // of another process
	resp, err := next.Client("github/me").Get(sandbox.Provider(endpoints.GitHub).APIURLs[0] + "/user")
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, http.StatusOK, resp.StatusCode)
}
