package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
)

// openKeys reads the key in the directory. The first time, it makes directory and key.
func openKeys(dir string) (*storage.Keyset, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "token.key")
	if err := storage.WriteKeyFile(file, storage.NewKey()); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	key, err := storage.ReadKeyFile(file)
	if err != nil {
		return nil, err
	}
	return storage.NewKeyset(key)
}

// database is the application's own: its sessions, its index of connections, and the
// table of tokens.
type database struct {
	*sql.DB
	prefix string // of the tables' names
	tokens *sqlstore.Store
}

// openDatabase opens SQLite in s.data, or PostgreSQL, and makes the tables that aren't there.
// The sandbox has tables of its own, which are emptied at each start: it knows nothing of
// what an earlier sandbox has issued.
func openDatabase(ctx context.Context, s settings) (*database, error) {
	d, dialect := &database{prefix: "webapp_"}, sqlstore.SQLite
	if s.providers == "" {
		d.prefix = "webapp_sandbox_"
	}
	var err error
	if s.postgres != "" {
		dialect = sqlstore.PostgreSQL
		if d.DB, err = sql.Open("pgx", s.postgres); err != nil {
			return nil, err
		}
	} else if d.DB, err = sqlstore.OpenSQLite(ctx, filepath.Join(s.data, "webapp.db")); err != nil {
		return nil, err
	}
	if err := d.migrate(ctx, dialect, s.providers == ""); err != nil {
		d.Close()
		return nil, fmt.Errorf("the database: %w", err)
	}
	return d, nil
}

// schema makes the application's own tables. Both databases read it; %s is the prefix.
var schema = []string{
	`CREATE TABLE IF NOT EXISTS %ssessions (
		id_hash TEXT PRIMARY KEY,
		user_id TEXT NOT NULL,
		expires BIGINT NOT NULL)`,
	`CREATE TABLE IF NOT EXISTS %sconnections (
		name  TEXT PRIMARY KEY,
		owner TEXT NOT NULL,
		grp   TEXT NOT NULL)`,
	`CREATE INDEX IF NOT EXISTS %[1]sconnections_owner ON %[1]sconnections (owner, name)`,
	`CREATE INDEX IF NOT EXISTS %[1]sconnections_grp ON %[1]sconnections (grp, name)`,
}

func (d *database) migrate(ctx context.Context, dialect sqlstore.Dialect, empty bool) (err error) {
	if d.tokens, err = sqlstore.New(d.DB, dialect, sqlstore.Options{Table: d.prefix + "tokens"}); err != nil {
		return err
	}
	if err := d.tokens.CreateTable(ctx); err != nil {
		return err
	}
	// Rows are deleted in a transaction of their own: the one that makes an index locks the table,
	// and two processes that start at once would wait for each other.
	if err := d.execute(ctx, schema); err != nil || !empty {
		return err
	}
	return d.execute(ctx, []string{`DELETE FROM %stokens`, `DELETE FROM %ssessions`, `DELETE FROM %sconnections`})
}

// execute executes statements in one transaction.
func (d *database) execute(ctx context.Context, statements []string) error {
	tx, err := d.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, fmt.Sprintf(statement, d.prefix)); err != nil {
			return err
		}
	}
	return tx.Commit()
}
