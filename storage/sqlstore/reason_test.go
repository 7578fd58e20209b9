package sqlstore_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
)

// TestEveryReasonOfServers has the servers report every code of the table, by a trigger
// that raises what the record's name says.
func TestEveryReasonOfServers(t *testing.T) {
	onEach(t, func(t *testing.T, to target) {
		db := to.pool(t, 0)
		switch to.dialect {
		case sqlstore.PostgreSQL:
			mustExec(t, db, "CREATE FUNCTION "+to.table+`_f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				RAISE EXCEPTION USING ERRCODE = convert_from(NEW.name, 'UTF8'), MESSAGE = 'raised: ' || convert_from(NEW.value, 'UTF8'); END $$`)
			t.Cleanup(func() { mustExec(t, db, "DROP FUNCTION "+to.table+"_f CASCADE") })
			mustExec(t, db, "CREATE TRIGGER raise BEFORE INSERT ON "+to.table+" FOR EACH ROW EXECUTE FUNCTION "+to.table+"_f()")
		case sqlstore.MySQL:
			mustExec(t, db, "CREATE TRIGGER "+to.table+"_t BEFORE INSERT ON "+to.table+` FOR EACH ROW BEGIN
				DECLARE code INT; SET code = CAST(CONVERT(NEW.name USING utf8mb4) AS UNSIGNED); SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = code, MESSAGE_TEXT = 'raised'; END`)
		case sqlstore.SQLite:
			t.Skip("see TestReasonsOfSQLite")
		}
		s := to.store(t, 0)
		sqlstore.Reasons(func(d sqlstore.Dialect, codes, text, advice string, refused bool) {
			if d != to.dialect {
				return
			}
			for code := range strings.FieldsSeq(codes) {
				t.Run(code+" "+text, func(t *testing.T) {
					t.Parallel()
					_, err := s.Put(ctx, code, []byte(text), "")
					require.ErrorContains(t, err, "raised")
					require.ErrorContains(t, err, "; "+advice+")")
					require.NotErrorIs(t, err, storage.ErrConflict)
					if refused {
						require.ErrorContains(t, err, "(nothing was written; ")
					} else {
						require.ErrorContains(t, err, "(it may have happened all the same: read the record again")
					}
				})
			}
		})
	})
}

// TestReasonsOfSQLite has SQLite report its codes.
func TestReasonsOfSQLite(t *testing.T) {
	t.Parallel()
	open := func(statement string) *sqlstore.Store {
		db, err := sql.Open("sqlite", memoryDir(t)+"/db")
		require.NoError(t, err)
		t.Cleanup(func() { db.Close() })
		db.SetMaxOpenConns(1)
		mustExec(t, db, statement)
		s, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Options{})
		require.NoError(t, err)
		return s
	}
	table := func(columns string) string { return "CREATE TABLE oauth2keep (" + columns + ")" }
	sound := table(columns[sqlstore.SQLite] + key)
	for statement, want := range map[string]string{
		"":                       "make the table",
		table("name_hash, name"): "columns aren't those of Schema",
		table("name_hash TEXT PRIMARY KEY, version BLOB, name BLOB, value BLOB) STRICT--"): "columns aren't those of Schema",
		table(columns[sqlstore.SQLite]):                               "needs a primary key of its own",
		table(columns[sqlstore.SQLite] + key + ", CHECK (value = 1)"): "has a constraint that Schema doesn't give it",
		sound + "; PRAGMA max_page_count = 3":                         "disk is full",
		sound + "; PRAGMA query_only = 1":                             "read-only",
	} {
		_, err := open(statement).Put(ctx, "name", make([]byte, 100_000), "")
		require.ErrorContains(t, err, "nothing was written; ", statement)
		require.ErrorContains(t, err, want, statement)
	}
	for path, want := range map[string]string{
		"no such directory/db": "its directory must exist",
		"text":                 "the file is damaged, or is no database",
	} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "text"), []byte(strings.Repeat("this is no database ", 100)), 0o600))
		db, err := sql.Open("sqlite", filepath.Join(dir, path))
		require.NoError(t, err)
		defer db.Close()
		s, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Options{})
		require.NoError(t, err)
		_, _, err = s.Get(ctx, "name")
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, s.CreateTable(ctx), want)
	}
}

// TestAdviceOfCreateTable is about what a program meets when it is first deployed.
func TestAdviceOfCreateTable(t *testing.T) {
	t.Parallel()
	pg, my := postgres.ours(t), mysql.ours(t)
	pgDB, err := pg.db()
	require.NoError(t, err)
	defer pgDB.Close()
	mustExec(t, pgDB, "CREATE ROLE nothing LOGIN")
	mustExec(t, pgDB, "CREATE ROLE unwelcome LOGIN CONNECTION LIMIT 0")
	myDB, err := my.db()
	require.NoError(t, err)
	defer myDB.Close()
	mustExec(t, myDB, "CREATE USER nothing")
	mustExec(t, myDB, "CREATE USER reader")
	mustExec(t, myDB, "GRANT SELECT ON app.* TO reader")
	mustExec(t, myDB, "CREATE USER locked IDENTIFIED BY 'hush'")
	closed := testenv.Addr(t)
	for _, test := range []struct {
		name     string
		to       target
		old, new string // in the source
		table    string
		code     string
		want     string
	}{
		{"server down", pg, fmt.Sprint("127.0.0.1:", postgres.shared.port), closed, "", "refused", "try again when the database is back; if it never was there, check address and port"},
		{"unknown host", pg, "127.0.0.1", "nowhere.invalid", "", "nowhere.invalid", "has no address"},
		{"role missing", pg, "postgres@", "nobody@", "", "28000", "the server doesn't take this user"},
		{"database missing", pg, "/postgres?", "/nothing?", "", "3D000", "the database doesn't exist"},
		{"TLS refused", pg, "sslmode=disable", "sslmode=require", "", "TLS", "don't agree about TLS"},
		{"may not create", pg, "postgres@", "nothing@", "", "42501", "grant this user"},
		{"schema missing", pg, "", "", "nothing.tokens", "3F000", "make the schema first"},
		{"no connection left", pg, "postgres@", "unwelcome@", "", "53300", "limit this pool by SetMaxOpenConns"},

		{"server down", my, fmt.Sprint("127.0.0.1:", mysql.shared.port), closed, "", "refused", "try again when the database is back; if it never was there, check address and port"},
		{"unknown host", my, "127.0.0.1", "nowhere.invalid", "", "nowhere.invalid", "has no address"},
		{"wrong password", my, "root@", "locked:guess@", "", "1045", "the server doesn't take this user"},
		{"database missing", my, "/app", "/nothing", "", "1049", "the database doesn't exist"},
		{"database of the table missing", my, "", "", "nothing.tokens", "1049", "the database doesn't exist"},
		{"TLS refused", my, "/app", "/app?tls=true", "", "TLS", "don't agree about TLS"},
		{"may not use the database", my, "root@", "nothing@", "", "1044", "grant this user"},
		{"may not create", my, "root@", "reader@", "", "1142", "grant this user"},

		{"schema missing", target{dialect: sqlstore.SQLite, source: memoryDir(t) + "/db"}, "", "", "nothing.tokens", "unknown database", "make the schema first"},
	} {
		t.Run(test.to.dialect.String()+"/"+test.name, func(t *testing.T) {
			to := test.to
			require.Contains(t, to.source, test.old)
			to.source = strings.Replace(to.source, test.old, test.new, 1)
			if to.table = test.table; to.table == "" {
				to.table = "oauth2keep"
			}
			err := to.open(t).CreateTable(ctx)
			require.ErrorContains(t, err, test.code)
			require.ErrorContains(t, err, test.want)
			require.Equal(t, strings.Contains(test.want, "try again"), strings.Contains(err.Error(), "try again"), "%v", err)
			require.NotContains(t, err.Error(), "hush")
			require.NotContains(t, err.Error(), "columns")
			if test.table == "" && test.name != "may not create" {
				_, err := to.open(t).Put(ctx, "name", nil, "")
				require.ErrorContains(t, err, "nothing was written; ")
				require.ErrorContains(t, err, test.want)
			}
		})
	}
}

// TestServerThatFellOver reports, of a write that it did, the error that PostgreSQL gives
// when it has no room for its log, and falls over: with the severity ERROR the statement
// is undone, with PANIC it can be there after the restart.
func TestServerThatFellOver(t *testing.T) {
	t.Parallel()
	to := postgres.target(t).make(t)
	for severity, want := range map[string]string{"PANIC": "it may have happened all the same", "FATAL": "it may have happened all the same", "ERROR": "nothing was written"} {
		db, err := sql.Open(wrapped(t, to, func(error) error {
			return &pgconn.PgError{Severity: "translated", SeverityUnlocalized: severity, Code: "53100"}
		}), to.source)
		require.NoError(t, err)
		defer db.Close()
		s, err := sqlstore.New(db, to.dialect, sqlstore.Options{Table: to.table})
		require.NoError(t, err)
		_, err = s.Put(ctx, severity, nil, "")
		require.ErrorContains(t, err, "("+want)
		require.ErrorContains(t, err, "disk is full")
	}
}

// TestConnectionThatAnOperatorEnds has the server end a session that waits for a lock.
func TestConnectionThatAnOperatorEnds(t *testing.T) {
	onEach(t, func(t *testing.T, to target) {
		if to.dialect == sqlstore.SQLite {
			t.Skip("SQLite has no server")
		}
		s := to.open(t)
		v := mustPut(t, s, "name", "value", "")
		db, err := to.db()
		require.NoError(t, err)
		defer db.Close()
		tx, err := db.Begin()
		require.NoError(t, err)
		defer tx.Rollback()
		_, err = tx.Exec("UPDATE " + to.table + " SET value = value")
		require.NoError(t, err)
		var holder int64 // which MySQL may list with its statement for a while after that
		if to.dialect == sqlstore.MySQL {
			require.NoError(t, tx.QueryRow("SELECT CONNECTION_ID()").Scan(&holder))
		}
		var done atomic.Bool
		failed := make(chan error, 1)
		go func() {
			_, err := s.Put(ctx, "name", nil, v)
			failed <- err
			done.Store(true)
		}()
		for !done.Load() {
			if to.dialect == sqlstore.PostgreSQL {
				mustExec(t, db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%"+to.table+"%' AND pid <> pg_backend_pid()")
			} else {
				var id int64
				if db.QueryRow("SELECT ID FROM information_schema.PROCESSLIST WHERE INFO LIKE 'UPDATE%"+to.table+"%' AND ID <> ?", holder).Scan(&id) == nil {
					mustExec(t, db, fmt.Sprint("KILL ", id))
				}
			}
			time.Sleep(10 * time.Millisecond)
		}
		err = <-failed
		require.ErrorContains(t, err, "it may have happened all the same")
		require.ErrorContains(t, err, "try again when")
		require.NotErrorIs(t, err, storage.ErrConflict)
		require.NoError(t, tx.Rollback())
		mustPut(t, s, "name", "another value", v)
	})
}
