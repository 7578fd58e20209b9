package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
)

const (
	postgresSchema = `CREATE TABLE IF NOT EXISTS {table} (
	name_hash bytea PRIMARY KEY,
	version   bytea NOT NULL,
	name      bytea NOT NULL,
	value     bytea NOT NULL
)`
	mysqlSchema = `CREATE TABLE IF NOT EXISTS {table} (
	name_hash BINARY(32) NOT NULL PRIMARY KEY,
	version   BINARY(16) NOT NULL,
	name      LONGBLOB   NOT NULL,
	value     LONGBLOB   NOT NULL
) ENGINE=InnoDB`
	sqliteSchema = `CREATE TABLE IF NOT EXISTS {table} (
	name_hash BLOB NOT NULL PRIMARY KEY,
	version   BLOB NOT NULL,
	name      BLOB NOT NULL,
	value     BLOB NOT NULL
) STRICT`
)

// Schema returns the statement that makes the table, for the tool by which the
// application migrates its database. It is harmless where the table exists.
func (s *Store) Schema() string { return s.sql.schema }

// CreateTable makes the table if it isn't there. It may be called at every start, by
// several processes at the same time. Where the table exists, the right to read it
// is all that it needs.
//
// It returns an error that names every fault which it finds in an existing table, or
// in the settings of the database: with any of them a Store breaks the contract of
// [storage.Store]. The package's documentation lists them. A database that is to be
// used all the same gets its table from Schema.
func (s *Store) CreateTable(ctx context.Context) error {
	var faults []string
	var err error
	for range 5 {
		if faults, err = s.faults(ctx); err == nil || s.reasonFor(err).advice != noTable {
			break
		}
		if _, err = s.db.ExecContext(ctx, s.sql.schema); err == nil {
			continue
		}
		// In PostgreSQL, of two that create a table at the same time one may fail, and
		// finds it at the next try.
		if !s.raced(err) {
			break
		}
		if err := wait(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	if err != nil {
		return s.failure(ctx, "can't make or use table "+s.table, err, "")
	}
	if len(faults) > 0 {
		return fmt.Errorf("sqlstore: table %s can't keep records: %s (make it as Schema says, or choose another name by Options.Table)", s.table, strings.Join(faults, "; "))
	}
	return nil
}

// faults returns what is wrong with the table, or an error if it can't be read.
func (s *Store) faults(ctx context.Context) (faults []string, err error) {
	if err := s.query(ctx, s.sql.probe, nil, func(*sql.Rows) error { return nil }); err != nil {
		return nil, err
	}
	err = s.query(ctx, s.sql.faults, nil, func(rows *sql.Rows) error {
		faults = nil
		for rows.Next() {
			var fault string
			if err := rows.Scan(&fault); err != nil {
				return err
			}
			faults = append(faults, fault)
		}
		return nil
	})
	return faults, err
}

func (s *Store) raced(err error) bool {
	switch reportOf(err).code {
	case "23505", "42P07", "42710": // a duplicate name in PostgreSQL's catalog, of a table, of its type
		return true
	}
	return s.reasonFor(err).again == later
}
