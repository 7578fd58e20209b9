package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/oauth2keep/oauth2keep/storage"
)

// errTwice says that a statement which affected no row may have been sent before, and
// then have had its effect. It is no conflict, since something may have been written.
var errTwice = errors.New("the connection broke, and when it was sent again it found another record, or none")

// write runs a statement that must affect exactly one row. If it affected none, the
// record's version wasn't the one that the statement names.
func (s *Store) write(ctx context.Context, statement string, args ...any) error {
	var affected int64
	twice := false
	err := s.retry(ctx, func() error {
		var again bool
		var err error
		affected, again, err = s.send(ctx, statement, args)
		twice = twice || again
		return err
	})
	conflict := err == nil && affected == 0 || s.dialect == MySQL && codeOf(err).number == mysqlDuplicate
	switch {
	case conflict && twice:
		return s.writeError(ctx, errTwice)
	case conflict:
		return storage.ErrConflict
	case err != nil:
		return s.writeError(ctx, err)
	case affected == 1:
		return nil
	}
	return fmt.Errorf("sqlstore: one write affected %d rows of table %s: it lacks the primary key that Schema gives it", affected, s.table)
}

// send runs a statement, on another connection if the driver says that the one which
// it had was broken and got none of it. database/sql does the same, but doesn't tell,
// and not every driver is right: pgx 5.12 says so of a write that the server did, if
// the connection broke before the answer to a query in the simple protocol. (Should
// somebody delete, in between, a record that such a driver created, then it is created
// once more. Nothing can tell.)
func (s *Store) send(ctx context.Context, statement string, args []any) (affected int64, twice bool, err error) {
	if s.dialect == SQLite {
		affected, err = s.sendPrepared(ctx, statement, args)
		return affected, false, err
	}
	left := 2
	for {
		result, err := s.sendOnce(ctx, statement, args)
		if errors.Is(err, driver.ErrBadConn) && left > 0 {
			if !twice { // after a server's restart, all that are idle are broken
				left += s.db.Stats().Idle
			}
			left--
			twice = true
			continue
		}
		if err != nil {
			return 0, twice, err
		}
		affected, err = result.RowsAffected()
		return affected, twice, err
	}
}

func (s *Store) sendOnce(ctx context.Context, statement string, args []any) (sql.Result, error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close() // back to the pool, or for good if it is broken
	return conn.ExecContext(ctx, statement, args...)
}
