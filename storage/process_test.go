package storage_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/storagetest"
)

// ways are those in which another process opens a Dir, by the word that stands before
// its path and a colon.
var ways = map[string]func(path string) (storage.Store, error){
	"plain": func(path string) (storage.Store, error) { return storage.OpenDir(path) },
}

func TestMain(m *testing.M) {
	storagetest.Child(func(at string) (storage.Store, error) {
		way, path, _ := strings.Cut(at, ":")
		return ways[way](path)
	})
	flag.Parse()
	inMemory, err := os.MkdirTemp(testenv.Memory, "storage") // where flushing a file takes no time
	if err == nil && !*soak {
		_ = os.Chmod(inMemory, 0o755) // some tests are another user for a while
		os.Setenv("TMPDIR", inMemory)
	}
	debug.SetGCPercent(400) // what is alive is so little that it would be marked again and again
	code := m.Run()
	os.RemoveAll(inMemory)
	os.Exit(code)
}

func versionIn(t *testing.T, s storage.Store, name string) storage.Version {
	_, v, err := s.Get(ctx, name)
	if !errors.Is(err, storage.ErrNotFound) {
		require.NoError(t, err)
	}
	return v
}

// TestDirSweepsWhatKilledWritersLeft kills processes in the middle of their writes,
// until one of them leaves a temporary file. That records are whole then is for
// storagetest to see.
func TestDirSweepsWhatKilledWritersLeft(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	d := openDir(t, path)
	keys := []string{"a", "b", "c", "d", "e", "f", "g", "h"} // as many writers: one of them is mostly at it
	for _, key := range keys {
		mustPut(t, d, key, "value", "")
	}
	mustPut(t, d, "beside", "value", "")
	left := func() int {
		entries, err := os.ReadDir(filepath.Join(path, "tmp"))
		require.NoError(t, err)
		return len(entries)
	}
	for kills := 0; left() == 0; kills++ {
		require.Less(t, kills, 1000, "no writer left anything, so that nothing could be swept")
		writer := storagetest.StartProcess(t, "plain:"+path)
		var wg sync.WaitGroup
		for _, key := range keys {
			v := versionIn(t, d, key)
			wg.Go(func() {
				for err := error(nil); err == nil; {
					v, err = writer.Put(ctx, key, []byte(strings.Repeat("value", 20_000)), v)
				}
			})
		}
		for patience := time.Now().Add(5 * time.Second); left() == 0 && time.Now().Before(patience); {
		}
		writer.Kill()
		wg.Wait()
	}
	again := openDir(t, path) // which sweeps
	require.Zero(t, left())
	require.Len(t, recordFiles(t, path), len(keys)+1)
	for _, key := range keys {
		mustPut(t, again, key, "another value", versionIn(t, again, key))
	}
	value, _, err := d.Get(ctx, "beside")
	require.NoError(t, err)
	require.Equal(t, "value", string(value))
}
