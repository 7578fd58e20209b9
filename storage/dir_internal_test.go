package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestDirErrorSaysWhatToDo(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("oops"), "storage: can't try in /tokens: oops"},
		{os.ErrClosed, "storage: can't try in /tokens: file already closed (it was closed: don't use a Dir after its Close)"},
		{fs.ErrPermission, "storage: can't try in /tokens: permission denied (let this process's user read and write that directory, and what is in it)"},
		{fs.ErrNotExist, "storage: can't try in /tokens: file does not exist (the directory was removed, moved or replaced while it was open: put it back, or start the program again)"},
		{errors.ErrUnsupported, "storage: can't try in /tokens: unsupported operation (its file system has no file locks: use a directory on a local disk)"},
	} {
		err := dirError("try in", "/tokens", c.err)
		require.EqualError(t, err, c.want)
		require.ErrorIs(t, err, c.err)
	}
}

// TestSweepLeavesAWriterAlone has the lock of one shard taken while a Dir is opened.
func TestSweepLeavesAWriterAlone(t *testing.T) {
	path := t.TempDir()
	d, err := OpenDir(path)
	require.NoError(t, err)
	defer d.Close()
	_, err = d.Put(context.Background(), "key", nil, "")
	require.NoError(t, err)
	var files []string
	for _, digit := range shards {
		name := fmt.Sprintf("%c%063d-%s", digit, 0, "RANDOM")
		files = append(files, filepath.Join(path, tempDir, name))
		require.NoError(t, os.WriteFile(files[len(files)-1], []byte("being written"), 0o600))
	}
	release, err := d.acquire(context.Background(), shardLock("7"), shardPoll)
	require.NoError(t, err)
	defer release()
	other, err := OpenDir(path)
	require.NoError(t, err)
	defer other.Close()
	for i, file := range files {
		if i == 7 {
			require.FileExists(t, file)
		} else {
			require.NoFileExists(t, file)
		}
	}
}

// TestQueueForgets: what was locked once takes no memory afterwards.
func TestQueueForgets(t *testing.T) {
	var q queue
	ctx, cancel := context.WithCancel(context.Background())
	leaveA, err := q.enter(ctx, "a")
	require.NoError(t, err)
	leaveB, err := q.enter(ctx, "b")
	require.NoError(t, err)
	waiter := make(chan error)
	go func() {
		_, err := q.enter(ctx, "a")
		waiter <- err
	}()
	require.Len(t, q.lines, 2)
	cancel()
	require.Equal(t, context.Canceled, <-waiter)
	leaveA()
	leaveA()
	leaveB()
	require.Empty(t, q.lines)
}

func TestDirLockIsFirstComeFirstServed(t *testing.T) {
	path := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		d, err := OpenDir(path)
		require.NoError(t, err)
		defer d.Close()
		unlock, err := d.Lock(t.Context(), "key")
		require.NoError(t, err)
		const n = 20
		order := make(chan int, n)
		for i := range n {
			go func() {
				unlock, err := d.Lock(t.Context(), "key")
				if err != nil {
					order <- -1
					return
				}
				order <- i
				unlock()
			}()
			synctest.Wait() // until it waits
		}
		require.Empty(t, order)
		unlock()
		for i := range n {
			require.Equal(t, i, <-order)
		}
	})
}
