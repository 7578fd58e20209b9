package sqlstore

import (
	"context"
	"database/sql"
	"iter"
)

// Names implements [storage.Lister]. It fetches a thousand names at a time, in the
// order of their hashes, and holds no connection while the caller has one of them.
func (s *Store) Names(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		after := []byte{} // before every hash
		for {
			if err := ctx.Err(); err != nil {
				yield("", err)
				return
			}
			names, last, err := s.page(ctx, after)
			if err != nil {
				yield("", s.readError(ctx, err))
				return
			}
			for _, name := range names {
				if err := ctx.Err(); err != nil {
					yield("", err)
					return
				}
				if !yield(name, nil) {
					return
				}
			}
			if len(names) < pageSize {
				return
			}
			after = last
		}
	}
}

// page returns the next names after a hash, and the hash of the last.
func (s *Store) page(ctx context.Context, after []byte) (names []string, last []byte, err error) {
	err = s.query(ctx, s.sql.names, []any{after}, func(rows *sql.Rows) error {
		names = nil
		for rows.Next() {
			var name []byte
			if err := s.scan(rows, &last, &name); err != nil {
				return err
			}
			names = append(names, string(name))
		}
		return nil
	})
	return names, last, err
}
