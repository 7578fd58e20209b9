package storage_test

import (
	"bytes"
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/storagetest"
)

// unprivileged runs f as a user for whom the modes of files count. If the tests run
// as root, that is another one, on a thread that isn't used again.
func unprivileged(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlock it: the thread ends with the goroutine
		syscall.RawSyscall(syscall.SYS_SETFSUID, 65534, 0, 0)
		f()
	}()
	<-done
}

func TestDirWithoutPermission(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	v := mustPut(t, d, "key", "value", "")
	name := filepath.Base(recordFiles(t, path)[0])
	const advice = "(let this process's user read and write that directory, and what is in it)"

	t.Run("to read a record", func(t *testing.T) {
		require.NoError(t, os.Chmod(filepath.Join(path, name), 0))
		require.NoError(t, os.Chmod(path, 0o755))
		defer os.Chmod(filepath.Join(path, name), 0o600)
		var err error
		unprivileged(t, func() { _, _, err = d.Get(ctx, "key") })
		require.ErrorContains(t, err, "storage: can't read a record in "+path)
		require.ErrorContains(t, err, advice)
		require.NotErrorIs(t, err, storage.ErrNotFound)
		require.NotErrorIs(t, err, storage.ErrOpen)
	})
	t.Run("to write a lock", func(t *testing.T) {
		var err error
		require.NoError(t, os.Chmod(filepath.Join(path, "locks"), 0o555))
		defer os.Chmod(filepath.Join(path, "locks"), 0o700)
		unprivileged(t, func() { _, err = d.Lock(ctx, "key") })
		require.ErrorContains(t, err, "storage: can't lock a record in "+path)
		require.ErrorContains(t, err, advice)
	})
	t.Run("to write a record", func(t *testing.T) {
		fresh := filepath.Join(t.TempDir(), "fresh")
		d := openDir(t, fresh)
		unlock, err := d.Lock(ctx, "key") // makes locks
		require.NoError(t, err)
		unlock()
		require.NoError(t, os.Chmod(filepath.Join(fresh, "locks"), 0o777))
		require.NoError(t, os.Chmod(fresh, 0o555))
		defer os.Chmod(fresh, 0o700)
		unprivileged(t, func() { _, err = d.Put(ctx, "key", []byte("value"), "") })
		require.ErrorContains(t, err, "storage: can't write a record in "+fresh)
		require.ErrorContains(t, err, advice)
	})
	t.Run("to delete a record", func(t *testing.T) {
		for _, name := range []string{"locks", "tmp"} {
			require.NoError(t, os.Chmod(filepath.Join(path, name), 0o777))
		}
		locks, err := os.ReadDir(filepath.Join(path, "locks"))
		require.NoError(t, err)
		for _, l := range locks {
			require.NoError(t, os.Chmod(filepath.Join(path, "locks", l.Name()), 0o666))
		}
		require.NoError(t, os.Chmod(filepath.Join(path, name), 0o644))
		require.NoError(t, os.Chmod(path, 0o555))
		defer os.Chmod(path, 0o700)
		unprivileged(t, func() { err = d.Delete(ctx, "key", v) })
		require.ErrorContains(t, err, "storage: can't delete a record in "+path)
		unprivileged(t, func() { _, err = d.Put(ctx, "key", []byte("new"), v) })
		require.ErrorContains(t, err, "storage: can't write a record in "+path)
		recordFiles(t, path)
		value, got, err := d.Get(ctx, "key")
		require.NoError(t, err)
		require.Equal(t, "value", string(value))
		require.Equal(t, v, got)
	})
	t.Run("to open the directory", func(t *testing.T) {
		closed := filepath.Join(t.TempDir(), "closed")
		require.NoError(t, os.Mkdir(closed, 0o700))
		require.NoError(t, os.Chmod(closed, 0))
		defer os.Chmod(closed, 0o700)
		var err error
		unprivileged(t, func() { _, err = storage.OpenDir(closed) })
		require.ErrorContains(t, err, "storage: can't open "+closed)
		require.ErrorContains(t, err, advice)
		unprivileged(t, func() { _, err = storage.OpenDir(filepath.Join(closed, "below")) })
		require.ErrorContains(t, err, advice)
	})
}

func init() {
	// A process that may not write files of more than 8 KiB, which is as if the disk
	// became full in the middle of a record.
	ways["limited"] = func(path string) (storage.Store, error) {
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 8192, Max: 8192}); err != nil {
			return nil, err
		}
		return storage.OpenDir(path)
	}
}

func TestDirOnAFullDisk(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	v := mustPut(t, d, "key", "value", "")
	limited := storagetest.StartProcess(t, "limited:"+path)
	_, err := limited.Put(ctx, "key", bytes.Repeat([]byte("x"), 100_000), v)
	require.NotErrorIs(t, err, storage.ErrConflict)
	require.ErrorContains(t, err, "storage: can't write a record in "+path)
	require.ErrorContains(t, err, "file too large (the disk is full, or this user's share of it: make room and try again)")
	value, got, err := d.Get(ctx, "key")
	require.NoError(t, err)
	require.Equal(t, "value", string(value))
	require.Equal(t, v, got)
	recordFiles(t, path) // and no temporary file
}

// dirtyPages returns how many pages of a file the disk doesn't have yet, by Linux's
// cachestat, or skips the test if this kernel has no such thing.
func dirtyPages(t *testing.T, path string) uint64 {
	t.Helper()
	const sysCachestat = 451 // on every architecture
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	all := [2]uint64{} // offset, length: to the end of the file
	var stat struct{ cached, dirty, writeback, evicted, recentlyEvicted uint64 }
	if _, _, errno := syscall.Syscall6(sysCachestat, f.Fd(), uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&stat)), 0, 0, 0); errno != 0 {
		t.Skip("cachestat: ", errno)
	}
	return stat.dirty + stat.writeback
}

// TestPutFlushesTheFile is the nearest that a test can come to cutting the power.
func TestPutFlushesTheFile(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	value := string(bytes.Repeat([]byte("x"), 100_000))

	control := filepath.Join(path, "control")
	require.NoError(t, os.WriteFile(control, []byte(value), 0o600))
	if dirtyPages(t, control) == 0 {
		t.Skip("this file system keeps nothing back that could be flushed")
	}
	require.NoError(t, os.Remove(control))

	v := mustPut(t, d, "key", value, "")
	require.Zero(t, dirtyPages(t, recordFiles(t, path)[0]), "a new record was acknowledged before the disk had it")
	mustPut(t, d, "key", value, v)
	require.Zero(t, dirtyPages(t, recordFiles(t, path)[0]), "a replaced record was acknowledged before the disk had it")
}

// TestDirUnlockDoesNotWaitForAChild has the lock file open once more, as a process
// has it that was forked and didn't come to close its copies yet.
func TestDirUnlockDoesNotWaitForAChild(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	unlock, err := d.Lock(ctx, "key")
	require.NoError(t, err)
	var held []int
	fds, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	for _, entry := range fds {
		to, _ := os.Readlink("/proc/self/fd/" + entry.Name())
		if filepath.Dir(to) == filepath.Join(path, "locks") {
			fd, err := strconv.Atoi(entry.Name())
			require.NoError(t, err)
			held = append(held, fd)
		}
	}
	require.Len(t, held, 1)
	copied, err := syscall.Dup(held[0])
	require.NoError(t, err)
	defer syscall.Close(copied)
	unlock()
	inTime, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	unlock, err = d.Lock(inTime, "key")
	require.NoError(t, err)
	unlock()
}
