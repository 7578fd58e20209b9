package sqlstore

import (
	"context"
	"iter"
)

// Names implements [storage.Lister]. It fetches a thousand keys at a time, in the
// order of their hashes, and holds no connection while the caller has one of them.
func (s *Store) Names(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		after := []byte{} // before every hash
		for {
			if err := ctx.Err(); err != nil {
				yield("", err)
				return
			}
			var keys []string
			err := s.retry(ctx, func() error {
				var err error
				keys, after, err = s.page(ctx, after)
				return err
			})
			if err != nil {
				yield("", s.readError(ctx, err))
				return
			}
			for _, key := range keys {
				if err := ctx.Err(); err != nil {
					yield("", err)
					return
				}
				if !yield(key, nil) {
					return
				}
			}
			if len(keys) < pageSize {
				return
			}
		}
	}
}

// page returns the next keys after a hash, and the hash of the last; after an error,
// none and the one that it was given.
func (s *Store) page(ctx context.Context, after []byte) (keys []string, last []byte, err error) {
	rows, err := s.db.QueryContext(ctx, s.sql.keys, after)
	if err != nil {
		return nil, after, err
	}
	defer rows.Close()
	last = after
	for rows.Next() {
		var hash []byte
		var key string
		if err := rows.Scan(&hash, &key); err != nil {
			return nil, after, err
		}
		keys, last = append(keys, key), hash
	}
	if err := rows.Err(); err != nil {
		return nil, after, err
	}
	return keys, last, nil
}
