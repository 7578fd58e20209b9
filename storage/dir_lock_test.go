package storage_test

import (
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

// lockFiles returns the names of a Dir's lock files.
func lockFiles(t *testing.T, path string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(path, "locks"))
	if !os.IsNotExist(err) {
		require.NoError(t, err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestDirLeavesNoLockFileOfUnknownNames, which anyone could make up.
func TestDirLeavesNoLockFileOfUnknownNames(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	require.NoError(t, d.Delete(ctx, "unknown", ""))
	require.NoError(t, d.Discard(ctx, "unknown"))
	require.Equal(t, storage.ErrConflict, d.Delete(ctx, "unknown", "66ea6aaa8638f44022cf289806426e50"))
	_, err := d.Put(ctx, "unknown", nil, "66ea6aaa8638f44022cf289806426e50")
	require.Equal(t, storage.ErrConflict, err)
	require.NoDirExists(t, filepath.Join(path, "locks"))

	unlock, err := d.Lock(ctx, "unknown")
	require.NoError(t, err)
	require.Len(t, lockFiles(t, path), 1)
	unlock()
	require.Empty(t, lockFiles(t, path))

	// One that a record was made for, or that has one, stays.
	unlock, err = d.Lock(ctx, "known")
	require.NoError(t, err)
	v := mustPut(t, d, "known", "value", "")
	unlock()
	require.Len(t, lockFiles(t, path), 2, "the lock of the name, and that of its shard")
	unlock, err = d.Lock(ctx, "known")
	require.NoError(t, err)
	require.NoError(t, d.Delete(ctx, "known", v))
	unlock()
	require.Len(t, lockFiles(t, path), 1, "what was disconnected needs none")
}

// TestDirLockOfUnknownNamesExcludes: the lock file is deleted by each holder, while
// others wait for it, and still nobody has the lock beside another one.
func TestDirLockOfUnknownNamesExcludes(t *testing.T) {
	path := t.TempDir()
	handles := make([]*storage.Dir, 4) // as of four processes: file locks are per open file
	for i := range handles {
		handles[i] = openDir(t, path)
	}
	rounds := 25
	if testing.Short() {
		rounds = 5
	}
	var holders, turns atomic.Int32
	var wg sync.WaitGroup
	for i, d := range handles {
		for range 4 {
			wg.Go(func() {
				for range rounds {
					unlock, err := d.Lock(ctx, "k")
					if !assert.NoError(t, err) {
						return
					}
					assert.Equal(t, int32(1), holders.Add(1), "two holders at once")
					if turns.Add(1)%16 == 0 { // now and then there is a record for a while
						v, err := d.Put(ctx, "k", nil, "")
						assert.NoError(t, err)
						assert.NoError(t, handles[(i+1)%len(handles)].Delete(ctx, "k", v))
					}
					holders.Add(-1)
					unlock()
				}
			})
		}
	}
	wg.Wait()
	require.EqualValues(t, 16*rounds, turns.Load())
	require.Len(t, lockFiles(t, path), 1, "that of the shard")
}

func TestDirWritesThroughNoLink(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows lets nobody make links")
	}
	path, outside := t.TempDir(), filepath.Join(t.TempDir(), "outside")
	require.NoError(t, os.WriteFile(outside, []byte("untouched"), 0o600))
	inside := filepath.Join(path, "inside")
	d := openDir(t, path)
	file := filepath.Base(fileOf(t, path, d, "k"))
	require.NoError(t, os.WriteFile(inside, []byte("untouched"), 0o600))
	for _, target := range []string{outside, "../inside", "nothing"} {
		link := filepath.Join(path, "tmp", file) // where one might expect it to write
		require.NoError(t, os.Symlink(target, link))
		v := mustPut(t, d, "k", "value", "")
		require.NoError(t, d.Delete(ctx, "k", v))
		require.NoError(t, os.Remove(link))

		link = filepath.Join(path, "locks", file)
		require.NoError(t, os.Symlink(target, link))
		_, err := d.Lock(ctx, "k")
		require.ErrorContains(t, err, "it is a symbolic link and not a file")
		require.NoError(t, os.Remove(link))
	}
	for _, file := range []string{outside, inside} {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, "untouched", string(b))
	}
	require.NoFileExists(t, filepath.Join(path, "nothing"))
}
