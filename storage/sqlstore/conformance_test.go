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

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
	"github.com/oauth2keep/oauth2keep/storage/storagetest"
)

// sharedStore tells storagetest that a table can be opened more than once.
type sharedStore struct {
	*sqlstore.Store
	to target
}

func (s sharedStore) Share(t *testing.T) storage.Store { return sharedStore{s.to.open(t), s.to} }

// with returns a database to which settings of the connection are added.
func (to target) with(settings string) target {
	separator := "?"
	if strings.Contains(to.source, "?") {
		separator = "&"
	}
	to.source += separator + settings
	return to
}

// TestContract runs the conformance suite on every engine, and on each way of
// connecting to it that changes what the driver sends or what the server answers.
func TestContract(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(t testing.TB) target
	}{
		{"PostgreSQL", func(t testing.TB) target { return postgres.target(t) }},
		{"PostgreSQL, serializable", func(t testing.TB) target {
			return postgres.target(t).with("default_transaction_isolation=serializable")
		}},
		{"PostgreSQL, simple protocol", func(t testing.TB) target {
			return postgres.target(t).with("default_query_exec_mode=simple_protocol")
		}},
		{"PgBouncer, transaction pooling", func(t testing.TB) target {
			return pgbouncer(t).with("default_query_exec_mode=exec")
		}},
		{"MySQL", func(t testing.TB) target { return mysql.target(t) }},
		{"MySQL, found rows and no prepared statements", func(t testing.TB) target {
			return mysql.target(t).with("clientFoundRows=true&interpolateParams=true")
		}},
		{"MySQL, serializable", func(t testing.TB) target {
			return serializable(t, mysql.target(t))
		}},
		{"SQLite", func(t testing.TB) target {
			return target{dialect: sqlstore.SQLite, source: t.TempDir() + "/store.db"}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			to := tt.make(t)
			storagetest.Run(t, func(t *testing.T) storage.Store {
				to := to.make(t)
				return sharedStore{to.open(t), to}
			})
		})
	}
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

// pgbouncer starts a PgBouncer in front of the PostgreSQL server that tests share. It
// has fewer connections than its clients, and hands them out for one transaction
// each.
func pgbouncer(t testing.TB) target {
	to := postgres.target(t)
	bin := newest("/usr/sbin/pgbouncer", "pgbouncer")
	k := &kind{variable: postgres.variable, missing: "pgbouncer"}
	if bin == "" {
		k.check(t, errNotInstalled)
	}
	if postgres.shared == nil {
		t.Skip("needs a server that the tests start themselves")
	}
	dir, err := os.MkdirTemp("", "pgbouncer")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	port := freePort()
	config := fmt.Sprintf(`[databases]
postgres = host=127.0.0.1 port=%d user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
`, postgres.shared.port, port)
	path := filepath.Join(dir, "pgbouncer.ini")
	require.NoError(t, os.WriteFile(path, []byte(config), 0o644))
	user := ""
	if os.Geteuid() == 0 {
		user = postgres.user
	}
	s := &server{
		dialect: sqlstore.PostgreSQL, dir: dir, port: port,
		source:  strings.Replace(to.source, strconv.Itoa(postgres.shared.port), strconv.Itoa(port), 1),
		command: func() *exec.Cmd { return asUser(user, bin, path) },
	}
	require.NoError(t, s.start())
	t.Cleanup(s.close)
	return target{dialect: s.dialect, source: s.source}
}
