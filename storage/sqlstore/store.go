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

// Store is a [storage.Store] and a [storage.Lister] in one table of a database. It
// may be used by any number of goroutines, processes and machines at the same time.
type Store struct {
	db      *sql.DB
	dialect Dialect
	table   string // as the application named it
	sql     statements

	prepared prepared // in SQLite
}

var (
	_ storage.Store  = (*Store)(nil)
	_ storage.Lister = (*Store)(nil)
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
	quote := `"`
	if d == MySQL {
		quote = "`"
	}
	parts := strings.Split(table, ".")
	for i, part := range parts {
		if len(parts) > 2 || !identifier.MatchString(part) {
			return nil, fmt.Errorf("sqlstore: %q can't name a table: use letters, digits and underscores, at most 63 of them, after a schema and a dot if need be", table)
		}
		parts[i] = quote + part + quote
	}
	return &Store{db: db, dialect: d, table: table, sql: newStatements(d, strings.Join(parts, "."))}, nil
}

// Get implements [storage.Store]. A database that copies its writes elsewhere with a
// delay must be asked where they are made, at the primary.
func (s *Store) Get(ctx context.Context, key string) ([]byte, storage.Version, error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	var version, value []byte
	err := s.retry(ctx, func() error {
		return s.queryRow(ctx, s.sql.get, hashOf(key), &version, &value)
	})
	if err != nil {
		if errors.Is(err, sql.ErrNoRows) && ctx.Err() == nil {
			return nil, "", storage.ErrNotFound
		}
		return nil, "", s.readError(ctx, err)
	}
	if len(version) != versionSize {
		return nil, "", fmt.Errorf("sqlstore: a version in table %s has %d bytes, not %d: something else writes into that table, or its columns aren't those of Schema", s.table, len(version), versionSize)
	}
	return value, storage.Version(hex.EncodeToString(version)), nil
}

// Put implements [storage.Store]. It is durable as far as the server's settings make
// it so; see the package's documentation.
func (s *Store) Put(ctx context.Context, key string, value []byte, old storage.Version) (storage.Version, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if value == nil {
		value = []byte{} // nil is NULL to a driver
	}
	version := make([]byte, versionSize)
	rand.Read(version)

	written := storage.Version(hex.EncodeToString(version))

	var err error
	if old == "" {
		err = s.write(ctx, s.sql.create, hashOf(key), version, []byte(key), value)
	} else if oldVersion, ok := decode(old); ok {
		err = s.write(ctx, s.sql.replace, version, value, hashOf(key), oldVersion)
	} else {
		err = storage.ErrConflict // no record ever has a version that isn't one of ours
	}
	if errors.Is(err, errTwice) {
		if _, now, getErr := s.Get(ctx, key); getErr == nil && now == written {
			return written, nil
		}
	}
	if err != nil {
		return "", err
	}
	return written, nil
}

// Delete implements [storage.Store].
func (s *Store) Delete(ctx context.Context, key string, old storage.Version) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if old == "" {
		return s.absent(ctx, key)
	}
	oldVersion, ok := decode(old)
	if !ok {
		return storage.ErrConflict
	}
	return s.write(ctx, s.sql.remove, hashOf(key), oldVersion)
}

// absent returns ErrConflict if there is a record.
func (s *Store) absent(ctx context.Context, key string) error {
	var one int
	err := s.retry(ctx, func() error {
		return s.queryRow(ctx, s.sql.exists, hashOf(key), &one)
	})
	switch {
	case err == nil:
		return storage.ErrConflict
	case errors.Is(err, sql.ErrNoRows) && ctx.Err() == nil:
		return nil
	}
	return s.readError(ctx, err)
}

// versionSize is how many random bytes a version has: so many that none comes twice.
const versionSize = 16

// decode returns the bytes of a version that Put or Get made, and of no other: there
// is only one way to write each.
func decode(v storage.Version) ([]byte, bool) {
	b, err := hex.DecodeString(string(v))
	return b, err == nil && len(b) == versionSize && hex.EncodeToString(b) == string(v)
}

// hashOf returns what stands for a key where the database has to compare: short,
// and without letters that some collation takes for others.
func hashOf(key string) []byte {
	hash := sha256.Sum256([]byte(key))
	return hash[:]
}
