package tokensource

import (
	"context"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

// testKeyset encrypts the records of tests.
var testKeyset = func() *storage.Keyset {
	k, err := storage.NewKeyset(storage.NewKey())
	if err != nil {
		panic(err)
	}
	return k
}()

// encrypted returns s as a Manager takes it.
func encrypted(s storage.Store) *storage.Encrypted { return storage.Encrypt(s, testKeyset) }

// unlocked hides a store's lock, so that compare-and-swap alone has to do.
type unlocked struct{ storage.Store }

func (u unlocked) store() *storage.Encrypted { return encrypted(u) }

func TestManyCallersOneRefresh(t *testing.T) {
	for name, store := range map[string]func() *storage.Encrypted{
		"lock": func() *storage.Encrypted { return encrypted(new(storage.Memory)) },
		"swap": func() *storage.Encrypted { return unlocked{new(storage.Memory)}.store() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &fakeProvider{rotate: true, reuse: true, latency: func() time.Duration { return time.Second }}
				store := store()
				const processes, callers = 6, 8
				expiries := 20
				if testing.Short() {
					expiries = 3
				}
				require.NoError(t, (&Manager{Config: p, Store: store}).Save(t.Context(), "k", p.login()))
				managers := make([]*Manager, processes)
				sources := make([]*Source, processes)
				for i := range managers {
					managers[i] = &Manager{Config: p, Store: store}
					sources[i] = managers[i].Source("k")
				}
				for range expiries {
					time.Sleep(time.Hour)
					var wg sync.WaitGroup
					for _, s := range sources {
						for range callers {
							wg.Go(func() {
								tok, err := s.Token()
								if assert.NoError(t, err) {
									assert.True(t, tok.Valid())
								}
							})
						}
					}
					wg.Wait()
				}
				assert.Equal(t, expiries, p.count())
				assert.Zero(t, p.reused)
				for _, m := range managers {
					require.NoError(t, m.Flush(context.Background()))
				}
			})
		})
	}
}

// TestRefreshTimeoutMayBeTheLongestThereIs, where no limit is wanted.
func TestRefreshTimeoutMayBeTheLongestThereIs(t *testing.T) {
	for _, longest := range []time.Duration{math.MaxInt64, math.MaxInt64 / 2} {
		onEvery(t, func(f *fixture) {
			m := f.connected()
			m.RefreshTimeout = longest
			time.Sleep(time.Hour)
			f.latency = after(40 * time.Second)
			assert.Equal(f, "access-2", f.access(m))
		})
	}
}
