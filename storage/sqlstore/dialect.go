package sqlstore

import (
	"fmt"
	"strings"
)

// Dialect is the kind of database behind a *sql.DB, which can't be asked for it. It
// has to be named: the zero value is none.
type Dialect int

const (
	PostgreSQL Dialect = 1 + iota // tested with github.com/jackc/pgx/v5/stdlib
	MySQL                         // and MariaDB; needs github.com/go-sql-driver/mysql
	SQLite                        // 3.37 or later; tested with modernc.org/sqlite
)

// String returns the name of the database.
func (d Dialect) String() string {
	switch d {
	case PostgreSQL:
		return "PostgreSQL"
	case MySQL:
		return "MySQL"
	case SQLite:
		return "SQLite"
	}
	return fmt.Sprintf("Dialect(%d)", int(d))
}

// pageSize is how many keys Keys fetches, and holds, at a time.
const pageSize = 1000

// statements are what a Store sends. Their parameters are all binary.
type statements struct {
	get     string // hash
	exists  string // hash
	create  string // hash, version, key, value
	replace string // new version, value, hash, old version
	remove  string // hash, old version
	keys    string // hash after which the page begins
	probe   string
	schema  string
}

// newStatements makes the statements for a table whose name was quoted.
func newStatements(d Dialect, table string) statements {
	s := statements{
		get:     "SELECT version, value FROM {table} WHERE key_hash = ?",
		exists:  "SELECT 1 FROM {table} WHERE key_hash = ?",
		create:  "INSERT INTO {table} (key_hash, version, record_key, value) VALUES (?, ?, ?, ?) ON CONFLICT (key_hash) DO NOTHING",
		replace: "UPDATE {table} SET version = ?, value = ? WHERE key_hash = ? AND version = ?",
		remove:  "DELETE FROM {table} WHERE key_hash = ? AND version = ?",
		keys:    fmt.Sprintf("SELECT key_hash, record_key FROM {table} WHERE key_hash > ? ORDER BY key_hash LIMIT %d", pageSize),
		probe:   "SELECT key_hash, version, record_key, value FROM {table} WHERE 1 = 0",
	}
	switch d {
	case PostgreSQL:
		s.schema = `CREATE TABLE IF NOT EXISTS {table} (
	key_hash   bytea PRIMARY KEY,
	version    bytea NOT NULL,
	record_key bytea NOT NULL,
	value      bytea NOT NULL
)`
	case MySQL:
		// A duplicate is told by its error, 1062. INSERT IGNORE would turn every
		// other error into a warning too, and ON DUPLICATE KEY UPDATE affects one
		// row in both cases when the connection counts found rows.
		s.create, _, _ = strings.Cut(s.create, " ON CONFLICT")
		s.schema = `CREATE TABLE IF NOT EXISTS {table} (
	key_hash   BINARY(32) NOT NULL PRIMARY KEY,
	version    BINARY(16) NOT NULL,
	record_key LONGBLOB   NOT NULL,
	value      LONGBLOB   NOT NULL
) ENGINE=InnoDB`
	case SQLite:
		s.schema = `CREATE TABLE IF NOT EXISTS {table} (
	key_hash   BLOB NOT NULL PRIMARY KEY,
	version    BLOB NOT NULL,
	record_key BLOB NOT NULL,
	value      BLOB NOT NULL
) STRICT`
	}
	for _, p := range []*string{&s.get, &s.exists, &s.create, &s.replace, &s.remove, &s.keys, &s.probe, &s.schema} {
		*p = finish(d, *p, table)
	}
	return s
}

// finish puts the table's name and the dialect's placeholders into a statement.
func finish(d Dialect, statement, table string) string {
	statement = strings.Replace(statement, "{table}", table, 1)
	if d == PostgreSQL {
		for n := 1; strings.Contains(statement, "?"); n++ {
			statement = strings.Replace(statement, "?", fmt.Sprint("$", n), 1)
		}
	}
	return statement
}
