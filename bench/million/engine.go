package main

import (
	"context"
	"database/sql"
	"iter"

	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
)

// template is the table that is filled, and from which the others are made.
const template = "oauth2keep_million"

// row is one row of a table of package sqlstore, as its documentation describes it.
type row struct {
	hash, version, key, value []byte
}

// engine is a database, on the side that isn't measured. Its tables have numbers.
type engine interface {
	// load fills the template.
	load(ctx context.Context, rows iter.Seq2[row, error]) error
	// make makes a table from the template.
	make(ctx context.Context, number int) (place, error)
	// drop removes it.
	drop(ctx context.Context, number int) error
	// settle leaves the database no work to do from what was before.
	settle(ctx context.Context) error
	// settings tells what matters of the server's.
	settings(ctx context.Context) (string, error)
	close()
}

// place says where a table is.
type place struct {
	Engine, Source, Table string
}

// bare is the table by means of nothing but the driver, on one connection, with
// statements that are prepared.
type bare interface {
	probe(ctx context.Context) error
	get(ctx context.Context, hash []byte) (version, value []byte, err error)
	// page returns the hashes and keys of the next thousand rows.
	page(ctx context.Context, after []byte) ([]row, error)
	// replace fails unless the row had the version old.
	replace(ctx context.Context, hash, old, version, value []byte) error
	// scan reads the whole table in whatever way is fastest.
	scan(ctx context.Context) iter.Seq2[row, error]
	// replaceAll replaces rows in one transaction, in whatever way is fastest.
	replaceAll(ctx context.Context, changes []change) error
	close()
}

// change is a row with what is to be in it.
type change struct {
	row
	newVersion, newValue []byte
}

const pageSize = 1000 // as in package sqlstore

// readPage reads hashes and keys from the rows of either driver.
func readPage(rows interface {
	Next() bool
	Scan(...any) error
	Err() error
}) ([]row, error) {
	page := make([]row, 0, pageSize)
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.hash, &r.key); err != nil {
			return nil, err
		}
		page = append(page, r)
	}
	return page, rows.Err()
}

// openBare opens the table by the driver alone.
func (p place) openBare(ctx context.Context) (bare, error) {
	if p.Engine == "postgres" {
		return newPostgresBare(ctx, p)
	}
	return newSQLiteBare(ctx, p)
}

// open opens it as an application does.
func (p place) open(ctx context.Context) (*sql.DB, *sqlstore.Store, error) {
	dialect := sqlstore.PostgreSQL
	db, err := sql.Open("pgx", p.Source)
	if p.Engine == "sqlite" {
		dialect = sqlstore.SQLite
		db, err = sqlstore.OpenSQLite(ctx, p.Source)
	}
	if err != nil {
		return nil, nil, err
	}
	s, err := sqlstore.New(db, dialect, sqlstore.Options{Table: p.Table})
	if err != nil {
		db.Close()
		return nil, nil, err
	}
	return db, s, nil
}
