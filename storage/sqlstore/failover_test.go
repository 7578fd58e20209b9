package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
)

// address is where a pool finds its primary, as a name in the DNS is.
type address struct {
	driver driver.Driver
	source atomic.Value
}

func (a *address) Driver() driver.Driver { return a.driver }

func (a *address) Connect(context.Context) (driver.Conn, error) {
	return a.driver.Open(a.source.Load().(string))
}

// pool returns a pool in which there are idle connections to what the address is now.
func (a *address) pool(t *testing.T, idle int) *sql.DB {
	db := sql.OpenDB(a)
	t.Cleanup(func() { db.Close() })
	db.SetMaxIdleConns(idle)
	for range idle {
		conn, err := db.Conn(ctx)
		require.NoError(t, err)
		defer conn.Close()
	}
	return db
}

func newAddress(t *testing.T, to target, source string) *address {
	db, err := to.db()
	require.NoError(t, err)
	defer db.Close()
	a := &address{driver: db.Driver()}
	a.source.Store(source)
	return a
}

// TestReadOnlyConnectionsLeaveThePool is what happens when a primary becomes a replica
// and keeps its connections: the next write must reach the new primary.
func TestReadOnlyConnectionsLeaveThePool(t *testing.T) {
	onEach(t, func(t *testing.T, to target) {
		var replica target
		switch to.dialect {
		case sqlstore.PostgreSQL:
			replica = to.with("default_transaction_read_only=on")
		case sqlstore.MySQL:
			replica = to.with(mysqlSetting(t, to, "read_only=1"))
		case sqlstore.SQLite:
			t.Skip("SQLite has no replicas")
		}
		a := newAddress(t, to, replica.source)
		db := a.pool(t, 5)
		s, err := sqlstore.New(db, to.dialect, sqlstore.Options{Table: to.table})
		require.NoError(t, err)
		require.NoError(t, s.CreateTable(ctx))
		before := db.Stats()
		require.Equal(t, 5, before.Idle)

		_, err = s.Put(ctx, "name", []byte("value"), "")
		require.ErrorContains(t, err, "connect to the primary")
		require.ErrorContains(t, err, "nothing was written")
		require.Zero(t, db.Stats().Idle, "connections to what is read-only")

		db = a.pool(t, 5)
		s, err = sqlstore.New(db, to.dialect, sqlstore.Options{Table: to.table})
		require.NoError(t, err)
		a.source.Store(to.source)
		v := mustPut(t, s, "name", "value", "")
		require.NoError(t, s.Delete(ctx, "name", v))
		require.Equal(t, 1, db.Stats().Idle, "the connection to the new primary")
	})
}

// TestMySQLPrimaryThatIsSetReadOnly isn't parallel, since it changes the server for all.
func TestMySQLPrimaryThatIsSetReadOnly(t *testing.T) {
	to := mysql.ours(t).make(t)
	db, err := to.db()
	require.NoError(t, err)
	defer db.Close()
	admin := func(statement string) {
		t.Helper()
		_, err := db.Exec(statement)
		require.NoError(t, err)
	}
	admin("CREATE USER app") // without the right to write all the same
	defer admin("DROP USER app")
	admin("GRANT ALL ON app.* TO app")
	app := to
	app.source = strings.Replace(to.source, "root@", "app@", 1)
	a := newAddress(t, to, app.source)
	pool := a.pool(t, 5)
	s, err := sqlstore.New(pool, to.dialect, sqlstore.Options{Table: to.table})
	require.NoError(t, err)
	v := mustPut(t, s, "name", "value", "")

	admin("SET GLOBAL read_only = 1")
	defer admin("SET GLOBAL read_only = 0")
	_, err = s.Put(ctx, "name", []byte("hush"), v)
	require.ErrorContains(t, err, "1290")
	require.ErrorContains(t, err, "connect to the primary")
	require.Zero(t, pool.Stats().Idle)
	a.source.Store(to.source)
	mustPut(t, s, "name", "value", v)
}
