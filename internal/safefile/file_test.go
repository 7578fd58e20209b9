package safefile

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func openRoot(t *testing.T) (root *os.Root, path string) {
	t.Helper()
	path = t.TempDir()
	root, err := os.OpenRoot(path)
	require.NoError(t, err)
	t.Cleanup(func() { root.Close() })
	return root, path
}

func TestReadLooksAtTheMode(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has access lists instead of modes")
	}
	root, path := openRoot(t)
	file := filepath.Join(path, "file")
	require.NoError(t, os.WriteFile(file, []byte("content"), 0o600))
	for mode, accepted := range map[os.FileMode]struct{ secret, trusted bool }{
		0o400: {true, true}, 0o600: {true, true}, 0o440: {true, true}, 0o640: {true, true}, 0o700: {true, true},
		0o444: {false, true}, 0o644: {false, true}, 0o604: {false, true}, 0o601: {false, true},
		0o620: {false, false}, 0o660: {false, false}, 0o602: {false, false}, 0o646: {false, false}, 0o666: {false, false}, 0o777: {false, false},
	} {
		require.NoError(t, os.Chmod(file, mode))
		for forbidden, ok := range map[os.FileMode]bool{Secret: accepted.secret, Trusted: accepted.trusted} {
			b, err := Read(root, "file", file, 100, forbidden)
			if ok {
				require.NoError(t, err, mode)
				require.Equal(t, "content", string(b))
			} else {
				require.ErrorContains(t, err, fmt.Sprintf("%s is open to others (mode %04o): chmod ", file, mode))
				require.Nil(t, b)
			}
		}
	}
	require.NoError(t, os.Chmod(file, 0o777))
	_, err := Read(root, "file", file, 100, Secret)
	require.EqualError(t, err, file+" is open to others (mode 0777): chmod g-w,o= "+file)
	_, err = Read(root, "file", file, 100, Trusted)
	require.EqualError(t, err, file+" is open to others (mode 0777): chmod go-w "+file)
}

func TestReadLooksAtTheSize(t *testing.T) {
	root, path := openRoot(t)
	require.NoError(t, os.WriteFile(filepath.Join(path, "file"), []byte("1234"), 0o600))
	b, err := Read(root, "file", "/file", 4, Secret)
	require.NoError(t, err)
	require.Equal(t, "1234", string(b))
	_, err = Read(root, "file", "/file", 3, Secret)
	require.ErrorContains(t, err, "/file is longer than 3 bytes")
	_, err = Read(root, "missing", "/missing", 3, Secret)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestMakeDir(t *testing.T) {
	path := t.TempDir()
	require.NoError(t, MakeDir(filepath.Join(path, "a", "b")))
	require.NoError(t, MakeDir(filepath.Join(path, "a", "b")))
	for _, name := range []string{"a", "a/b"} {
		info, err := os.Stat(filepath.Join(path, name))
		require.NoError(t, err)
		require.True(t, info.IsDir())
		if runtime.GOOS != "windows" {
			require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
		}
	}
	file := filepath.Join(path, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.Equal(t, ErrNotDir, MakeDir(file))
	require.Error(t, MakeDir(filepath.Join(file, "below")))
}

func TestReplace(t *testing.T) {
	root, path := openRoot(t)
	file := filepath.Join(path, "file")
	content := func() string {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		return string(b)
	}
	mode := func() os.FileMode {
		info, err := os.Stat(file)
		require.NoError(t, err)
		return info.Mode().Perm()
	}
	require.NoError(t, Replace(root, "file", []byte("one"), 0))
	require.Equal(t, "one", content())
	if runtime.GOOS != "windows" {
		require.Equal(t, os.FileMode(0o600), mode())
		require.NoError(t, os.Chmod(file, 0o640))
	}
	require.NoError(t, os.WriteFile(file+Temporary, []byte("of a process that was killed"), 0o600))
	require.NoError(t, Replace(root, "file", []byte("two"), 0))
	require.Equal(t, "two", content())
	if runtime.GOOS != "windows" {
		require.Equal(t, os.FileMode(0o640), mode(), "who may read it goes on doing so")
		require.NoError(t, Replace(root, "file", []byte("two"), 0o600))
		require.Equal(t, os.FileMode(0o600), mode())
	}

	// Something in the way: what was there stays, and nothing is left beside it.
	require.NoError(t, os.MkdirAll(filepath.Join(path, "file"+Temporary, "full"), 0o700))
	require.Error(t, Replace(root, "file", []byte("three"), 0))
	require.Equal(t, "two", content())
	require.NoError(t, os.RemoveAll(file+Temporary))
	require.NoError(t, os.Mkdir(filepath.Join(path, "dir"), 0o700))
	require.ErrorIs(t, Replace(root, "dir", nil, 0), ErrNotFile)
	entries, err := os.ReadDir(path)
	require.NoError(t, err)
	require.Len(t, entries, 2)
}

func TestWriteNew(t *testing.T) {
	path := t.TempDir()
	file := filepath.Join(path, "file")
	require.NoError(t, WriteNew(file, []byte("one")))
	require.ErrorIs(t, WriteNew(file, []byte("two")), os.ErrExist)
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "one", string(b))
	require.ErrorIs(t, WriteNew(filepath.Join(path, "missing", "file"), nil), os.ErrNotExist)
	entries, err := os.ReadDir(path)
	require.NoError(t, err)
	require.Len(t, entries, 1, "temporary files were left")
}
