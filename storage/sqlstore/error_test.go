package sqlstore_test

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
)

// TestDeadlock has several create one record that another transaction has inserted
// and takes back. In MySQL that is a deadlock among them, for all but one.
func TestDeadlock(t *testing.T) {
	onEach(t, func(t *testing.T, to target) {
		if to.dialect == sqlstore.SQLite {
			t.Skip("SQLite has one writer at a time")
		}
		s, db := to.store(t, 0), to.pool(t, 0)
		before := deadlocks(t, db, to)
		for range 3 {
			v := mustPut(t, s, "name", "value", "")
			require.NoError(t, s.Delete(ctx, "name", v))
			tx, err := db.Begin()
			require.NoError(t, err)
			defer tx.Rollback()
			insertRow(t, tx, to, hashOf("name"), []byte("0123456789abcdef"), "name", "never committed")
			errs := make([]error, 4)
			var wg sync.WaitGroup
			for i := range errs {
				wg.Go(func() { _, errs[i] = s.Put(ctx, "name", []byte("hush"), "") })
			}
			time.Sleep(100 * time.Millisecond) // for them to wait for the row
			require.NoError(t, tx.Rollback())
			wg.Wait()
			won := 0
			for _, err := range errs {
				if err == nil {
					won++
				} else {
					require.Equal(t, storage.ErrConflict, err)
				}
			}
			require.Equal(t, 1, won)
			_, v, err = s.Get(ctx, "name")
			require.NoError(t, err)
			require.NoError(t, s.Delete(ctx, "name", v))
		}
		t.Logf("%d deadlocks on this server meanwhile", deadlocks(t, db, to)-before)
	})
}

// deadlocks returns how many MariaDB has seen.
func deadlocks(t *testing.T, db *sql.DB, to target) (n int) {
	if to.dialect == sqlstore.MySQL {
		var name string
		err := db.QueryRow("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'").Scan(&name, &n)
		if !errors.Is(err, sql.ErrNoRows) {
			require.NoError(t, err)
		}
	}
	return n
}

// TestErrorsSayWhatToDo makes databases refuse what they are asked.
func TestErrorsSayWhatToDo(t *testing.T) {
	open := func(t *testing.T, db *sql.DB, err error, to target) *sqlstore.Store {
		require.NoError(t, err)
		t.Cleanup(func() { db.Close() })
		s, err := sqlstore.New(db, to.dialect, sqlstore.Options{Table: to.table})
		require.NoError(t, err)
		return s
	}
	refused := func(t *testing.T, err error, want string) {
		t.Helper()
		require.ErrorContains(t, err, want)
		require.True(t, strings.HasPrefix(err.Error(), "sqlstore: "), err)
		require.NotContains(t, err.Error(), "hush")
		require.NotErrorIs(t, err, storage.ErrConflict)
	}
	onEach(t, func(t *testing.T, to target) {
		v := mustPut(t, to.store(t, 0), "name", "hush", "")
		var readOnly, impatient *sqlstore.Store
		switch to.dialect {
		case sqlstore.PostgreSQL:
			readOnly = to.with("default_transaction_read_only=on").open(t)
			impatient = to.with("lock_timeout=100").open(t)
		case sqlstore.MySQL:
			readOnly = to.with(mysqlSetting(t, to, "read_only=1")).open(t)
			impatient = to.with("innodb_lock_wait_timeout=1").open(t)
		case sqlstore.SQLite:
			db, err := sql.Open("sqlite", to.source+"?_pragma=query_only(1)")
			readOnly = open(t, db, err, to)
			db, err = sql.Open("sqlite", to.source) // which has no patience
			impatient = open(t, db, err, to)
		}
		_, err := readOnly.Put(ctx, "name", []byte("hush"), v)
		refused(t, err, "connect to the primary")
		refused(t, readOnly.Delete(ctx, "name", v), "connect to the primary")

		db, err := to.db()
		require.NoError(t, err)
		t.Cleanup(func() { db.Close() })
		tx, err := db.Begin()
		require.NoError(t, err)
		defer tx.Rollback()
		_, err = tx.Exec("UPDATE " + to.table + " SET value = value")
		require.NoError(t, err)
		_, err = impatient.Put(ctx, "name", []byte("hush"), v)
		refused(t, err, "nothing was written")
		require.NoError(t, tx.Rollback())
		mustPut(t, impatient, "name", "hush", v)

		// A pool that was closed is an error too, of reads and of writes.
		db, err = to.db()
		closed := open(t, db, err, to)
		db.Close()
		_, _, err = closed.Get(ctx, "name")
		refused(t, err, "the application closed the *sql.DB")
		_, err = closed.Put(ctx, "name", []byte("hush"), v)
		refused(t, err, "nothing was written")
		refused(t, closed.Delete(ctx, "name", ""), "can't read table")
		for _, err := range closed.Names(ctx) {
			refused(t, err, "can't read table")
		}
	})
}

// TestNoRights is about a user that may connect, and nothing else.
func TestNoRights(t *testing.T) {
	t.Parallel()
	to := postgres.ours(t).make(t)
	db, err := to.db()
	require.NoError(t, err)
	defer db.Close()
	_, err = db.Exec("CREATE ROLE limited LOGIN")
	require.NoError(t, err)
	limited := to
	limited.source = strings.Replace(to.source, "//postgres@", "//limited@", 1)
	s := limited.open(t)
	_, _, err = s.Get(ctx, "name")
	require.ErrorContains(t, err, "grant this user SELECT, INSERT, UPDATE and DELETE")
	require.ErrorContains(t, s.CreateTable(ctx), "grant this user")

	_, err = db.Exec("GRANT SELECT, INSERT, UPDATE, DELETE ON " + to.table + " TO limited")
	require.NoError(t, err)
	require.NoError(t, s.CreateTable(ctx), "of a table that is there, by a user who may not create one")
	mustPut(t, s, "name", "value", "")
}

// TestWriteThatTheDriverSendsTwice is what pgx 5.12 does in the simple protocol, for
// any engine.
func TestWriteThatTheDriverSendsTwice(t *testing.T) {
	onEach(t, func(t *testing.T, to target) {
		if to.dialect == sqlstore.SQLite {
			t.Skip("SQLite has no connections that break")
		}
		honest := to.store(t, 0)
		source := to.source
		if to.dialect == sqlstore.MySQL { // else it prepares a statement, and ExecContext sends nothing
			source = to.with("interpolateParams=true").source
		}
		var lie atomic.Bool
		db, err := sql.Open(wrapped(t, to, func(err error) error {
			if lie.Swap(false) {
				return driver.ErrBadConn
			}
			return err
		}), source)
		require.NoError(t, err)
		defer db.Close()
		store, err := sqlstore.New(db, to.dialect, sqlstore.Options{Table: to.table})
		require.NoError(t, err)
		s := func() *sqlstore.Store {
			lie.Store(true)
			return store
		}

		unknown := func(err error, call string) {
			t.Helper()
			require.Error(t, err, call)
			require.NotErrorIs(t, err, storage.ErrConflict, call)
			require.ErrorContains(t, err, "read the record again", call)
		}
		_, err = s().Put(ctx, "name", []byte("first"), "")
		unknown(err, "a creation, which happened and wasn't acknowledged")
		value, v, err := honest.Get(ctx, "name")
		require.NoError(t, err)
		require.Equal(t, "first", string(value))
		_, err = s().Put(ctx, "name", []byte("second"), v)
		unknown(err, "a replacement, likewise")
		value, v, err = honest.Get(ctx, "name")
		require.NoError(t, err)
		require.Equal(t, "second", string(value))

		_, err = s().Put(ctx, "name", []byte("third"), "")
		unknown(err, "a conflict that may be one with itself")
		unknown(s().Delete(ctx, "name", v), "it was deleted, by this or by another")
		_, _, err = honest.Get(ctx, "name")
		require.ErrorIs(t, err, storage.ErrNotFound)
	})
}

// TestWriteThatTheDriverSendsAgainInVain: the first time it was done, and nobody knows.
func TestWriteThatTheDriverSendsAgainInVain(t *testing.T) {
	onEach(t, func(t *testing.T, to target) {
		if to.dialect == sqlstore.SQLite {
			t.Skip("SQLite has no connections that break")
		}
		honest := to.store(t, 0)
		source := to.source
		if to.dialect == sqlstore.MySQL {
			source = to.with("interpolateParams=true").source
		}
		var db *sql.DB
		db, err := sql.Open(wrapped(t, to, func(error) error {
			db.Close() // as when the server is gone: there is no other connection
			return driver.ErrBadConn
		}), source)
		require.NoError(t, err)
		s, err := sqlstore.New(db, to.dialect, sqlstore.Options{Table: to.table})
		require.NoError(t, err)

		_, err = s.Put(ctx, "name", []byte("value"), "")
		require.ErrorContains(t, err, "it may have happened all the same")
		require.NotContains(t, err.Error(), "nothing was written")
		value, _, err := honest.Get(ctx, "name")
		require.NoError(t, err)
		require.Equal(t, "value", string(value))
	})
}
