package storage_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
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
	asUser(t, 65534, f)
}

// asUser runs f as a user and a group of that number, on a thread that isn't used
// again. Only root can.
func asUser(t *testing.T, id int, f func()) {
	t.Helper()
	done := make(chan syscall.Errno)
	go func() {
		runtime.LockOSThread() // and never unlock it: the thread ends with the goroutine
		n := uintptr(id)
		_, _, errno := syscall.RawSyscall(syscall.SYS_SETGROUPS, 0, 0, 0)
		for _, call := range []uintptr{syscall.SYS_SETRESGID, syscall.SYS_SETRESUID} { // of this thread, unlike syscall.Setresuid
			if errno == 0 {
				_, _, errno = syscall.RawSyscall(call, n, n, n)
			}
		}
		if errno == 0 {
			f()
		}
		done <- errno
	}()
	if errno := <-done; errno != 0 {
		t.Skipf("can't become user %d: %v", id, errno)
	}
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

// openers returns the processes that have a file open, once for each time.
func openers(t *testing.T, file string) (pids []int) {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	require.NoError(t, err)
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && to == file {
			pid, err := strconv.Atoi(strings.Split(link, "/")[2])
			require.NoError(t, err)
			pids = append(pids, pid)
		}
	}
	return pids
}

// waitUntilOpen returns when a file was opened n times.
func waitUntilOpen(t *testing.T, file string, n int) (pids []int) {
	t.Helper()
	require.Eventually(t, func() bool {
		pids = openers(t, file)
		return len(pids) >= n
	}, time.Minute, time.Millisecond)
	return pids
}

// TestDirLockFileThatWasReplaced: whoever finds that the name of the lock leads to
// another file by now doesn't hold the lock.
func TestDirLockFileThatWasReplaced(t *testing.T) {
	path := t.TempDir()
	a, b := openDir(t, path), openDir(t, path)
	mustPut(t, a, "k", "value", "")
	unlockA, err := a.Lock(ctx, "k")
	require.NoError(t, err)
	got := make(chan func())
	go func() {
		unlock, err := b.Lock(ctx, "k")
		assert.NoError(t, err)
		got <- unlock
	}()
	var name string
	for _, n := range lockFiles(t, path) {
		if len(n) == 64 {
			name = filepath.Join(path, "locks", n)
		}
	}
	waitUntilOpen(t, name, 2)
	require.NoError(t, os.Rename(name, name+" away"))
	unlockA()
	unlockB := <-got
	require.FileExists(t, name, "b locked a file that nobody else would find")
	unlockB()
}

// TestDirWithAFrozenProcess stops a process that holds a lock. Others read and write,
// and wait for that lock for as long as they want to.
func TestDirWithAFrozenProcess(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	v := mustPut(t, d, "k", "value", "")
	frozen := storagetest.StartProcess(t, "plain:"+path)
	_, err := frozen.Lock(ctx, "k")
	require.NoError(t, err)
	var name string
	for _, n := range lockFiles(t, path) {
		if len(n) == 64 {
			name = filepath.Join(path, "locks", n)
		}
	}
	pids := waitUntilOpen(t, name, 1)
	require.Len(t, pids, 1)
	require.NoError(t, syscall.Kill(pids[0], syscall.SIGSTOP))

	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	_, err = d.Lock(short, "k")
	require.Equal(t, context.DeadlineExceeded, err)
	_, _, err = d.Get(ctx, "k")
	require.NoError(t, err)
	mustPut(t, d, "k", "new", v)
	unlock, err := d.Lock(ctx, "another")
	require.NoError(t, err)
	unlock()

	frozen.Kill()
	unlock, err = d.Lock(ctx, "k")
	require.NoError(t, err)
	unlock()
}

// TestDirOnReadOnlyMedia mounts a directory read-only, for one thread.
func TestDirOnReadOnlyMedia(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	v := mustPut(t, d, "k", "value", "")
	fresh := filepath.Join(t.TempDir(), "fresh") // has no lock files
	require.NoError(t, os.Mkdir(fresh, 0o700))
	record := recordFiles(t, path)[0]
	content, err := os.ReadFile(record)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(fresh, filepath.Base(record)), content, 0o600))

	lock, err := os.Open(filepath.Join(path, "locks", lockFiles(t, path)[0]))
	require.NoError(t, err)
	defer lock.Close()
	done, written := make(chan error), path
	var values, lists []string
	var refused []error
	var waited error
	go func() {
		runtime.LockOSThread() // and never unlock it: the thread ends with the goroutine
		done <- func() error {
			if err := syscall.Unshare(syscall.CLONE_NEWNS); err != nil {
				return err
			}
			if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
				return err
			}
			for _, path := range []string{path, fresh} {
				if err := syscall.Mount(path, path, "", syscall.MS_BIND, ""); err != nil {
					return err
				}
				if err := syscall.Mount("", path, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
					return err
				}
				d, err := storage.OpenDir(path)
				if err != nil {
					refused = append(refused, err)
					continue
				}
				defer d.Close()
				if path == written {
					// Somebody who may write, by another mount, is writing.
					if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
						return err
					}
					short, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
					waited = listError(d.Names(short))
					cancel()
					syscall.Flock(int(lock.Fd()), syscall.LOCK_UN)
				}
				value, _, err := d.Get(ctx, "k")
				values = append(values, fmt.Sprint(string(value), err))
				for name, err := range d.Names(ctx) {
					lists = append(lists, fmt.Sprint(name, err))
				}
				_, putErr := d.Put(ctx, "k", nil, v)
				_, newErr := d.Put(ctx, "new", nil, "")
				refused = append(refused, putErr, newErr, d.Delete(ctx, "k", v))
			}
			return nil
		}()
	}()
	if err := <-done; err != nil {
		t.Skip("can't mount: ", err)
	}
	require.Equal(t, context.DeadlineExceeded, waited, "it lists while others write")
	require.Equal(t, []string{"value<nil>", "value<nil>"}, values)
	require.Equal(t, []string{"k<nil>", "k<nil>"}, lists)
	require.Len(t, refused, 6)
	for _, err := range refused {
		require.ErrorContains(t, err, "(it is on a disk that is mounted read-only: mount it for writing, or use another directory)")
	}
}
