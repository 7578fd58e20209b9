//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package storage

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDirErrorOfTheSystem(t *testing.T) {
	for errno, want := range map[syscall.Errno]string{
		syscall.ENOSPC: "the disk is full, or this user's share of it: make room and try again",
		syscall.EDQUOT: "the disk is full, or this user's share of it: make room and try again",
		syscall.EROFS:  "it is on a disk that is mounted read-only: mount it for writing, or use another directory",
		syscall.EACCES: "let this process's user read and write that directory, and what is in it",
		syscall.ENOLCK: "its file system has no file locks: use a directory on a local disk",
		syscall.ENOSYS: "its file system has no file locks: use a directory on a local disk",
	} {
		err := dirError("write a record in", "/tokens", &os.PathError{Op: "write", Path: "tmp/x", Err: errno})
		require.EqualError(t, err, "storage: can't write a record in /tokens: write tmp/x: "+errno.Error()+" ("+want+")")
		require.ErrorIs(t, err, errno)
	}
}

// TestPutReportsAFailedFlush: a write that may not last isn't acknowledged.
func TestPutReportsAFailedFlush(t *testing.T) {
	d, err := OpenDir(filepath.Join(t.TempDir(), "tokens"))
	require.NoError(t, err)
	defer d.root.Close()
	v, err := d.Put(t.Context(), "key", nil, "")
	require.NoError(t, err)
	require.NoError(t, d.self.Close())
	_, err = d.Put(t.Context(), "key", nil, v)
	require.ErrorContains(t, err, "storage: can't flush "+d.path)
	_, v, err = d.Get(t.Context(), "key")
	require.NoError(t, err)
	require.ErrorContains(t, d.Delete(t.Context(), "key", v), "storage: can't flush "+d.path)
}
