package sqlstore_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
)

var ctx = context.Background()

// target is one table, as several processes may open it.
type target struct {
	dialect sqlstore.Dialect
	source  string // of sql.Open; for SQLite the path of the file
	table   string
}

func (to target) db() (*sql.DB, error) {
	var db *sql.DB
	var err error
	switch to.dialect {
	case sqlstore.PostgreSQL:
		db, err = sql.Open("pgx", to.source)
	case sqlstore.MySQL:
		db, err = sql.Open("mysql", to.source)
	default:
		db, err = sqlstore.OpenSQLite(ctx, to.source)
	}
	if err == nil {
		db.SetMaxOpenConns(8)
		db.SetMaxIdleConns(8)
	}
	return db, err
}

// open returns a Store with a pool of its own.
func (to target) open(t testing.TB) *sqlstore.Store {
	t.Helper()
	db, err := to.db()
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	s, err := sqlstore.New(db, to.dialect, sqlstore.Options{Table: to.table})
	require.NoError(t, err)
	return s
}

// make makes an empty table with a name of its own, and drops it in the end.
func (to target) make(t testing.TB) target {
	t.Helper()
	to.table = "t_" + strings.ToLower(rand.Text())
	require.NoError(t, to.open(t).CreateTable(ctx))
	if to.dialect == sqlstore.SQLite {
		return to // whose file goes
	}
	t.Cleanup(func() {
		db, err := to.db()
		require.NoError(t, err)
		defer db.Close()
		_, err = db.Exec("DROP TABLE " + to.table)
		require.NoError(t, err)
	})
	return to
}

// engines are the databases that tests run on, each with a table of its own.
var engines = []struct {
	name string
	make func(t testing.TB) target
}{
	{"PostgreSQL", func(t testing.TB) target { return postgres.target(t).make(t) }},
	{"MySQL", func(t testing.TB) target { return mysql.target(t).make(t) }},
	{"SQLite", newSQLite},
}

func newSQLite(t testing.TB) target {
	return target{dialect: sqlstore.SQLite, source: t.TempDir() + "/store.db"}.make(t)
}

// onEach runs a test on all engines at the same time.
func onEach(t *testing.T, test func(t *testing.T, to target)) {
	t.Parallel()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			test(t, e.make(t))
		})
	}
}

// mustPut is Put for tests about something else.
func mustPut(t testing.TB, s storage.Store, key, value string, old storage.Version) storage.Version {
	t.Helper()
	v, err := s.Put(ctx, key, []byte(value), old)
	require.NoError(t, err)
	return v
}

// roles are what a process does that the tests make of this program.
var roles = map[string]func(target) error{
	"increment": increments,
	"write":     writes,
	"refresh":   refreshes,
}

const roleVariable = "OAUTH2KEEP_SQLSTORE_TEST_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		// These tests wait for disks and servers most of the time.
		flag.Parse()
		flag.Set("test.parallel", "12")
		code := m.Run()
		postgres.close()
		mysql.close()
		os.Exit(code)
	}
	var to target
	_, err := fmt.Sscanf(os.Args[1], "%d %s", &to.dialect, &to.table)
	if err == nil {
		to.source = os.Args[2]
		err = roles[role](to)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, role+":", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// child returns a process that hasn't begun yet.
func child(t testing.TB, role string, to target) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, fmt.Sprintf("%d %s", to.dialect, to.table), to.source)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	return cmd
}

// store is target.open in a process of a role.
func (to target) store() (*sqlstore.Store, error) {
	db, err := to.db()
	if err != nil {
		return nil, err
	}
	return sqlstore.New(db, to.dialect, sqlstore.Options{Table: to.table})
}

// runAll runs as many processes of a role at the same time.
func runAll(t *testing.T, n int, role string, to target) {
	t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		cmd := child(t, role, to)
		wg.Go(func() { errs[i] = cmd.Run() })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
}
