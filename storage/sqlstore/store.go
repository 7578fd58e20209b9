package sqlstore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/oauth2keep/oauth2keep/storage"
)

// DefaultTable is the name of the table unless Options say otherwise.
const DefaultTable = "oauth2keep"

// Options are what can be chosen about a Store. The zero value is good.
type Options struct {
	// Table is the name of the table, alone or after a schema (in MySQL, a
	// database) and a dot. Each part is at most 63 ASCII letters, digits and
	// underscores, and doesn't begin with a digit. It is quoted, and so its case
	// counts. The default is DefaultTable.
	Table string
}

// Store is a [storage.Store], a [storage.Lister] and a [storage.Discarder] in one table of a
// database. It may be used by any number of goroutines, processes and machines at the same time.
type Store struct {
	db      *sql.DB
	dialect Dialect
	table   string // as the application named it
	sql     statements

	modeOnce sync.Once
	mode     []any // what pgx takes before the parameters

	prepared prepared // in SQLite
	queue    queue    // likewise
}

var (
	_ storage.Store     = (*Store)(nil)
	_ storage.Lister    = (*Store)(nil)
	_ storage.Discarder = (*Store)(nil)
)

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}$`)

// New returns a Store in a database that the application opened, and goes on to
// own: it sets the limits of the pool, and closes it. New doesn't connect. The table
// must exist before the Store is used; see [Store.CreateTable]. Make one Store for a
// table and keep it: in SQLite, it holds statements until the database is closed.
func New(db *sql.DB, d Dialect, o Options) (*Store, error) {
	if db == nil {
		return nil, errors.New("sqlstore: New needs a *sql.DB: open one with sql.Open")
	}
	if d < PostgreSQL || d > SQLite {
		return nil, fmt.Errorf("sqlstore: there is no %v: use PostgreSQL, MySQL or SQLite", d)
	}
	table := o.Table
	if table == "" {
		table = DefaultTable
	}
	parts := strings.Split(table, ".")
	for _, part := range parts {
		if len(parts) > 2 || !identifier.MatchString(part) {
			return nil, fmt.Errorf("sqlstore: %q can't name a table: use letters, digits and underscores, at most 63 of them, after a schema and a dot if need be", table)
		}
	}
	s := &Store{db: db, dialect: d, table: table, sql: newStatements(d, parts)}
	s.prepared.db = db
	return s, nil
}

// Get implements [storage.Store]. A database that copies its writes elsewhere with a
// delay must be asked where they are made, at the primary.
func (s *Store) Get(ctx context.Context, name string) ([]byte, storage.Version, error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	var version, value []byte
	err := s.one(ctx, s.sql.get, name, func(rows *sql.Rows) error { return s.scan(rows, &version, &value) })
	if err != nil {
		return nil, "", err
	}
	if len(version) != versionSize {
		return nil, "", fmt.Errorf("sqlstore: %w: its version in table %s isn't %d bytes: something else writes into that table, or its columns aren't those of Schema", storage.ErrOpen, s.table, versionSize)
	}
	return value, storage.Version(hex.EncodeToString(version)), nil
}

// one reads the row of a record, or returns ErrNotFound.
func (s *Store) one(ctx context.Context, statement, name string, scan func(*sql.Rows) error) error {
	found := false
	err := s.query(ctx, statement, []any{hashOf(name)}, func(rows *sql.Rows) error {
		if found = rows.Next(); found {
			return scan(rows)
		}
		return nil
	})
	if err != nil {
		return s.readError(ctx, err)
	}
	if !found {
		return storage.ErrNotFound
	}
	return nil
}

// Put implements [storage.Store]. It is durable as far as the server's settings make
// it so; see the package's documentation.
func (s *Store) Put(ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if value == nil {
		value = []byte{} // nil is NULL to a driver
	}
	version := make([]byte, versionSize)
	rand.Read(version)

	var err error
	if old == "" {
		err = s.write(ctx, s.sql.create, hashOf(name), version, []byte(name), value)
	} else if oldVersion, ok := decode(old); ok {
		err = s.write(ctx, s.sql.replace, version, value, hashOf(name), oldVersion)
	} else {
		err = storage.ErrConflict // no record ever has a version that isn't one of ours
	}
	if err != nil {
		return "", err
	}
	return storage.Version(hex.EncodeToString(version)), nil
}

// Delete implements [storage.Store].
func (s *Store) Delete(ctx context.Context, name string, old storage.Version) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if old == "" {
		err := s.one(ctx, s.sql.exists, name, func(*sql.Rows) error { return nil })
		switch err {
		case nil:
			return storage.ErrConflict
		case storage.ErrNotFound:
			return nil
		}
		return err
	}
	oldVersion, ok := decode(old)
	if !ok {
		return storage.ErrConflict
	}
	return s.write(ctx, s.sql.remove, hashOf(name), oldVersion)
}

// Discard implements [storage.Discarder]. It deletes a row whose version is NULL, hasn't 16
// bytes, or is no BLOB in SQLite, by one statement that compares and deletes. A value that is
// NULL can be read, as an empty one.
func (s *Store) Discard(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := s.write(ctx, s.sql.discard, hashOf(name))
	if err == storage.ErrConflict {
		return s.Delete(ctx, name, "") // which is no error if there is no row
	}
	return err
}

// versionSize is how many random bytes a version has: so many that none comes twice.
const versionSize = 16

// decode returns the bytes of a version that Put or Get made, and of no other: there
// is only one way to write each.
func decode(v storage.Version) ([]byte, bool) {
	b, err := hex.DecodeString(string(v))
	return b, err == nil && len(b) == versionSize && hex.EncodeToString(b) == string(v)
}

// hashOf returns what stands for a name where the database has to compare: short,
// and without letters that some collation takes for others.
func hashOf(name string) []byte {
	hash := sha256.Sum256([]byte(name))
	return hash[:]
}
