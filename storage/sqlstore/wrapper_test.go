package sqlstore_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"testing"

	"github.com/stretchr/testify/require"
)

// wrapper is a driver around another, as those that trace are. It may tell another
// outcome of a write than the one that the database told.
type wrapper struct {
	driver.Driver
	outcome func(error) error
}

// wrapped returns the name of a wrapper around the driver of a database.
func wrapped(t testing.TB, to target, outcome func(error) error) string {
	db, err := to.db()
	require.NoError(t, err)
	defer db.Close()
	name := "wrapper " + rand.Text()
	sql.Register(name, wrapper{db.Driver(), outcome})
	return name
}

func (w wrapper) Open(name string) (driver.Conn, error) {
	c, err := w.Driver.Open(name)
	return wrappedConn{c, w.outcome}, err
}

type wrappedConn struct {
	driver.Conn
	outcome func(error) error
}

func (c wrappedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

func (c wrappedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	result, err := c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
	if c.outcome != nil {
		err = c.outcome(err)
	}
	return result, err
}
