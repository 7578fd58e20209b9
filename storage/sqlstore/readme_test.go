package sqlstore_test

//lint:file-ignore SA4006 README.md leaves out what a program does about an error

import (
	"database/sql"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/accounttest"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

import _ "github.com/jackc/pgx/v5/stdlib" // the driver is yours to choose and import

// What README.md shows keeps a token in a database.
func TestREADME(t *testing.T) {
	account := accounttest.New(t)
	conf := account.Config
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
	account.RequireKept(t, manager, &tokensource.Manager{Config: conf, Store: manager.Store})
}
