package storage_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

// TestSizes: what the contract of Store promises is taken, and what is larger is
// refused by an error that isn't a conflict, with nothing written.
func TestSizes(t *testing.T) {
	const mib = 1 << 20
	memory := new(storage.Memory)
	dir := openDir(t, t.TempDir())
	for name, c := range map[string]struct {
		store storage.Store
		most  int
	}{
		"Memory":              {memory, mib + 1024},
		"Dir":                 {dir, mib + 1024},
		"Encrypted in Memory": {storage.Encrypt(new(storage.Memory), newKeyset(t, storage.NewKey())), mib},
		"Encrypted in Dir":    {storage.Encrypt(openDir(t, t.TempDir()), newKeyset(t, storage.NewKey())), mib},
	} {
		t.Run(name, func(t *testing.T) {
			long := strings.Repeat("é", 2048)
			most := strings.Repeat("x", c.most)
			v := mustPut(t, c.store, long, most, "")
			value, got, err := c.store.Get(ctx, long)
			require.NoError(t, err)
			require.Equal(t, v, got)
			require.True(t, most == string(value))

			_, err = c.store.Put(ctx, long, []byte(most+"x"), v)
			require.ErrorContains(t, err, "bytes, and this one has 104")
			require.NotErrorIs(t, err, storage.ErrConflict)
			_, got, err = c.store.Get(ctx, long)
			require.NoError(t, err)
			require.Equal(t, v, got)

			for name, want := range map[string]string{
				long + "x":     "storage: the name of a record can have 4096 bytes, and this one has 4097",
				"account \xff": `storage: the name of a record has to be UTF-8, and "account \xff" isn't`,
			} {
				_, err = c.store.Put(ctx, name, nil, "")
				require.EqualError(t, err, want)
				_, _, err = c.store.Get(ctx, name)
				require.ErrorIs(t, err, storage.ErrNotFound)
			}
		})
	}
}
