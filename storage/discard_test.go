package storage_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

func TestDiscardWhatCannotBeOpened(t *testing.T) {
	key := storage.NewKey()
	for _, store := range []storage.Store{new(storage.Memory), openDir(t, t.TempDir()), bareStore{new(storage.Memory)}} {
		mustPut(t, storage.Encrypt(store, newKeyset(t, key)), "account 1", "token", "")
		mustPut(t, storage.Encrypt(store, newKeyset(t, key)), "account 2", "token", "")
		lost := storage.Encrypt(store, newKeyset(t, storage.NewKey()))
		_, _, err := lost.Get(ctx, "account 1")
		require.ErrorIs(t, err, storage.ErrOpen)
		require.ErrorContains(t, err, `(record "account 1"); if it can't be had back, Encrypted.Discard deletes it`)
		require.NoError(t, lost.Discard(ctx, "account 1"))
		_, _, err = lost.Get(ctx, "account 1")
		require.Equal(t, storage.ErrNotFound, err)
		mustPut(t, lost, "account 1", "of a new login", "")

		require.NoError(t, lost.Discard(ctx, "unknown"))
		require.NoError(t, lost.Discard(ctx, "account 1"), "also one that opens")
		_, _, err = lost.Get(ctx, "account 1")
		require.Equal(t, storage.ErrNotFound, err)
		value, _, err := storage.Encrypt(store, newKeyset(t, key)).Get(ctx, "account 2")
		require.NoError(t, err)
		require.Equal(t, "token", string(value))
	}
}

// TestDiscardOfADamagedFile is about what even Dir can't read.
func TestDiscardOfADamagedFile(t *testing.T) {
	for how, damage := range map[string]func(file string) error{
		"cut short": func(file string) error { return os.Truncate(file, 20) },
		"foreign":   func(file string) error { return os.WriteFile(file, []byte("{}"), 0o600) },
		"too long":  func(file string) error { return os.Truncate(file, 2<<20) },
		"directory": func(file string) error { return errors.Join(os.Remove(file), os.Mkdir(file, 0o700)) },
		"link": func(file string) error {
			return errors.Join(os.Rename(file, file+" away"), os.Symlink(filepath.Base(file)+" away", file))
		},
		"dangling link": func(file string) error { return errors.Join(os.Remove(file), os.Symlink("nothing", file)) },
		"pipe":          func(file string) error { return errors.Join(os.Remove(file), mkfifo(file)) },
	} {
		t.Run(how, func(t *testing.T) {
			path := t.TempDir()
			d := openDir(t, path)
			e := storage.Encrypt(d, newKeyset(t, storage.NewKey()))
			v := mustPut(t, e, "account 1", "token", "")
			file := recordFiles(t, path)[0]
			mustPut(t, e, "account 2", "token", "")
			if err := damage(file); err != nil {
				if runtime.GOOS == "windows" {
					t.Skip(err)
				}
				t.Fatal(err)
			}
			_, _, err := e.Get(ctx, "account 1")
			require.ErrorIs(t, err, storage.ErrOpen)
			require.ErrorContains(t, err, file)
			require.ErrorContains(t, err, "Discard")
			for _, old := range []storage.Version{"", v} {
				_, err = e.Put(ctx, "account 1", nil, old)
				require.ErrorIs(t, err, storage.ErrConflict)
				require.ErrorIs(t, err, storage.ErrOpen)
				require.ErrorIs(t, e.Delete(ctx, "account 1", old), storage.ErrConflict)
			}
			require.ErrorContains(t, listError(e.Names(ctx)), file)

			err = storage.Encrypt(bareStore{d}, newKeyset(t, storage.NewKey())).Discard(ctx, "account 1")
			require.ErrorIs(t, err, errors.ErrUnsupported, "the wrapper hides how")
			require.ErrorIs(t, err, storage.ErrOpen)

			require.NoError(t, e.Discard(ctx, "account 1"))
			require.NoError(t, d.Discard(ctx, "account 1"))
			require.Equal(t, storage.ErrConflict, d.Discard(ctx, "account 2"), "it was restored meanwhile")
			_, _, err = e.Get(ctx, "account 1")
			require.Equal(t, storage.ErrNotFound, err)
			mustPut(t, e, "account 1", "of a new login", "")
			value, _, err := e.Get(ctx, "account 2")
			require.NoError(t, err)
			require.Equal(t, "token", string(value))
		})
	}
}

// TestDiscardGivesWay: what was written meanwhile may be good.
func TestDiscardGivesWay(t *testing.T) {
	memory := new(storage.Memory)
	key := storage.NewKey()
	v := mustPut(t, memory, "account 1", "not sealed at all", "")
	written := false
	store := lateStore{memory, func() {
		if !written {
			written = true
			mustPut(t, storage.Encrypt(memory, newKeyset(t, key)), "account 1", "token", v)
		}
	}}
	e := storage.Encrypt(store, newKeyset(t, key))
	require.ErrorIs(t, e.Discard(ctx, "account 1"), storage.ErrConflict)
	value, _, err := e.Get(ctx, "account 1")
	require.NoError(t, err)
	require.Equal(t, "token", string(value))

	broken := errors.New("the store is down")
	err = storage.Encrypt(hookStore{memory, func(string, string) error { return broken }}, newKeyset(t, key)).Discard(ctx, "account 1")
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, `(record "account 1")`)
}

// lateStore calls after behind every Get.
type lateStore struct {
	*storage.Memory
	after func()
}

func (s lateStore) Get(ctx context.Context, name string) ([]byte, storage.Version, error) {
	value, v, err := s.Memory.Get(ctx, name)
	s.after()
	return value, v, err
}
