package sqlstore_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
)

// looseTables are such as CreateTable takes, and Schema doesn't make: they can hold rows that
// no Store wrote.
var looseTables = map[sqlstore.Dialect]string{
	sqlstore.PostgreSQL: "(name_hash bytea PRIMARY KEY, version bytea, name bytea, value bytea)",
	sqlstore.MySQL:      "(name_hash BINARY(32) PRIMARY KEY, version VARBINARY(20), name LONGBLOB, value LONGBLOB) ENGINE=InnoDB",
	sqlstore.SQLite:     "(name_hash BLOB PRIMARY KEY, version BLOB, name BLOB, value BLOB)",
}

func TestDiscardDeletesWhatGetCannotRead(t *testing.T) {
	onEach(t, func(t *testing.T, to target) {
		db := to.pool(t, 0)
		for _, statement := range []string{"DROP TABLE " + to.table, "CREATE TABLE " + to.table + looseTables[to.dialect]} {
			_, err := db.Exec(statement)
			require.NoError(t, err)
		}
		s := to.store(t, 0)
		require.NoError(t, s.CreateTable(ctx))
		keys, err := storage.NewKeyset(storage.NewKey())
		require.NoError(t, err)
		e := storage.Encrypt(s, keys)
		beside := mustPut(t, s, "beside", "value", "")

		odd := []any{nil, []byte{}, make([]byte, 15), make([]byte, 17), make([]byte, 20)}
		if to.dialect == sqlstore.SQLite { // has texts and numbers in any column that isn't STRICT
			odd = append(odd, "0123456789abcdef", "áéíóúäöü", 1234567890123456)
		}
		for _, version := range odd {
			insert := func() {
				_, err := db.Exec(insertOf(to), hashOf("account 1"), version, []byte("account 1"), []byte("value"))
				require.NoError(t, err)
			}
			insert()
			_, v, err := s.Get(ctx, "account 1")
			require.ErrorIs(t, err, storage.ErrOpen, version)
			require.Empty(t, v)
			for _, old := range []storage.Version{"", storage.Version(strings.Repeat("0", 32))} {
				_, err = s.Put(ctx, "account 1", nil, old)
				require.ErrorIs(t, err, storage.ErrConflict)
				require.ErrorIs(t, s.Delete(ctx, "account 1", old), storage.ErrConflict)
			}
			require.NoError(t, s.Discard(ctx, "account 1"), version)
			requireGone(t, s)
			insert()
			require.NoError(t, e.Discard(ctx, "account 1"), version)
			requireGone(t, s)
		}
		require.NoError(t, s.Discard(ctx, "account 1"), "it isn't there")

		// A value that is NULL can be read: it has a version, by which it is deleted.
		_, err = db.Exec(insertOf(to), hashOf("account 1"), []byte("0123456789abcdef"), []byte("account 1"), nil)
		require.NoError(t, err)
		require.ErrorIs(t, s.Discard(ctx, "account 1"), storage.ErrConflict)
		_, _, err = e.Get(ctx, "account 1")
		require.ErrorIs(t, err, storage.ErrOpen)
		require.NoError(t, e.Discard(ctx, "account 1"))
		requireGone(t, s)

		require.ErrorIs(t, s.Discard(ctx, "beside"), storage.ErrConflict)
		value, v, err := s.Get(ctx, "beside")
		require.NoError(t, err)
		require.Equal(t, "value", string(value))
		require.Equal(t, beside, v)
	})
}

func requireGone(t testing.TB, s storage.Store) {
	t.Helper()
	_, _, err := s.Get(ctx, "account 1")
	require.Equal(t, storage.ErrNotFound, err)
}
