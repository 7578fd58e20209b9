package sqlstore_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
)

func TestNewRefusesWhatCannotWork(t *testing.T) {
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "db"))
	require.NoError(t, err)
	defer db.Close()
	for _, table := range []string{"a b", "a.b.c", ".a", "a.", `a"`, "a`", "1a", "é", "a;", "a-b", strings.Repeat("a", 64), "a\n"} {
		_, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Options{Table: table})
		require.ErrorContains(t, err, "sqlstore: ", table)
	}
	_, err = sqlstore.New(nil, sqlstore.SQLite, sqlstore.Options{})
	require.ErrorContains(t, err, "sqlstore: New needs a *sql.DB")
	for _, d := range []sqlstore.Dialect{0, -1, 4} {
		_, err = sqlstore.New(db, d, sqlstore.Options{})
		require.ErrorContains(t, err, "use PostgreSQL, MySQL or SQLite")
	}
}

// TestSchema pins the tables, because they outlive the program that made them.
func TestSchema(t *testing.T) {
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "db"))
	require.NoError(t, err)
	defer db.Close()
	for d, want := range map[sqlstore.Dialect]string{
		sqlstore.PostgreSQL: "CREATE TABLE IF NOT EXISTS \"app\".\"oauth2keep\" (\n\tname_hash bytea PRIMARY KEY,\n\tversion   bytea NOT NULL,\n\tname      bytea NOT NULL,\n\tvalue     bytea NOT NULL\n)",
		sqlstore.MySQL:      "CREATE TABLE IF NOT EXISTS `app`.`oauth2keep` (\n\tname_hash BINARY(32) NOT NULL PRIMARY KEY,\n\tversion   BINARY(16) NOT NULL,\n\tname      LONGBLOB   NOT NULL,\n\tvalue     LONGBLOB   NOT NULL\n) ENGINE=InnoDB",
		sqlstore.SQLite:     "CREATE TABLE IF NOT EXISTS \"app\".\"oauth2keep\" (\n\tname_hash BLOB NOT NULL PRIMARY KEY,\n\tversion   BLOB NOT NULL,\n\tname      BLOB NOT NULL,\n\tvalue     BLOB NOT NULL\n) STRICT",
	} {
		s, err := sqlstore.New(db, d, sqlstore.Options{Table: "app.oauth2keep"})
		require.NoError(t, err)
		require.Equal(t, want, s.Schema())
	}
}

// TestRow writes and reads a row by hand, as it is documented.
func TestRow(t *testing.T) {
	onEach(t, func(t *testing.T, to target) {
		s, db := to.store(t, 0), to.pool(t, 0)
		version := []byte("\xab\xcd\xef3456789abcdef")
		insertRow(t, db, to, hashOf("account 1"), version, "account 1", "by hand")

		value, v, err := s.Get(ctx, "account 1")
		require.NoError(t, err)
		require.Equal(t, "by hand", string(value))
		require.Equal(t, storage.Version("abcdef33343536373839616263646566"), v)
		_, err = s.Put(ctx, "account 1", nil, storage.Version(strings.ToUpper(string(v))))
		require.Equal(t, storage.ErrConflict, err, "a version that is only alike")

		v = mustPut(t, s, "account 1", "by the store", v)
		var name, got []byte
		require.NoError(t, db.QueryRow("SELECT version, name, value FROM "+to.table).Scan(&version, &name, &got))
		require.Equal(t, string(v), hex.EncodeToString(version))
		require.Equal(t, "account 1", string(name))
		require.Equal(t, "by the store", string(got))
	})
}

func hashOf(name string) []byte {
	hash := sha256.Sum256([]byte(name))
	return hash[:]
}

// insertOf is the statement that inserts a row by hand.
func insertOf(to target) string {
	holders := "?, ?, ?, ?"
	if to.dialect == sqlstore.PostgreSQL {
		holders = "$1, $2, $3, $4"
	}
	return "INSERT INTO " + to.table + " (name_hash, version, name, value) VALUES (" + holders + ")"
}

type execer interface {
	Exec(query string, args ...any) (sql.Result, error)
}

func insertRow(t testing.TB, db execer, to target, hash, version []byte, name, value string) {
	t.Helper()
	_, err := db.Exec(insertOf(to), hash, version, []byte(name), []byte(value))
	require.NoError(t, err)
}

// TestCreateTable is called by many at once, then by a user who may not create.
func TestCreateTable(t *testing.T) {
	onEach(t, func(t *testing.T, to target) {
		for round := range 2 {
			to := to
			to.table = fmt.Sprintf("created_%s_%d", to.table, round)
			var wg sync.WaitGroup
			errs := make([]error, 6)
			for i := range errs {
				s := to.store(t, 0)
				wg.Go(func() { errs[i] = s.CreateTable(ctx) })
			}
			wg.Wait()
			require.NoError(t, errors.Join(errs...))
			db := to.pool(t, 0)
			_, err := db.Exec("DROP TABLE " + to.table)
			require.NoError(t, err)

			// And without the table, the error says what to do.
			s := to.store(t, 0)
			_, _, err = s.Get(ctx, "name")
			require.ErrorContains(t, err, "call CreateTable")
			_, err = s.Put(ctx, "name", []byte("hush"), "")
			require.ErrorContains(t, err, "call CreateTable")
			require.NotContains(t, err.Error(), "hush")

			// Nor does it take a table that is someone else's for its own.
			_, err = db.Exec("CREATE TABLE " + to.table + " (id INTEGER)")
			require.NoError(t, err)
			require.ErrorContains(t, s.CreateTable(ctx), "choose another name by Options.Table")
			_, err = db.Exec("DROP TABLE " + to.table)
			require.NoError(t, err)
		}
	})
}

// TestNamesOfManyRecords lists more than one page, with a name of 4 KiB each, while
// others come and go.
func TestNamesOfManyRecords(t *testing.T) {
	onEach(t, func(t *testing.T, to target) {
		if testing.Short() {
			t.Skip("writes 4 MB: runs without -short")
		}
		count := 1100
		if *soak {
			count = 10_000
		}
		name := func(i int) string { return fmt.Sprintf("%05d%s", i, strings.Repeat("n", 4091)) }
		tx, err := to.pool(t, 0).Begin()
		require.NoError(t, err)
		insert, err := tx.Prepare(insertOf(to))
		require.NoError(t, err)
		for i := range count {
			version := make([]byte, 16)
			rand.Read(version)
			_, err := insert.Exec(hashOf(name(i)), version, []byte(name(i)), []byte{})
			require.NoError(t, err)
		}
		require.NoError(t, tx.Commit())

		s := to.store(t, 0)
		seen := make([]int, count)
		for listed, err := range s.Names(ctx) {
			require.NoError(t, err)
			var i int
			if listed == "passing" {
				continue
			}
			_, err := fmt.Sscanf(listed[:5], "%d", &i)
			require.NoError(t, err)
			require.Equal(t, name(i), listed)
			if seen[i]++; i%100 == 0 {
				v := mustPut(t, s, "passing", "", "")
				require.NoError(t, s.Delete(ctx, "passing", v))
			}
		}
		for i, n := range seen {
			require.Equal(t, 1, n, "name %d", i)
		}
	})
}

func TestOpenSQLite(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "odd ?name=#1%41&mode=ro.db")
	db, err := sqlstore.OpenSQLite(ctx, path)
	require.NoError(t, err)
	defer db.Close()
	s, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Options{})
	require.NoError(t, err)
	require.NoError(t, s.CreateTable(ctx))
	mustPut(t, s, "name", "value", "")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 3) // with the log and its index
	for _, e := range entries {
		require.True(t, strings.HasPrefix(e.Name(), filepath.Base(path)), e.Name())
		info, err := e.Info()
		require.NoError(t, err)
		if runtime.GOOS != "windows" {
			require.Equal(t, os.FileMode(0o600), info.Mode(), e.Name())
		}
	}
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "3", "busy_timeout": "10000"} {
		var got string
		require.NoError(t, db.QueryRow("PRAGMA "+pragma).Scan(&got))
		require.Equal(t, want, got, pragma)
	}

	canceled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = sqlstore.OpenSQLite(canceled, path)
	require.Equal(t, context.Canceled, err)
	_, err = sqlstore.OpenSQLite(ctx, filepath.Join(dir, "no such directory", "db"))
	require.ErrorContains(t, err, "its directory must exist")
	text := filepath.Join(dir, "text")
	require.NoError(t, os.WriteFile(text, []byte(strings.Repeat("this is no database ", 100)), 0o600))
	_, err = sqlstore.OpenSQLite(ctx, text)
	require.ErrorContains(t, err, "sqlstore: can't open the SQLite database")
}

// TestOpenSQLiteByManyAtOnce has none of them fail because another is making the
// database.
func TestOpenSQLiteByManyAtOnce(t *testing.T) {
	t.Parallel()
	rounds := 3
	if *soak {
		rounds = 10
	}
	for range rounds {
		path := filepath.Join(memoryDir(t), "db")
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Go(func() {
				db, err := sqlstore.OpenSQLite(ctx, path)
				if err != nil {
					errs[i] = err
					return
				}
				defer db.Close()
				s, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Options{})
				if err == nil {
					err = s.CreateTable(ctx)
				}
				if err == nil {
					_, err = s.Put(ctx, fmt.Sprint(i), nil, "")
				}
				errs[i] = err
			})
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
	}
}
