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

// pageSize is how many names Names fetches, and holds, at a time.
const pageSize = 1000

// statements are what a Store sends. Their parameters are all binary.
type statements struct {
	get     string // hash
	exists  string // hash
	create  string // hash, version, name, value
	replace string // new version, value, hash, old version
	remove  string // hash, old version
	discard string // hash
	names   string // hash after which the page begins
	probe   string
	schema  string
	faults  string // says what is wrong with a table, in one row for each fault
}

// newStatements makes the statements for a table whose name has one or two parts.
func newStatements(d Dialect, parts []string) statements {
	s := statements{
		get:     "SELECT [{version}], [value] FROM {table} WHERE name_hash = ?",
		exists:  "SELECT 1 FROM {table} WHERE name_hash = ?",
		create:  "INSERT INTO {table} (name_hash, version, name, value) VALUES (?, ?, ?, ?) ON CONFLICT (name_hash) DO NOTHING",
		replace: "UPDATE {table} SET version = ?, value = ? WHERE name_hash = ? AND version = ?",
		remove:  "DELETE FROM {table} WHERE name_hash = ? AND version = ?",
		discard: fmt.Sprintf("DELETE FROM {table} WHERE name_hash = ? AND COALESCE(length({version}), 0) <> %d", versionSize),
		names:   fmt.Sprintf("SELECT [name_hash], [name] FROM {table} WHERE name_hash > ? ORDER BY name_hash LIMIT %d", pageSize),
		probe:   "SELECT name_hash, version, name, value FROM {table} WHERE 1 = 0",
	}
	quote, binary, version := `"`, strings.NewReplacer("[", "", "]", ""), "version"
	switch d {
	case PostgreSQL:
		s.schema, s.faults = postgresSchema, postgresFaults
		// Where a driver asks for text, it can't read bytea_output=escape.
		binary = strings.NewReplacer("[", "encode(", "]", ", 'hex')")
	case MySQL:
		// A duplicate is told by its error, 1062. INSERT IGNORE would turn every
		// other error into a warning too, and ON DUPLICATE KEY UPDATE affects one
		// row in both cases when the connection counts found rows.
		s.create, _, _ = strings.Cut(s.create, " ON CONFLICT")
		s.schema, s.faults, quote = mysqlSchema, mysqlFaults, "`"
	case SQLite:
		s.schema, s.faults = sqliteSchema, sqliteFaults
		// A column that isn't STRICT can hold text, which no version is equal to.
		version = "CASE typeof(version) WHEN 'blob' THEN version END"
	}
	s.get, s.names = binary.Replace(s.get), binary.Replace(s.names)
	name, schema := parts[len(parts)-1], "NULL" // that which the database chooses
	if len(parts) == 2 {
		schema = "'" + parts[0] + "'"
	}
	fill := strings.NewReplacer("{table}", quote+strings.Join(parts, quote+"."+quote)+quote, "{version}", version, "{name}", "'"+name+"'", "{schema}", schema)
	for _, p := range []*string{&s.get, &s.exists, &s.create, &s.replace, &s.remove, &s.discard, &s.names, &s.probe, &s.schema, &s.faults} {
		*p = fill.Replace(*p)
		for n := 1; d == PostgreSQL && strings.Contains(*p, "?"); n++ {
			*p = strings.Replace(*p, "?", fmt.Sprint("$", n), 1)
		}
	}
	return s
}
