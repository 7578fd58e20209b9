package storage_test

import (
	"context"
	"crypto/fips140"
	"flag"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/storagetest"
)

func TestMemoryKeepsTheContract(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, func(t *testing.T) storage.Store { return new(storage.Memory) })
}

// sharedDir tells storagetest that a Dir can be opened more than once.
type sharedDir struct {
	*storage.Dir
	path string
}

func openShared(t *testing.T, path string) storage.Store {
	d, err := storage.OpenDir(path)
	require.NoError(t, err)
	t.Cleanup(func() { d.Close() })
	return sharedDir{d, path}
}

func (d sharedDir) Share(t *testing.T) storage.Store { return openShared(t, d.path) }

func (d sharedDir) Spawn(t *testing.T) *storagetest.Process {
	return storagetest.StartProcess(t, "plain:"+d.path)
}

var soak = flag.Bool("soak", false, "keep what is tested on a disk, not in memory")

func TestDirKeepsTheContract(t *testing.T) {
	t.Parallel()
	storagetest.Run(t, func(t *testing.T) storage.Store {
		return openShared(t, t.TempDir())
	})
}

// sealedDir is a sharedDir whose values are encrypted; each handle has a Keyset of
// its own, as each process would.
type sealedDir struct {
	*storage.Encrypted
	path string
	key  []byte
}

func openSealed(t *testing.T, path string, key []byte) storage.Store {
	k, err := storage.NewKeyset(key)
	require.NoError(t, err)
	return sealedDir{storage.Encrypt(openShared(t, path), k), path, key}
}

func (d sealedDir) Share(t *testing.T) storage.Store { return openSealed(t, d.path, d.key) }

func TestEncryptedKeepsTheContract(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: with -short those of Memory and Dir are tested")
	}
	t.Parallel()
	storagetest.Run(t, func(t *testing.T) storage.Store { return openSealed(t, t.TempDir(), storage.NewKey()) })
}

// bareStore hides that a store can lock and list.
type bareStore struct{ storage.Store }

// TestEncryptedOfABareStoreKeepsTheContract makes the suite skip what the store
// lacks, by the errors that Encrypted returns.
func TestEncryptedOfABareStoreKeepsTheContract(t *testing.T) {
	if testing.Short() && !fips140.Enabled() { // TestInFIPSMode wants it
		t.Skip("takes long: with -short those of Memory and Dir are tested")
	}
	t.Parallel()
	k := newKeyset(t, storage.NewKey())
	storagetest.Run(t, func(t *testing.T) storage.Store {
		return storage.Encrypt(bareStore{new(storage.Memory)}, k)
	})
}

// newKeyset is NewKeyset for keys that are known to be good.
func newKeyset(t testing.TB, primary []byte, old ...[]byte) *storage.Keyset {
	t.Helper()
	k, err := storage.NewKeyset(primary, old...)
	require.NoError(t, err)
	return k
}

// mustPut is Put for tests about something else.
func mustPut(t testing.TB, s storage.Store, name, value string, old storage.Version) storage.Version {
	t.Helper()
	v, err := s.Put(context.Background(), name, []byte(value), old)
	require.NoError(t, err)
	return v
}
