package sqlstore_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
)

// TestCreateTableOfASlowServer has a server that doesn't answer any more. For the other
// methods, storagetest has one.
func TestCreateTableOfASlowServer(t *testing.T) {
	onEach(t, func(t *testing.T, to target) {
		if to.dialect == sqlstore.SQLite {
			t.Skip("see TestRowLocked")
		}
		proxy, through := behindProxy(t, to)
		s := through.open(t)
		defer proxy.Stall()()
		for want, end := range ends {
			ctx, cancel := end(ctx)
			require.Equal(t, want, s.CreateTable(ctx))
			cancel()
		}
	})
}

// ends are the ways for a context to end while a database is at work.
var ends = map[error]func(context.Context) (context.Context, context.CancelFunc){
	context.DeadlineExceeded: func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, 30*time.Millisecond)
	},
	context.Canceled: func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(30*time.Millisecond, cancel)
		return ctx, cancel
	},
}

// TestRowLocked has another transaction hold the record.
func TestRowLocked(t *testing.T) {
	onEach(t, func(t *testing.T, to target) {
		s := to.store(t, 0)
		v := mustPut(t, s, "name", "value", "")
		tx, err := to.pool(t, 0).Begin()
		require.NoError(t, err)
		defer tx.Rollback()
		_, err = tx.Exec("UPDATE " + to.table + " SET value = value")
		require.NoError(t, err)

		began := time.Now()
		var wg sync.WaitGroup
		for want, end := range ends {
			wg.Go(func() {
				ctx, cancel := end(ctx)
				defer cancel()
				_, err := s.Put(ctx, "name", []byte("new"), v)
				assert.Equal(t, want, err)
			})
		}
		wg.Wait()
		require.Less(t, time.Since(began), 5*time.Second)
		value, _, err := s.Get(ctx, "name") // readers don't wait
		require.NoError(t, err)
		require.Equal(t, "value", string(value))

		// Who has more patience, waits. The server may yet do what was given up, and so
		// the record is read again.
		time.AfterFunc(20*time.Millisecond, func() { tx.Rollback() })
		for {
			_, v, err := s.Get(ctx, "name")
			require.NoError(t, err)
			if _, err = s.Put(ctx, "name", []byte("newer"), v); err == nil {
				break
			}
			require.ErrorIs(t, err, storage.ErrConflict)
		}
	})
}
