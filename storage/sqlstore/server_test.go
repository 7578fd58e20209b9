package sqlstore_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
)

// kind is a kind of server, and the one of it that most tests share: that of an
// environment variable, or else one that they start from what is installed.
type kind struct {
	variable string   // names a data source that is there
	missing  string   // what to install
	fast     []string // what makes it forget all when its machine crashes
	make     func(dir string, fast []string) (*server, error)

	once   sync.Once
	shared *server
	err    error
}

var postgres = &kind{
	variable: "OAUTH2KEEP_POSTGRES_DSN", missing: "postgresql",
	fast: []string{"fsync=off", "full_page_writes=off", "autovacuum=off"},
	make: func(dir string, fast []string) (*server, error) {
		process, port, err := testenv.NewPostgres(dir, []string{"--auth=trust", "--username=postgres"},
			append([]string{"max_connections=300", "shared_buffers=32MB"}, fast...)...)
		return &server{process, dir, port, target{dialect: sqlstore.PostgreSQL,
			source: fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", port)}}, err
	},
}

var mysql = &kind{
	variable: "OAUTH2KEEP_MYSQL_DSN", missing: "mariadb-server",
	fast: []string{"--innodb-flush-log-at-trx-commit=2", "--innodb-log-file-size=8M"},
	make: func(dir string, fast []string) (*server, error) {
		install, err := testenv.LookProgram("mariadb-install-db")
		daemon, missing := testenv.LookProgram("/usr/sbin/mariadbd")
		if err := errors.Join(err, missing); err != nil {
			return nil, err
		}
		user, err := testenv.OwnDir(dir, "mysql")
		if err != nil {
			return nil, err
		}
		data := filepath.Join(dir, "data")
		if err := testenv.Output(testenv.AsUser(user, install, "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db")); err != nil {
			return nil, err
		}
		first := filepath.Join(dir, "first.sql")
		if err := os.WriteFile(first, []byte("CREATE DATABASE IF NOT EXISTS app;\n"), 0o644); err != nil {
			return nil, err
		}
		port, err := testenv.Port()
		if err != nil {
			return nil, err
		}
		to := target{dialect: sqlstore.MySQL, source: fmt.Sprintf("root@tcp(127.0.0.1:%d)/app", port)}
		return &server{testenv.NewServer(to.ping, func() *exec.Cmd {
			return testenv.AsUser(user, daemon, append([]string{"--no-defaults", "--datadir=" + data, "--port=" + strconv.Itoa(port),
				"--init-file=" + first, "--bind-address=127.0.0.1", "--socket=" + filepath.Join(dir, "socket"), "--skip-name-resolve",
				"--pid-file=" + filepath.Join(dir, "pid"), "--max-connections=300", "--innodb-buffer-pool-size=64M"}, fast...)...)
		}), dir, port, to}, nil
	},
}

// target returns the database that tests share.
func (k *kind) target(t testing.TB) target {
	t.Helper()
	if source := os.Getenv(k.variable); source != "" {
		dialect := sqlstore.PostgreSQL
		if k == mysql {
			dialect = sqlstore.MySQL
		}
		return target{dialect: dialect, source: source}
	}
	skipIfShort(t)
	for _, each := range []*kind{postgres, mysql} {
		go each.start() // at the same time, since most tests need both
	}
	k.start()
	k.check(t, k.err)
	return k.shared.to
}

func (k *kind) start() {
	k.once.Do(func() {
		if os.Getenv(k.variable) == "" {
			k.shared, k.err = k.newServer(k.fast)
		}
	})
}

// ours returns the shared database, if it is on a server that the tests started: one whose
// users and settings they may change.
func (k *kind) ours(t testing.TB) target {
	t.Helper()
	to := k.target(t)
	if k.shared == nil {
		t.Skip("needs a server that the tests start themselves")
	}
	return to
}

// alone returns a server that only this test uses, and may kill. It keeps what it
// acknowledged.
func (k *kind) alone(t testing.TB) (*server, target) {
	t.Helper()
	skipIfShort(t)
	s, err := k.newServer(nil)
	k.check(t, err)
	t.Cleanup(s.close)
	return s, s.to
}

// skipIfShort skips a test that needs a server which starts for seconds.
func skipIfShort(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a server: runs without -short")
	}
}

// check skips the test if the server isn't installed, or fails it where everything
// should be.
func (k *kind) check(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, testenv.ErrNotInstalled) {
		message := fmt.Sprintf("install it: apt-get install -y %s; or set %s", k.missing, k.variable)
		if os.Getenv("CI") == "true" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	require.NoError(t, err)
}

func (k *kind) newServer(fast []string) (*server, error) {
	dir, err := newDir(fast != nil)
	if err != nil {
		return nil, err
	}
	s, err := k.make(dir, fast)
	if err == nil {
		err = s.Run()
	}
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return s, nil
}

// newDir makes a directory for a server's data, in memory if it may be and there is one.
func newDir(inMemory bool) (string, error) {
	if inMemory {
		if dir, err := os.MkdirTemp(testenv.Memory, "sqlstore"); err == nil {
			return dir, nil
		}
	}
	return os.MkdirTemp("", "sqlstore")
}

func (k *kind) close() {
	k.once.Do(func() {}) // or wait until it has started
	if k.shared != nil {
		k.shared.close()
	}
}

// server is a process with a directory.
type server struct {
	*testenv.Server
	dir  string
	port int
	to   target
}

func (to target) ping() error {
	db, err := to.db()
	if err != nil {
		return err
	}
	defer db.Close()
	var one int
	return db.QueryRow("SELECT 1").Scan(&one)
}

func (s *server) close() {
	s.Stop()
	for range 20 {
		if os.RemoveAll(s.dir) == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}
