package sqlstore

import (
	"context"
	"fmt"
	"time"
)

// Schema returns the statement that makes the table, for the tool by which the
// application migrates its database. It is harmless where the table exists.
func (s *Store) Schema() string { return s.sql.schema }

// CreateTable makes the table if it isn't there. It may be called at every start, by
// several processes at the same time. Where the table exists, the right to read it
// is all that it needs, and it returns an error if the columns aren't those of
// [Store.Schema].
func (s *Store) CreateTable(ctx context.Context) error {
	var err error
	for range 5 {
		if err = s.probe(ctx); err == nil {
			return nil
		}
		if ctxErr := ctx.Err(); ctxErr != nil {
			return ctxErr
		}
		if err = s.create(ctx); err == nil {
			if err = s.probe(ctx); err == nil {
				return nil
			}
		}
		// In PostgreSQL, of two that create a table at the same time one may fail, and
		// finds it at the next try.
		if !raced(err) {
			break
		}
		if err := wait(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	if ctxErr := ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	return fmt.Errorf("sqlstore: can't make or use table %s: %w (%s)", s.table, err, s.advice(err, "compare its columns with Schema, or choose another name by Options.Table"))
}

func (s *Store) create(ctx context.Context) error {
	_, err := s.db.ExecContext(ctx, s.sql.schema)
	return err
}

// probe fails unless the table has the columns that it should have.
func (s *Store) probe(ctx context.Context) error {
	rows, err := s.db.QueryContext(ctx, s.sql.probe)
	if err != nil {
		return err
	}
	defer rows.Close()
	rows.Next()
	return rows.Err()
}

func raced(err error) bool {
	switch codeOf(err).state {
	case "23505", "42P07", "42710": // a duplicate name in the catalog, of a table, of its type
		return true
	}
	return codeOf(err).retryable()
}
