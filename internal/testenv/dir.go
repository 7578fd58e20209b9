package testenv

import (
	"os"
	"testing"
)

// Memory is a directory in memory, which may be missing.
const Memory = "/dev/shm"

// DirInMemory returns a new directory in memory, where flushing a file takes no time, or on a
// disk where the system has none in memory. It is removed when the test ends.
func DirInMemory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(Memory, "oauth2keep")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
