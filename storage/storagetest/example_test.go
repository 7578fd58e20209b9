package storagetest_test

import (
	"testing"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/storagetest"
)

// shared is a store as its tests know it: they can open its data again, here and in
// another process.
type shared struct {
	*storage.Dir
	path string
}

func open(t *testing.T, path string) storage.Store {
	d, err := storage.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return shared{d, path}
}

func (s shared) Share(t *testing.T) storage.Store { return open(t, s.path) }

func (s shared) Spawn(t *testing.T) *storagetest.Process { return storagetest.StartProcess(t, s.path) }

var (
	_ storagetest.Sharer  = shared{}
	_ storagetest.Spawner = shared{}
)

// In a driver's tests, main is TestMain and ends with os.Exit(m.Run()), and store is
// TestStore.
func Example() {
	main := func() {
		storagetest.Child(func(at string) (storage.Store, error) { return storage.OpenDir(at) })
	}
	store := func(t *testing.T) {
		storagetest.Run(t, func(t *testing.T) storage.Store { return open(t, t.TempDir()) })
	}
	_, _ = main, store
}
