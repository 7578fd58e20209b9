package tokensourcetest_test

import (
	"testing"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource/tokensourcetest"
)

// In a driver's tests, main is TestMain and ends with os.Exit(m.Run()), and fleet is
// TestFleet.
func Example() {
	main := func() {
		tokensourcetest.Child(func(at string) (storage.Store, error) { return storage.OpenDir(at) })
	}
	fleet := func(t *testing.T) {
		tokensourcetest.Run(t, func(t *testing.T) string { return t.TempDir() }, tokensourcetest.Size{})
	}
	_, _ = main, fleet
}
