package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"time"
)

// code is what a database calls an error; at most one of the fields is set.
type code struct {
	state  string // PostgreSQL's SQLSTATE
	number int    // MySQL's number
	sqlite int    // SQLite's result code, without its extension
	text   string // SQLite's message: its code says little
}

// Numbers of MySQL's errors.
const (
	mysqlDuplicate = 1062
	mysqlDeadlock  = 1213
	mysqlChanged   = 1020 // MariaDB: the row changed since this transaction's snapshot
)

// SQLite's result codes for what another connection holds.
const (
	sqliteBusy   = 5
	sqliteLocked = 6
)

// codeOf finds the database's code in an error. This module doesn't import any
// driver, so it knows their errors by shape: a method SQLState (pgx, lib/pq), a
// method Code (modernc.org/sqlite), or a field Number (go-sql-driver/mysql, whose
// errors have no method for it).
func codeOf(err error) code {
	if e, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err); ok {
		return code{state: e.SQLState()}
	}
	if e, ok := errors.AsType[interface {
		error
		Code() int
	}](err); ok {
		return code{sqlite: e.Code() & 0xff, text: e.Error()}
	}
	for ; err != nil; err = errors.Unwrap(err) {
		v := reflect.Indirect(reflect.ValueOf(err))
		if v.Kind() != reflect.Struct {
			continue
		}
		if n := v.FieldByName("Number"); n.IsValid() && n.Kind() == reflect.Uint16 {
			return code{number: int(n.Uint())}
		}
	}
	return code{}
}

// retryable reports whether the database says that it undid the statement, and that
// the same one may well succeed now. It never stands for a lost connection.
func (c code) retryable() bool {
	return c.state == "40001" || c.state == "40P01" || // serialization failure, deadlock
		c.number == mysqlDeadlock || c.number == mysqlChanged
}

// attempts is how often a statement is sent if each time the database undoes it for
// the sake of another.
const attempts = 12

// retry runs a statement, again if it was undone. It ends with the last error.
func (s *Store) retry(ctx context.Context, statement func() error) error {
	for n := 1; ; n++ {
		err := statement()
		if err == nil || n == attempts || !codeOf(err).retryable() {
			return err
		}
		// From 2 ms up to 256 ms, and a share of that at random.
		if ctxErr := wait(ctx, rand.N(time.Millisecond<<min(n, 8))+time.Millisecond); ctxErr != nil {
			return ctxErr
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

// readError says what failed, and what to do about it.
func (s *Store) readError(ctx context.Context, err error) error {
	if ctxErr := ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	return fmt.Errorf("sqlstore: can't read table %s: %w (%s)", s.table, err, s.advice(err, "nothing was changed: try again when the database is back"))
}

// writeError is readError for a write. Unless the database gave a reason, nobody
// knows whether it happened.
func (s *Store) writeError(ctx context.Context, err error) error {
	if ctxErr := ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	return fmt.Errorf("sqlstore: a write to table %s failed: %w (%s)", s.table, err, s.advice(err, "it may have happened all the same: read the record again before the next write"))
}

// advice says what to do about an error, and otherwise what is given.
func (s *Store) advice(err error, otherwise string) string {
	c := codeOf(err)
	switch {
	case c.retryable():
		return fmt.Sprintf("nothing was written in %d attempts: too many transactions change the same row at the same time", attempts)
	case c.state == "42P01" || c.number == 1146 || strings.Contains(c.text, "no such table"):
		return "make the table: call CreateTable once, or apply Schema with the application's migrations"
	case c.state == "42501" || c.number == 1142 || c.number == 1143 || c.number == 1044 || c.number == 1045:
		return "grant this user SELECT, INSERT, UPDATE and DELETE on the table, and CREATE if CreateTable is to make it"
	case c.state == "25006" || c.number == 1290 || c.number == 1792 || c.number == 1836 || c.sqlite == 8:
		return "the database is read-only here: connect to the primary, and let this process write the database"
	case c.state == "26000" || c.state == "42P05":
		return "behind PgBouncer, add default_query_exec_mode=exec to pgx's connection string"
	case c.sqlite == sqliteBusy || c.sqlite == sqliteLocked:
		return "nothing was written: another connection holds the database for longer than busy_timeout; keep transactions short, and open the database as OpenSQLite does"
	case c.state == "53100" || c.number == 1021 || c.number == 1114 || c.sqlite == 13:
		return "nothing was written: the database's disk is full"
	case c.state == "55P03" || c.number == 1205:
		return "nothing was written: another transaction holds the row for longer than lock_timeout or innodb_lock_wait_timeout; keep transactions short"
	case c.number == 1153:
		return "nothing was written: the record is larger than the server's max_allowed_packet"
	}
	return otherwise
}
