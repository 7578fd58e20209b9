package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
)

// attempts is how often a statement is sent if each time the database undoes it for
// the sake of another.
const attempts = 12

// errTwice says that a statement which affected no row may have been sent before, and
// then have had its effect. It is no conflict, since something may have been written.
var errTwice = errors.New("the connection broke, and when it was sent again it found another record, or none")

// unsentError is that no connection could be had, and so nothing was sent.
type unsentError struct{ error }

func (e unsentError) Unwrap() error { return e.error }

// sender is a connection of the pool or, in SQLite, statements that were prepared.
type sender interface {
	exec(ctx context.Context, statement string, args []any) (sql.Result, error)
	query(ctx context.Context, statement string, args []any) (*sql.Rows, error)
}

// query sends a statement, and has its rows read. It may do both more than once.
func (s *Store) query(ctx context.Context, statement string, args []any, read func(*sql.Rows) error) error {
	_, err := s.run(ctx, func(on sender) error {
		rows, err := on.query(ctx, statement, args)
		if err != nil {
			return err
		}
		defer rows.Close()
		if err := read(rows); err != nil {
			return err
		}
		if err := rows.Err(); err != nil {
			return err
		}
		return rows.Close()
	})
	return err
}

// scan reads a row of binary columns.
func (s *Store) scan(rows *sql.Rows, columns ...*[]byte) error {
	dst := make([]any, len(columns))
	for i := range columns {
		dst[i] = columns[i]
	}
	err := rows.Scan(dst...)
	for i := 0; i < len(columns) && s.dialect == PostgreSQL && err == nil; i++ {
		*columns[i], err = hex.AppendDecode([]byte{}, *columns[i])
	}
	return err
}

// write runs a statement that must affect exactly one row. If it affected none, the
// record's version wasn't the one that the statement names.
func (s *Store) write(ctx context.Context, statement string, args ...any) error {
	if s.dialect == SQLite {
		leave, err := s.queue.enter(ctx, s)
		if err != nil {
			return s.writeError(ctx, unsentError{err}, false)
		}
		defer leave()
	}
	var affected int64
	resent, err := s.run(ctx, func(on sender) error {
		result, err := on.exec(ctx, statement, args)
		if err == nil {
			affected, err = result.RowsAffected()
		}
		return err
	})
	conflict := err == nil && affected == 0 || s.dialect == MySQL && reportOf(err).code == mysqlDuplicate
	switch {
	case conflict && resent:
		return s.writeError(ctx, errTwice, resent)
	case conflict:
		return storage.ErrConflict
	case err != nil:
		return s.writeError(ctx, err, resent)
	case affected == 1:
		return nil
	}
	return fmt.Errorf("sqlstore: one write affected %d rows of table %s: it lacks the primary key that Schema gives it", affected, s.table)
}

// run sends a statement, and sends it again if the database undid it for the sake of
// another, or refused it for a reason that belongs to the connection, or if the driver
// says that it wasn't sent. resent tells that an earlier one may have had its effect,
// because not every driver is right: pgx 5.12 says so of a write that the server did, if
// the connection broke before the answer to a query in the simple protocol. database/sql
// sends again too, but doesn't tell. (Should somebody delete, in between, a record that
// such a driver created, then it is created once more. Nothing can tell.)
func (s *Store) run(ctx context.Context, statement func(sender) error) (resent bool, err error) {
	undone, useless, limit := 1, 0, 2
	for {
		err = s.once(ctx, statement)
		why, broken := s.reasonFor(err), errors.Is(err, driver.ErrBadConn)
		switch {
		case err == nil:
			return resent, nil
		case why.again == later && undone < attempts:
			// From 2 ms up to 256 ms, and a share of that at random.
			if err := wait(ctx, rand.N(time.Millisecond<<min(undone, 8))+time.Millisecond); err != nil {
				return resent, err
			}
			undone++
		case (why.again == elsewhere || broken) && useless < limit:
			if useless == 0 { // after a server's restart or failover, all that are idle are of no use
				limit += s.db.Stats().Idle
			}
			useless++
			resent = resent || !why.refused
		default:
			return resent, err
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// once sends a statement on one connection, and takes that out of the pool if it turns
// out to be of no use: its server is read-only since a failover, or has lost what the
// driver prepared there.
func (s *Store) once(ctx context.Context, statement func(sender) error) error {
	if s.dialect == SQLite {
		return statement(&s.prepared)
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return unsentError{err}
	}
	defer conn.Close() // back to the pool, or for good if it is broken
	s.modeOnce.Do(func() { s.mode = execMode(conn) })
	err = statement(session{conn, s.mode})
	if s.reasonFor(err).again == elsewhere {
		conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	return err
}

// session is a connection, and what comes before the parameters of a statement.
type session struct {
	conn *sql.Conn
	mode []any
}

func (s session) exec(ctx context.Context, statement string, args []any) (sql.Result, error) {
	return s.conn.ExecContext(ctx, statement, append(s.mode[:len(s.mode):len(s.mode)], args...)...)
}

func (s session) query(ctx context.Context, statement string, args []any) (*sql.Rows, error) {
	return s.conn.QueryContext(ctx, statement, append(s.mode[:len(s.mode):len(s.mode)], args...)...)
}

// execMode returns the argument by which pgx sends a statement and its parameters
// together, pgx.QueryExecModeExec, unless it was told to use the simple protocol, which
// does so too. What it does otherwise needs a server connection that stays the same: a
// pooler can have other clients between the two halves, and then the server runs what
// one of them prepared. This module doesn't import pgx, and so knows it by shape.
func execMode(conn *sql.Conn) (mode []any) {
	const exec = 4
	conn.Raw(func(c any) error {
		method := reflect.ValueOf(c).MethodByName("Conn")
		if !method.IsValid() || method.Type().NumIn() != 0 || method.Type().NumOut() != 1 {
			return nil
		}
		method = method.Call(nil)[0].MethodByName("Config")
		if !method.IsValid() || method.Type().NumIn() != 0 || method.Type().NumOut() != 1 {
			return nil
		}
		config := reflect.Indirect(method.Call(nil)[0])
		if config.Kind() != reflect.Struct {
			return nil
		}
		if v := config.FieldByName("DefaultQueryExecMode"); v.IsValid() && v.CanInt() && v.Int() < exec {
			v = reflect.New(v.Type()).Elem()
			v.SetInt(exec)
			mode = []any{v.Interface()}
		}
		return nil
	})
	return mode
}
