package storage_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

func openDir(t testing.TB, path string) *storage.Dir {
	t.Helper()
	d, err := storage.OpenDir(path)
	require.NoError(t, err)
	t.Cleanup(func() { d.Close() })
	return d
}

// recordFiles returns the paths of the record files in a Dir's directory, and fails
// if there is anything in it that ought not to be.
func recordFiles(t testing.TB, path string) (files []string) {
	t.Helper()
	entries, err := os.ReadDir(path)
	require.NoError(t, err)
	for _, e := range entries {
		switch {
		case e.IsDir():
			require.Contains(t, []string{"locks", "tmp"}, e.Name())
		default:
			require.Regexp(t, "^[0-9a-f]{64}$", e.Name())
			files = append(files, filepath.Join(path, e.Name()))
		}
	}
	temp, err := os.ReadDir(filepath.Join(path, "tmp"))
	if !errors.Is(err, os.ErrNotExist) {
		require.NoError(t, err)
	}
	require.Empty(t, temp, "temporary files were left")
	return files
}

func TestDirFilesAreForTheOwnerOnly(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has access lists instead of modes")
	}
	above := filepath.Join(t.TempDir(), "above")
	path := filepath.Join(above, "tokens")
	d := openDir(t, path)
	mustPut(t, d, "key", "new", mustPut(t, d, "key", "old", ""))
	unlock, err := d.Lock(ctx, "key")
	require.NoError(t, err)
	unlock()
	seen := 0
	require.NoError(t, filepath.Walk(above, func(p string, info os.FileInfo, err error) error {
		require.NoError(t, err)
		seen++
		if info.IsDir() {
			require.Equal(t, "drwx------", info.Mode().String(), p)
		} else {
			require.Equal(t, "-rw-------", info.Mode().String(), p)
		}
		return nil
	}))
	require.Equal(t, 7, seen) // above, tokens, tmp, locks, a record, two lock files

	existing := t.TempDir()
	require.NoError(t, os.Chmod(existing, 0o750))
	openDir(t, existing)
	info, err := os.Stat(existing)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o750), info.Mode().Perm(), "the mode of a directory that existed was changed")
}

// TestDirNeverLeavesItsDirectory stores what a careless store would take for paths,
// with a directory around it that would show it.
func TestDirNeverLeavesItsDirectory(t *testing.T) {
	around := t.TempDir()
	path := filepath.Join(around, "tokens")
	d := openDir(t, path)
	names := []string{"..", "../outside", "/etc/passwd", around + "/outside", "locks/x", "tmp/x", ".", "", "a/../../b", "C:\\x"}
	for _, name := range names {
		mustPut(t, d, name, "value", "")
		unlock, err := d.Lock(ctx, name)
		require.NoError(t, err)
		unlock()
	}
	require.Len(t, recordFiles(t, path), len(names))
	entries, err := os.ReadDir(around)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func TestDirReadsWhatTheFirstVersionWrote(t *testing.T) {
	path := t.TempDir()
	const name = "6ab3311bfe7c52d93098e661558a14c2e56fc28db7923a7acd2b67b6a97be7eb"
	require.NoError(t, os.WriteFile(filepath.Join(path, name), unhex(t, "6f326b6601"+"66ea6aaa8638f44022cf289806426e50"+
		"00000009"+"6163636f756e742031"+"7365616c6564206279746573"+
		"aef8c63be78407bc5d4cab914aebde0768d03cc9a73b106d2753c1091b42f86a"), 0o600))
	value, v, err := openDir(t, path).Get(ctx, "account 1")
	require.NoError(t, err)
	require.Equal(t, "sealed bytes", string(value))
	require.Equal(t, storage.Version("66ea6aaa8638f44022cf289806426e50"), v)
}

func TestDirIgnoresOtherFiles(t *testing.T) {
	path := t.TempDir()
	for _, name := range []string{"README", ".DS_Store", strings.Repeat("A", 64), strings.Repeat("a", 63), strings.Repeat("a", 64) + ".bak"} {
		require.NoError(t, os.WriteFile(filepath.Join(path, name), []byte("not a record"), 0o600))
	}
	d := openDir(t, path)
	mustPut(t, d, "key", "value", "")
	var names []string
	for name, err := range d.Names(ctx) {
		require.NoError(t, err)
		names = append(names, name)
	}
	require.Equal(t, []string{"key"}, names)
}

func TestOpenDirErrorsSayWhatToDo(t *testing.T) {
	_, err := storage.OpenDir("")
	require.EqualError(t, err, "storage: OpenDir needs the path of a directory")

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = storage.OpenDir(file)
	require.EqualError(t, err, "storage: can't open "+file+": there is a file of that name, not a directory (give OpenDir a directory of its own)")
	_, err = storage.OpenDir(filepath.Join(file, "below"))
	require.ErrorContains(t, err, "storage: can't open "+filepath.Join(file, "below")+": ")
}

func TestDirAfterClose(t *testing.T) {
	d, err := storage.OpenDir(t.TempDir())
	require.NoError(t, err)
	v := mustPut(t, d, "key", "value", "")
	unlock, err := d.Lock(ctx, "key")
	require.NoError(t, err)
	require.NoError(t, d.Close())
	unlock()
	_, _, getErr := d.Get(ctx, "key")
	_, putErr := d.Put(ctx, "key", nil, v)
	_, lockErr := d.Lock(ctx, "key")
	for _, err := range []error{getErr, putErr, lockErr, d.Delete(ctx, "key", v), listError(d.Names(ctx)), d.Close()} {
		require.ErrorIs(t, err, os.ErrClosed)
		require.NotErrorIs(t, err, storage.ErrNotFound)
	}
	require.ErrorContains(t, getErr, "(it was closed: don't use a Dir after its Close)")
}

func TestDirThatIsNotOpenSaysSo(t *testing.T) {
	const want = "storage: this Dir isn't open: make it with OpenDir, and look at its error"
	for _, d := range []*storage.Dir{nil, {}} {
		_, _, err := d.Get(ctx, "key")
		require.EqualError(t, err, want)
		_, err = d.Put(ctx, "key", nil, "")
		require.EqualError(t, err, want)
		require.EqualError(t, d.Delete(ctx, "key", ""), want)
		_, err = d.Lock(ctx, "key")
		require.EqualError(t, err, want)
		require.EqualError(t, listError(d.Names(ctx)), want)
		require.EqualError(t, d.Close(), want)
	}
}

// TestDirWithSomethingInTheWay has a directory where each kind of file ought to be.
func TestDirWithSomethingInTheWay(t *testing.T) {
	t.Run("record", func(t *testing.T) {
		path := t.TempDir()
		d := openDir(t, path)
		require.NoError(t, os.MkdirAll(filepath.Join(fileOf(t, path, d, "key"), "x"), 0o700))
		_, _, err := d.Get(ctx, "key")
		require.ErrorIs(t, err, storage.ErrOpen)
		require.NotErrorIs(t, err, storage.ErrNotFound)
		require.ErrorContains(t, err, "it is a directory and not a file")
		_, err = d.Put(ctx, "key", nil, "")
		require.ErrorIs(t, err, storage.ErrOpen)
		require.ErrorIs(t, listError(d.Names(ctx)), storage.ErrOpen)
	})
	t.Run("temporary files", func(t *testing.T) {
		path := t.TempDir()
		d := openDir(t, path)
		require.NoError(t, os.WriteFile(filepath.Join(path, "tmp"), nil, 0o600))
		_, err := d.Put(ctx, "key", nil, "")
		require.ErrorContains(t, err, "storage: can't write a record in "+path)
		_, _, err = d.Get(ctx, "key")
		require.Equal(t, storage.ErrNotFound, err)
	})
	t.Run("locks", func(t *testing.T) {
		path := t.TempDir()
		d := openDir(t, path)
		require.NoError(t, os.WriteFile(filepath.Join(path, "locks"), nil, 0o600))
		_, err := d.Put(ctx, "key", nil, "")
		require.ErrorContains(t, err, "storage: can't lock a record in "+path)
		_, err = d.Lock(ctx, "key")
		require.ErrorContains(t, err, "storage: can't lock a record in "+path)
		require.ErrorContains(t, listError(d.Names(ctx)), "storage: can't lock a record in "+path)
	})
	t.Run("lock file", func(t *testing.T) {
		path := t.TempDir()
		for _, digit := range "0123456789abcdef" {
			require.NoError(t, os.MkdirAll(filepath.Join(path, "locks", "write-"+string(digit)), 0o700))
		}
		d := openDir(t, path)
		_, err := d.Put(ctx, "key", nil, "")
		require.ErrorContains(t, err, "storage: can't lock a record in "+path)
	})
}

func TestOpenDirSweepsWhatCrashedWritersLeft(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	v := mustPut(t, d, "key", "value", "")
	name := filepath.Base(recordFiles(t, path)[0])
	left := filepath.Join(path, "tmp", name)
	other := filepath.Join(path, "tmp", "README")
	for _, file := range []string{left, other} {
		require.NoError(t, os.WriteFile(file, []byte("o2kf\x01 half a rec"), 0o600))
	}
	openDir(t, path)
	require.NoFileExists(t, left)
	require.FileExists(t, other, "it was none of ours")
	require.NoError(t, os.Remove(other))

	// A writer doesn't need the sweep.
	require.NoError(t, os.WriteFile(left, bytes.Repeat([]byte("x"), 5000), 0o600))
	v = mustPut(t, d, "key", "new", v)
	value, got, err := openDir(t, path).Get(ctx, "key")
	require.NoError(t, err)
	require.Equal(t, "new", string(value))
	require.Equal(t, v, got)
	recordFiles(t, path)
}

func TestDirIsGone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows doesn't remove a directory that is open")
	}
	for how, change := range map[string]func(path string) error{
		"removed":  os.RemoveAll,
		"moved":    func(path string) error { return os.Rename(path, path+" away") },
		"replaced": func(path string) error { return errors.Join(os.Rename(path, path+" away"), os.Mkdir(path, 0o700)) },
		"a file":   func(path string) error { return errors.Join(os.RemoveAll(path), os.WriteFile(path, nil, 0o600)) },
		"another": func(path string) error { // which has a record of that name, too
			other, err := storage.OpenDir(path + " other")
			if err != nil {
				return err
			}
			_, err = other.Put(ctx, "key", []byte("of the other"), "")
			return errors.Join(err, other.Close(), os.Rename(path, path+" away"), os.Rename(path+" other", path))
		},
	} {
		t.Run(how, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "tokens")
			t.Chdir(filepath.Dir(path))
			d := openDir(t, "tokens")
			t.Chdir(t.TempDir()) // which is no reason
			v := mustPut(t, d, "key", "value", "")
			require.NoError(t, change(path))
			_, _, getErr := d.Get(ctx, "key")
			_, _, missErr := d.Get(ctx, "unknown")
			_, putErr := d.Put(ctx, "key", nil, v)
			_, newErr := d.Put(ctx, "unknown", nil, "")
			_, lockErr := d.Lock(ctx, "key")
			for _, err := range []error{getErr, missErr, putErr, newErr, lockErr, d.Delete(ctx, "key", v), d.Delete(ctx, "unknown", ""), d.Discard(ctx, "key"), listError(d.Names(ctx))} {
				require.ErrorContains(t, err, path+": it isn't the directory that was opened (the directory was removed, moved or replaced while it was open: ")
				require.NotErrorIs(t, err, storage.ErrNotFound)
				require.NotErrorIs(t, err, storage.ErrConflict)
			}
		})
	}
}

// TestDirLockQueues has many goroutines behind one lock, most of which give up.
func TestDirLockQueues(t *testing.T) {
	d := openDir(t, t.TempDir())
	unlock, err := d.Lock(ctx, "key")
	require.NoError(t, err)
	inner, cancel := context.WithCancel(ctx)
	const n = 500
	results := make(chan error, n)
	for i := range n {
		go func() {
			c := ctx
			if i%5 != 0 {
				c = inner
			}
			unlock, err := d.Lock(c, "key")
			if err == nil {
				unlock()
			}
			results <- err
		}()
	}
	cancel()
	for range n * 4 / 5 {
		require.Equal(t, context.Canceled, <-results)
	}
	require.Empty(t, results, "someone had the lock while it was held")
	unlock()
	for range n / 5 {
		require.NoError(t, <-results)
	}
}

// TestDirLockIsNotGarbage: closing a file drops its lock, and the garbage collector
// closes files.
func TestDirLockIsNotGarbage(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	_, err := d.Lock(ctx, "key") // never unlocked
	require.NoError(t, err)
	for range 3 {
		runtime.GC()
		time.Sleep(time.Millisecond) // finalizers have a goroutine of their own
	}
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	_, err = openDir(t, path).Lock(short, "key")
	require.Equal(t, context.DeadlineExceeded, err)
	runtime.KeepAlive(d)
}
