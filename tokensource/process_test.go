package tokensource_test

import (
	"os"
	"runtime/debug"
	"testing"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource/tokensourcetest"
)

func TestMain(m *testing.M) {
	tokensourcetest.Child(func(at string) (storage.Store, error) { return storage.OpenDir(at) })
	debug.SetGCPercent(400) // what is alive is so little that it would be marked again and again
	os.Exit(m.Run())
}

func TestProcesses(t *testing.T) {
	t.Parallel() // most of the time it waits
	tokensourcetest.Run(t, (*testing.T).TempDir, tokensourcetest.Size{Processes: 8, Goroutines: 64, Connections: 16})
}
