package sqlstore_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// TestMovingADirectory moves connections from a directory to a database and back.
func TestMovingADirectory(t *testing.T) {
	t.Parallel()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			n := 30
			if *soak {
				n = 2_500 // more than two pages
			}
			before, after, table := openDir(t), openDir(t), e.make(t).store(t, 0)
			keys, err := storage.NewKeyset(storage.NewKey())
			require.NoError(t, err)
			connect(t, manager(before, keys), n)

			for _, move := range []struct{ to, from storage.Store }{{table, before}, {after, table}} {
				copied, err := storage.Copy(ctx, move.to, move.from)
				require.NoError(t, err)
				require.Equal(t, n, copied)
				token, err := manager(move.to, keys).Source("customer/7").TokenContext(ctx)
				require.NoError(t, err)
				require.Equal(t, "access 7", token.AccessToken)
			}
			got, want := contents(t, after), contents(t, before)
			require.Len(t, got, n)
			for name, value := range want {
				require.True(t, got[name] == value, name) // no diff of what may hold a secret
			}
		})
	}
}

func openDir(t *testing.T) *storage.Dir {
	d, err := storage.OpenDir(memoryDir(t))
	require.NoError(t, err)
	t.Cleanup(func() { d.Close() })
	return d
}

func manager(s storage.Store, keys *storage.Keyset) *tokensource.Manager {
	endpoint := oauth2.Endpoint{TokenURL: "http://127.0.0.1:1/token", AuthStyle: oauth2.AuthStyleInParams} // isn't called
	return &tokensource.Manager{Config: &oauth2.Config{Endpoint: endpoint}, Store: storage.Encrypt(s, keys)}
}

// connect saves n connections, several at a time.
func connect(t *testing.T, m *tokensource.Manager, n int) {
	const writers = 16
	var wg sync.WaitGroup
	errs := make([]error, writers)
	for w := range writers {
		wg.Go(func() {
			for i := w; i < n && errs[w] == nil; i += writers {
				errs[w] = m.Save(ctx, fmt.Sprint("customer/", i), &oauth2.Token{AccessToken: fmt.Sprint("access ", i),
					RefreshToken: fmt.Sprint("refresh ", i), Expiry: time.Now().Add(time.Hour)})
			}
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
}

func contents(t *testing.T, s interface {
	storage.Store
	storage.Lister
}) map[string]string {
	all := make(map[string]string)
	for name, err := range s.Names(ctx) {
		require.NoError(t, err)
		value, _, err := s.Get(ctx, name)
		require.NoError(t, err)
		all[name] = string(value)
	}
	return all
}
