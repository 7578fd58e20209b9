package sqlstore_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
	"github.com/oauth2keep/oauth2keep/storage/storagetest"
	"github.com/oauth2keep/oauth2keep/tokensource/tokensourcetest"
)

var ctx = context.Background()

// soak also runs what takes minutes: servers that are killed, every way to connect, fleets
// of processes, and many records.
var soak = flag.Bool("soak", false, "also kill servers, and run fleets and long tests")

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
		db.SetMaxOpenConns(12)
		db.SetMaxIdleConns(12)
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

// pools has the pools that tests share, by the dialect and source of their database.
// Connections are what takes a server the most time here.
var pools sync.Map

// pool returns the nth pool of a server that tests share, and don't close. That of a file is
// closed with the test.
func (to target) pool(t testing.TB, n int) *sql.DB {
	t.Helper()
	db, err := to.db()
	require.NoError(t, err)
	if to.dialect == sqlstore.SQLite {
		t.Cleanup(func() { db.Close() })
		return db
	}
	to.table = ""
	shared, there := pools.LoadOrStore(fmt.Sprint(n, " ", to), db)
	if there {
		db.Close()
	}
	return shared.(*sql.DB)
}

// store returns a Store with that pool.
func (to target) store(t testing.TB, n int) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.New(to.pool(t, n), to.dialect, sqlstore.Options{Table: to.table})
	require.NoError(t, err)
	return s
}

// make makes an empty table with a name of its own, and drops it in the end.
func (to target) make(t testing.TB) target {
	t.Helper()
	to.table = "t_" + strings.ToLower(rand.Text())
	require.NoError(t, to.store(t, 0).CreateTable(ctx))
	if to.dialect == sqlstore.SQLite {
		return to // whose file goes
	}
	t.Cleanup(func() {
		var err error
		db := to.pool(t, 0)
		for range 20 { // a server may just be starting again, or hold what a cut connection left
			brief, cancel := context.WithTimeout(ctx, 2*time.Second)
			_, err = db.ExecContext(brief, "DROP TABLE "+to.table)
			cancel()
			if err == nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Logf("table %s is left behind: %v", to.table, err)
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

func newSQLite(t testing.TB) target { return sqliteFile(t).make(t) }

// sqliteFile returns a database of SQLite that doesn't exist yet.
func sqliteFile(t testing.TB) target {
	return target{dialect: sqlstore.SQLite, source: memoryDir(t) + "/store.db", table: "records"}
}

// memoryDir returns a directory in memory or, with -soak, on a disk. Nothing cuts the power
// here.
func memoryDir(t testing.TB) string {
	if *soak {
		return t.TempDir()
	}
	return testenv.DirInMemory(t)
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
func mustPut(t testing.TB, s storage.Store, name, value string, old storage.Version) storage.Version {
	t.Helper()
	v, err := s.Put(ctx, name, []byte(value), old)
	require.NoError(t, err)
	return v
}

// String is what openAt reads.
func (to target) String() string {
	return fmt.Sprintf("%d %s %s", to.dialect, to.table, to.source)
}

// openAt opens a Store in a process that a test started.
func openAt(at string) (storage.Store, error) {
	var to target
	if _, err := fmt.Sscanf(at, "%d %s", &to.dialect, &to.table); err != nil {
		return nil, err
	}
	to.source = strings.SplitN(at, " ", 3)[2]
	db, err := to.db()
	if err != nil {
		return nil, err
	}
	return sqlstore.New(db, to.dialect, sqlstore.Options{Table: to.table})
}

func TestMain(m *testing.M) {
	tokensourcetest.Child(openAt)
	storagetest.Child(openAt)
	// These tests wait for disks and servers most of the time.
	flag.Parse()
	flag.Set("test.parallel", "12")
	code := m.Run()
	postgres.close()
	mysql.close()
	os.Exit(code)
}
