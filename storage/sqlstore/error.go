package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// report is what a database said of an error.
type report struct {
	code  string // PostgreSQL's SQLSTATE, MySQL's number, SQLite's result code without its extension
	fatal bool   // PostgreSQL ended the session, or fell over: its severity isn't ERROR
}

// Codes that mean something to more than the table of reasons.
const (
	mysqlDuplicate = "1062"
	sqliteBusy     = "5" // another connection holds the file
	sqliteLocked   = "6" // another connection of this process holds the table
)

// reportOf finds the database's words in an error. This module doesn't import any
// driver, so it knows their errors by shape: a method SQLState (pgx, lib/pq), a
// method Code (modernc.org/sqlite), or a field Number (go-sql-driver/mysql, whose
// errors have no method for it).
func reportOf(err error) report {
	if e, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err); ok {
		severity := field(e, "SeverityUnlocalized", reflect.String)
		if !severity.IsValid() {
			severity = field(e, "Severity", reflect.String)
		}
		return report{code: e.SQLState(), fatal: severity.IsValid() && severity.String() != "ERROR"}
	}
	if e, ok := errors.AsType[interface {
		error
		Code() int
	}](err); ok {
		return report{code: strconv.Itoa(e.Code() & 0xff)}
	}
	for ; err != nil; err = errors.Unwrap(err) {
		if n := field(err, "Number", reflect.Uint16); n.IsValid() {
			return report{code: strconv.FormatUint(n.Uint(), 10)}
		}
	}
	return report{}
}

// field returns a field of a struct, or of that to which a pointer points.
func field(of any, name string, kind reflect.Kind) (v reflect.Value) {
	if s := reflect.Indirect(reflect.ValueOf(of)); s.Kind() == reflect.Struct {
		if f := s.FieldByName(name); f.IsValid() && f.Kind() == kind {
			return f
		}
	}
	return v
}

// reasonFor returns what is known about an error. The zero value is nothing.
func (s *Store) reasonFor(err error) reason {
	if err == nil {
		return reason{}
	}
	code, text := reportOf(err).code, err.Error()
	for _, r := range reasons {
		if (r.dialect == s.dialect || r.dialect == 0 && (code == "" || strings.HasPrefix(code, "08"))) && // or "connection exception"
			(r.codes == "" || slices.Contains(strings.Fields(r.codes), code)) && strings.Contains(text, r.text) {
			return r
		}
	}
	return reason{}
}

func (s *Store) readError(ctx context.Context, err error) error {
	return s.failure(ctx, "can't read table "+s.table, err, "")
}

// writeError also says whether the write happened, if that is known: the server refused
// the statement and goes on, or it was never sent. It isn't known if the statement was resent:
// the error is that of the last time.
func (s *Store) writeError(ctx context.Context, err error, resent bool) error {
	_, unsent := errors.AsType[unsentError](err)
	outcome := "it may have happened all the same: read the record again before the next write"
	if r := s.reasonFor(err); !resent && (unsent || r.refused && !reportOf(err).fatal) {
		outcome = "nothing was written"
	}
	return s.failure(ctx, "a write to table "+s.table+" failed", err, outcome)
}

// failure says what failed, and what to do about it.
func (s *Store) failure(ctx context.Context, what string, err error, outcome string) error {
	if ctxErr := ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	hints := strings.Trim(outcome+"; "+s.reasonFor(err).advice, "; ")
	if hints == "" {
		return fmt.Errorf("sqlstore: %s: %w", what, err)
	}
	return fmt.Errorf("sqlstore: %s: %w (%s)", what, err, hints)
}
