package sqlstore_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
	"github.com/oauth2keep/oauth2keep/storage/storagetest"
)

// sharedStore tells storagetest that a table can be opened more than once.
type sharedStore struct {
	*sqlstore.Store
	to     target
	pooled *int // how many handles of it have a pool that tests share, nil if none has
}

func (s sharedStore) Share(t *testing.T) storage.Store {
	if s.pooled == nil {
		return sharedStore{s.to.open(t), s.to, nil}
	}
	*s.pooled++
	return sharedStore{s.to.store(t, *s.pooled), s.to, s.pooled}
}

func (s sharedStore) Spawn(t *testing.T) *storagetest.Process {
	return storagetest.StartProcess(t, s.to.String())
}

// servedStore tells it that there is a server to cut off and to kill.
type servedStore struct {
	sharedStore
	proxy  *storagetest.Proxy
	server *server
}

func (s servedStore) Proxy() *storagetest.Proxy { return s.proxy }

func (s servedStore) Restart(t *testing.T) {
	s.server.Kill()
	require.NoError(t, s.server.Run())
}

// behindProxy returns a database as it is reached through a new Proxy.
func behindProxy(t *testing.T, to target) (*storagetest.Proxy, target) {
	_, after, _ := strings.Cut(to.source, "127.0.0.1:")
	end := strings.IndexFunc(after, func(r rune) bool { return r < '0' || r > '9' })
	if end < 1 {
		t.Skip("the server isn't at 127.0.0.1 and a port")
	}
	addr := "127.0.0.1:" + after[:end]
	proxy := storagetest.NewProxy(t, addr)
	to.source = strings.Replace(to.source, addr, proxy.Addr(), 1)
	return proxy, to
}

// with returns a database to which settings of the connection are added.
func (to target) with(settings string) target {
	separator := "?"
	if strings.Contains(to.source, "?") {
		separator = "&"
	}
	to.source += separator + settings
	return to
}

// TestContract runs the conformance suite on every engine. With -soak it kills
// the servers, and runs on each way of connecting to one that changes what the driver
// sends or what the server answers.
func TestContract(t *testing.T) {
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		if !*soak {
			contract(t, "shared", nil, postgres.target(t))
			return
		}
		server, to := postgres.alone(t)
		contract(t, "plain", server, to)
		contract(t, "serializable", server, to.with("default_transaction_isolation=serializable"))
		contract(t, "simple protocol", server, to.with("default_query_exec_mode=simple_protocol"))
		contract(t, "PgBouncer, transaction pooling", server, pgbouncer(t, server))
	})
	t.Run("MySQL", func(t *testing.T) {
		t.Parallel()
		if !*soak {
			contract(t, "shared", nil, mysql.target(t))
			return
		}
		server, to := mysql.alone(t)
		contract(t, "plain", server, to)
		contract(t, "found rows and no prepared statements", server, to.with("clientFoundRows=true&interpolateParams=true"))
		contract(t, "serializable", server, serializable(t, to))
	})
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		storagetest.Run(t, func(t *testing.T) storage.Store {
			to := sqliteFile(t)
			s := to.open(t)
			require.NoError(t, s.CreateTable(ctx))
			return sharedStore{s, to, nil}
		})
	})
}

// contract runs the suite on a server, which may be killed if it is ours, and is nil if
// it isn't.
func contract(t *testing.T, name string, server *server, to target) {
	t.Run(name, func(t *testing.T) {
		storagetest.Run(t, func(t *testing.T) storage.Store {
			to := to.make(t)
			if server == nil {
				return sharedStore{to.store(t, 0), to, new(int)}
			}
			proxy, through := behindProxy(t, to)
			return servedStore{sharedStore{through.open(t), to, nil}, proxy, server}
		})
	})
}

// serializable has each statement be a serializable transaction.
func serializable(t testing.TB, to target) target {
	return to.with(mysqlSetting(t, to, "isolation=%27SERIALIZABLE%27"))
}

// mysqlSetting returns a setting of transactions, which MariaDB and MySQL name
// differently.
func mysqlSetting(t testing.TB, to target, setting string) string {
	db, err := to.db()
	require.NoError(t, err)
	defer db.Close()
	var version string
	require.NoError(t, db.QueryRow("SELECT VERSION()").Scan(&version))
	if strings.Contains(version, "MariaDB") {
		return "tx_" + setting
	}
	return "transaction_" + setting
}

// pgbouncer starts a PgBouncer in front of a PostgreSQL server. It has fewer connections
// than its clients, and hands them out for one transaction each.
func pgbouncer(t testing.TB, behind *server) target {
	bin := testenv.FindProgram(t, "/usr/sbin/pgbouncer", "apt-get install pgbouncer")
	dir, err := os.MkdirTemp("", "pgbouncer")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	users := filepath.Join(dir, "users")
	require.NoError(t, os.WriteFile(users, []byte("\"postgres\" \"\"\n"), 0o644))
	port, err := testenv.Port()
	require.NoError(t, err)
	config := fmt.Sprintf(`[databases]
postgres = host=127.0.0.1 port=%d user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = trust
auth_file = %s
pool_mode = transaction
default_pool_size = 3
server_login_retry = 1
`, behind.port, port, users)
	path := filepath.Join(dir, "pgbouncer.ini")
	require.NoError(t, os.WriteFile(path, []byte(config), 0o644))
	user, err := testenv.OwnDir(dir, "postgres")
	require.NoError(t, err)
	to := behind.to
	to.source = strings.Replace(to.source, strconv.Itoa(behind.port), strconv.Itoa(port), 1)
	s := testenv.NewServer(to.ping, func() *exec.Cmd { return testenv.AsUser(user, bin, path) })
	require.NoError(t, s.Run())
	// PgBouncer 1.18 ends itself at times when clients leave in the middle of a query.
	s.Supervise()
	t.Cleanup(s.Kill)
	return to
}
