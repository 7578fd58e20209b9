package sqlstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/testdir"
	"github.com/oauth2keep/oauth2keep/internal/testserver"
	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
)

// kind is a kind of server, and the one of it that most tests share: that of an
// environment variable, or else one that they start from what is installed.
type kind struct {
	variable string   // names a data source that is there
	missing  string   // what to install
	user     string   // whom to run as, if the tests run as root
	fast     []string // what makes it forget all when its machine crashes
	make     func(dir, user string, fast []string) (*server, error)

	once   sync.Once
	shared *server
	err    error
}

var errNotInstalled = errors.New("not installed")

var postgres = &kind{
	variable: "OAUTH2KEEP_POSTGRES_DSN", missing: "postgresql", user: "postgres",
	fast: []string{"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "autovacuum=off"},
	make: func(dir, user string, fast []string) (*server, error) {
		bin := newest("/usr/lib/postgresql/*/bin/initdb", "initdb")
		if bin == "" {
			return nil, errNotInstalled
		}
		data := filepath.Join(dir, "data")
		if err := output(asUser(user, bin, "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", data)); err != nil {
			return nil, err
		}
		port, err := testserver.Port()
		if err != nil {
			return nil, err
		}
		return &server{
			dialect: sqlstore.PostgreSQL, dir: dir, port: port,
			source: fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", port),
			command: func() *exec.Cmd {
				return asUser(user, filepath.Join(filepath.Dir(bin), "postgres"), append([]string{"-D", data, "-p", strconv.Itoa(port),
					"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=300",
					"-c", "shared_buffers=32MB"}, fast...)...)
			},
		}, nil
	},
}

var mysql = &kind{
	variable: "OAUTH2KEEP_MYSQL_DSN", missing: "mariadb-server", user: "mysql",
	fast: []string{"--innodb-flush-log-at-trx-commit=2", "--innodb-log-file-size=8M"},
	make: func(dir, user string, fast []string) (*server, error) {
		install, err := exec.LookPath("mariadb-install-db")
		daemon := newest("/usr/sbin/mariadbd", "mariadbd")
		if err != nil || daemon == "" {
			return nil, errNotInstalled
		}
		data := filepath.Join(dir, "data")
		if err := output(asUser(user, install, "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal", "--skip-test-db")); err != nil {
			return nil, err
		}
		first := filepath.Join(dir, "first.sql")
		if err := os.WriteFile(first, []byte("CREATE DATABASE IF NOT EXISTS app;\n"), 0o644); err != nil {
			return nil, err
		}
		port, err := testserver.Port()
		if err != nil {
			return nil, err
		}
		return &server{
			dialect: sqlstore.MySQL, dir: dir, port: port,
			source: fmt.Sprintf("root@tcp(127.0.0.1:%d)/app", port),
			command: func() *exec.Cmd {
				return asUser(user, daemon, append([]string{"--no-defaults", "--datadir=" + data, "--port=" + strconv.Itoa(port),
					"--init-file=" + first, "--bind-address=127.0.0.1", "--socket=" + filepath.Join(dir, "socket"), "--skip-name-resolve",
					"--pid-file=" + filepath.Join(dir, "pid"), "--max-connections=300", "--innodb-buffer-pool-size=64M"}, fast...)...)
			},
		}, nil
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
	return target{dialect: k.shared.dialect, source: k.shared.source}
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
	return s, target{dialect: s.dialect, source: s.source}
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
	if errors.Is(err, errNotInstalled) {
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
	name := ""
	if os.Geteuid() == 0 { // servers refuse to run as root
		name = k.user
		u, err := user.Lookup(name)
		if err != nil {
			return nil, errors.Join(errNotInstalled, err)
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			return nil, err
		}
	}
	s, err := k.make(dir, name, fast)
	if err == nil {
		err = s.start()
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
		if dir, err := os.MkdirTemp(testdir.Memory, "sqlstore"); err == nil {
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

// server is a process that can be killed and started again on the same data.
type server struct {
	dialect sqlstore.Dialect
	dir     string
	source  string
	port    int
	command func() *exec.Cmd

	mu     sync.Mutex // guards what is below
	cmd    *exec.Cmd
	exited chan struct{}
	closed bool
}

// start returns when the server answers.
func (s *server) start() error {
	deadline := time.Now().Add(time.Minute)
	var log bytes.Buffer
	for time.Now().Before(deadline) {
		log.Reset()
		exited := s.launch(&log)
		for {
			select {
			case <-exited: // one that was killed may still be letting go of its data
				time.Sleep(50 * time.Millisecond)
			case <-time.After(20 * time.Millisecond):
				if s.ping() != nil && time.Now().Before(deadline) {
					continue
				}
				return nil
			}
			break
		}
	}
	return fmt.Errorf("the server doesn't start: %s", log.String())
}

// launch starts the process, which is killed when the tests end in whatever way. The
// channel is closed when it has ended.
func (s *server) launch(log *bytes.Buffer) chan struct{} {
	cmd, exited, started := s.command(), make(chan struct{}), make(chan error)
	cmd.Stdout, cmd.Stderr = log, log
	go func() {
		defer close(exited)
		dieWithThread(cmd) // and so this goroutine keeps its thread
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
	}()
	<-started
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cmd, s.exited = cmd, exited
	return exited
}

func (s *server) process() (cmd *exec.Cmd, exited chan struct{}, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cmd, s.exited, s.closed
}

// supervise starts the process again whenever it ends, as an init system does, until
// the server is closed.
func (s *server) supervise() {
	for {
		_, exited, _ := s.process()
		<-exited
		if _, _, closed := s.process(); closed {
			return
		}
		s.launch(new(bytes.Buffer))
	}
}

func (s *server) ping() error {
	to := target{dialect: s.dialect, source: s.source}
	db, err := to.db()
	if err != nil {
		return err
	}
	defer db.Close()
	var one int
	return db.QueryRow("SELECT 1").Scan(&one)
}

func (s *server) kill() {
	cmd, exited, _ := s.process()
	cmd.Process.Kill()
	<-exited
}

func (s *server) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	cmd, exited, _ := s.process()
	cmd.Process.Signal(syscall.SIGINT) // in PostgreSQL, a fast shutdown
	select {
	case <-exited:
	case <-time.After(300 * time.Millisecond): // nobody needs the data
		s.kill()
	}
	for range 20 {
		if os.RemoveAll(s.dir) == nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func newest(pattern, name string) string {
	if found, _ := filepath.Glob(pattern); len(found) > 0 {
		return found[len(found)-1]
	}
	path, _ := exec.LookPath(name)
	return path
}

func output(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}
