package safefile

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTryLockBetweenOpenFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		require.NoError(t, err)
		t.Cleanup(func() { f.Close() })
		return f
	}
	try := func(f *os.File) bool {
		ok, err := TryLock(f)
		require.NoError(t, err)
		return ok
	}
	a, b, c := open(), open(), open()
	require.True(t, try(a))
	require.False(t, try(b))
	require.NoError(t, c.Close(), "closing another file of the same name must not drop the lock")
	require.False(t, try(b))
	Unlock(a)
	require.True(t, try(b))
	require.False(t, try(a))
	require.NoError(t, b.Close())
	require.True(t, try(a))
}

func TestWait(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	synctest.Test(t, func(t *testing.T) {
		a, err := os.Create(path)
		require.NoError(t, err)
		defer a.Close()
		b, err := os.Open(path) // reading is enough
		require.NoError(t, err)
		defer b.Close()
		require.NoError(t, WaitLock(t.Context(), a, time.Second))

		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.Equal(t, context.DeadlineExceeded, WaitLock(short, b, time.Second))
		start, unlocked := time.Now(), make(chan struct{})
		time.AfterFunc(time.Minute, func() {
			Unlock(a)
			close(unlocked)
		})
		require.NoError(t, WaitLock(t.Context(), b, time.Second))
		<-unlocked
		require.Less(t, time.Since(start), time.Minute+time.Second, "it was free for longer than the longest pause")

		done, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, b.Close())
		require.Equal(t, context.Canceled, WaitLock(done, a, time.Second), "a context that is done gets no lock")
		require.NoError(t, a.Close())
		require.Error(t, WaitLock(t.Context(), a, time.Second))
	})
}
