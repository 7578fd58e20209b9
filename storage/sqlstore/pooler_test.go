package sqlstore_test

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
)

// queryModes are all that pgx can be told. The first is its own choice.
var queryModes = []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"}

// TestPgBouncerInEveryQueryMode has more clients than PgBouncer has connections, which
// it hands out for one transaction each. In describe_exec, pgx by itself would run what
// another client prepared; in cache_statement, PgBouncer before 1.21 knows no statements.
func TestPgBouncerInEveryQueryMode(t *testing.T) {
	t.Parallel()
	to := postgres.ours(t).make(t)
	pooled := pgbouncer(t, postgres.shared)
	pooled.table = to.table
	rounds := 3
	if *soak {
		rounds = 8
	}
	for _, mode := range queryModes {
		s := pooled.with("default_query_exec_mode=" + mode).open(t)
		errs := make([]error, 8)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				for n := 0; n < rounds && errs[i] == nil; n++ {
					errs[i] = writeAndRead(s, fmt.Sprint(mode, i), fmt.Sprint("value ", n))
				}
			})
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...), mode)
	}

	// What PgBouncer itself has to say.
	err := pooled.with("bytea_output=escape").open(t).CreateTable(ctx)
	require.ErrorContains(t, err, "list it in ignore_startup_parameters")
	for change, want := range map[string]string{
		"/postgres?=>/nothing?": "the database doesn't exist",
		"postgres@=>nobody@":    "the server doesn't take this user",
	} {
		to := pooled
		old, changed, _ := strings.Cut(change, "=>")
		to.source = strings.Replace(to.source, old, changed, 1)
		require.ErrorContains(t, to.open(t).CreateTable(ctx), want)
	}
}

// writeAndRead has every kind of statement sent once.
func writeAndRead(s *sqlstore.Store, name, value string) error {
	v, err := s.Put(ctx, name, []byte(value), "")
	if err != nil {
		return err
	}
	if v, err = s.Put(ctx, name, []byte(value+" again"), v); err != nil {
		return err
	}
	got, now, err := s.Get(ctx, name)
	if err != nil {
		return err
	}
	if string(got) != value+" again" || now != v {
		return fmt.Errorf("%s has the value %q in version %s, not %q in version %s", name, got, now, value+" again", v)
	}
	if err := s.Delete(ctx, name, ""); !errors.Is(err, storage.ErrConflict) {
		return fmt.Errorf("Delete of the version \"\" of %s, which exists: %v", name, err)
	}
	found := false
	for listed, err := range s.Names(ctx) {
		if err != nil {
			return err
		}
		found = found || listed == name
	}
	if !found {
		return fmt.Errorf("Names doesn't have %s", name)
	}
	return s.Delete(ctx, name, v)
}

// TestByteaOutput reads where the server writes binary values in the old way. PgBouncer
// or a role may set it, and a driver that asks for text gets it.
func TestByteaOutput(t *testing.T) {
	t.Parallel()
	to := postgres.target(t).make(t)
	for _, mode := range queryModes {
		s := to.with("bytea_output=escape&default_query_exec_mode=" + mode).open(t)
		require.NoError(t, s.CreateTable(ctx))
		require.NoError(t, writeAndRead(s, "\\x00 \x00 \\", "\x00\\\xff\x80 é"), mode)
	}
}

// TestDiscardAll has a pooler's server_reset_query, or the application, end the
// statements that the driver keeps.
func TestDiscardAll(t *testing.T) {
	t.Parallel()
	to := postgres.target(t).make(t)
	for _, mode := range queryModes {
		to := to.with("default_query_exec_mode=" + mode)
		for name, open := range map[string]func() (*sql.DB, error){
			"pgx":           to.db,
			"a wrapped pgx": func() (*sql.DB, error) { return sql.Open(wrapped(t, to, nil), to.source) },
		} {
			db, err := open()
			require.NoError(t, err)
			defer db.Close()
			db.SetMaxOpenConns(1)
			s, err := sqlstore.New(db, to.dialect, sqlstore.Options{Table: to.table})
			require.NoError(t, err)
			for range 2 {
				require.NoError(t, writeAndRead(s, "name", "value"), "%s in %s", name, mode)
				mustExec(t, db, "DISCARD ALL")
			}
			v := mustPut(t, s, "name", "value", "") // each kind of statement is the first
			mustExec(t, db, "DISCARD ALL")
			_, _, err = s.Get(ctx, "name")
			require.NoError(t, err)
			mustExec(t, db, "DISCARD ALL")
			require.NoError(t, s.Delete(ctx, "name", v))
		}
	}
}
