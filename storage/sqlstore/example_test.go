package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
)

// What a program does at its start. With PostgreSQL or MySQL, the database comes from
// sql.Open, and the rest is the same. Give the result to tokensource.Manager.
func Example() {
	home, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(home)

	ctx := context.Background()
	db, err := sqlstore.OpenSQLite(ctx, filepath.Join(home, "app.db"))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	table, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if err := table.CreateTable(ctx); err != nil {
		log.Fatal(err)
	}
	keys, err := storage.NewKeyset(storage.NewKey()) // in a program: storage.ReadKeyFile
	if err != nil {
		log.Fatal(err)
	}
	store := storage.Encrypt(table, keys)

	version, err := store.Put(ctx, "account 1", []byte("a secret"), "")
	if err != nil {
		log.Fatal(err)
	}
	_, err = store.Put(ctx, "account 1", []byte("someone else's"), "")
	fmt.Println(err)
	value, found, err := store.Get(ctx, "account 1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s, same version: %t\n", value, found == version)
	// Output:
	// storage: the record was changed by someone else
	// a secret, same version: true
}

// For a tool that migrates databases.
func ExampleStore_Schema() {
	db, err := sql.Open("pgx", "postgres://app@localhost/app") // doesn't connect yet
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	table, err := sqlstore.New(db, sqlstore.PostgreSQL, sqlstore.Options{Table: "app.tokens"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(table.Schema())
	// Output:
	// CREATE TABLE IF NOT EXISTS "app"."tokens" (
	// 	name_hash bytea PRIMARY KEY,
	// 	version   bytea NOT NULL,
	// 	name      bytea NOT NULL,
	// 	value     bytea NOT NULL
	// )
}
