package storage_test

import (
	"context"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

// What others lost tokens by. The numbers are those of a list that the other
// packages' tests are named after, too.

// TestLesson14KeyRotation: a rotation that marked records as sealed with the new key
// but kept the old ciphertext, and a fleet that was moved to a key which parts of it
// didn't have.
func TestLesson14KeyRotation(t *testing.T) {
	memory := new(storage.Memory)
	current, next := storage.NewKey(), storage.NewKey()
	behind := storage.Encrypt(memory, newKeyset(t, current)) // wasn't given the new key
	version, err := behind.Put(ctx, "k", []byte("token"), "")
	require.NoError(t, err)

	ahead := storage.Encrypt(memory, newKeyset(t, next, current))
	report, err := ahead.Rekey(ctx)
	require.NoError(t, err)
	require.Equal(t, 1, report.Moved)

	// The ciphertext is the new key's: the old one isn't needed any more.
	value, _, err := storage.Encrypt(memory, newKeyset(t, next)).Get(ctx, "k")
	require.NoError(t, err)
	require.Equal(t, "token", string(value))

	// Who lacks the key is told so, and can't overwrite what it can't read.
	_, v, err := behind.Get(ctx, "k")
	require.ErrorIs(t, err, storage.ErrOpen)
	require.ErrorContains(t, err, fingerprintOf(t, next))
	require.Empty(t, v)
	for _, old := range []storage.Version{"", v, version} {
		_, err = behind.Put(ctx, "k", []byte("overwritten"), old)
		require.ErrorIs(t, err, storage.ErrConflict)
	}
	value, _, err = ahead.Get(ctx, "k")
	require.NoError(t, err)
	require.Equal(t, "token", string(value))
}

// TestLesson15LockFilesAreKept: lock files that were deleted on unlock, so that two
// holders each had locked a file of that name.
func TestLesson15LockFilesAreKept(t *testing.T) {
	path := t.TempDir()
	handles := make([]*storage.Dir, 4) // as of four processes: file locks are per open file
	for i := range handles {
		dir, err := storage.OpenDir(path)
		require.NoError(t, err)
		defer dir.Close()
		handles[i] = dir
	}
	files := func() (names []string) {
		require.NoError(t, filepath.WalkDir(filepath.Join(path, "locks"), func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				names = append(names, name)
			}
			return err
		}))
		return names
	}
	mustPut(t, handles[0], "k", "value", "")
	unlock, err := handles[0].Lock(ctx, "k")
	require.NoError(t, err)
	unlock()
	before := files()
	require.NotEmpty(t, before)

	var holders atomic.Int32
	var wg sync.WaitGroup
	for _, dir := range handles {
		for range 4 {
			wg.Go(func() {
				for range 25 {
					unlock, err := dir.Lock(ctx, "k")
					if !assert.NoError(t, err) {
						return
					}
					assert.Equal(t, int32(1), holders.Add(1), "two holders at once")
					holders.Add(-1)
					unlock()
				}
			})
		}
	}
	wg.Wait()
	require.Equal(t, before, files(), "lock files come and go")
}

// TestLesson16WritersDoNotFailUnderContention: writers that read first and wrote
// then, nearly all of which failed with "busy". A swap that loses says so by
// ErrConflict, and by nothing else.
func TestLesson16WritersDoNotFailUnderContention(t *testing.T) {
	dir, err := storage.OpenDir(t.TempDir())
	require.NoError(t, err)
	defer dir.Close()
	for name, store := range map[string]storage.Store{"Memory": new(storage.Memory), "Dir": dir} {
		t.Run(name, func(t *testing.T) {
			const writers, writes = 8, 10
			var wg sync.WaitGroup
			for range writers {
				wg.Go(func() {
					for range writes {
						increment(t, store)
					}
				})
			}
			wg.Wait()
			value, _, err := store.Get(ctx, "counter")
			require.NoError(t, err)
			require.Len(t, value, writers*writes)
		})
	}
}

func increment(t *testing.T, store storage.Store) {
	for {
		value, v, err := store.Get(context.Background(), "counter")
		if err != nil && !assert.ErrorIs(t, err, storage.ErrNotFound) {
			return
		}
		if _, err = store.Put(context.Background(), "counter", append(value, '+'), v); err == nil {
			return
		}
		if !assert.ErrorIs(t, err, storage.ErrConflict) {
			return
		}
	}
}

// TestLesson17RecordsOfAnySize: tokens that were kept in an OS keyring, which takes
// 2,560 bytes on Windows. Records go into files, and only the key, which is short,
// may live in such a place.
func TestLesson17RecordsOfAnySize(t *testing.T) {
	dir, err := storage.OpenDir(t.TempDir())
	require.NoError(t, err)
	defer dir.Close()
	store := storage.Encrypt(dir, newKeyset(t, storage.NewKey()))
	token := strings.Repeat("x", 64<<10)
	mustPut(t, store, "k", token, "")
	value, _, err := store.Get(ctx, "k")
	require.NoError(t, err)
	require.Equal(t, token, string(value))
	require.Len(t, storage.NewKey(), 32)
}
