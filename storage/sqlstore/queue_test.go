package sqlstore_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
)

// TestSQLiteWritersTakeTurns has eight write as fast as they can, in half of the rounds
// through a pool for each. SQLite alone lets some write once while others write
// thousands of times.
func TestSQLiteWritersTakeTurns(t *testing.T) {
	if testing.Short() {
		t.Skip("writes for half a second: runs without -short")
	}
	length := 250 * time.Millisecond
	if *soak {
		length = time.Second
	}
	for _, pools := range []int{1, 8} {
		to := target{dialect: sqlstore.SQLite, source: memoryDir(t) + "/db"}.make(t)
		stores := make([]*sqlstore.Store, pools)
		for i := range stores {
			stores[i] = to.open(t)
		}
		const writers = 8
		counts, errs, versions := make([]int, writers), make([]error, writers), make([]storage.Version, writers)
		for i := range writers {
			versions[i] = mustPut(t, stores[i%pools], string(rune('a'+i)), "", "") // each has a connection
		}
		var wg sync.WaitGroup
		begin := time.Now()
		for i := range writers {
			wg.Go(func() {
				s := stores[i%pools]
				for v := versions[i]; time.Since(begin) < length; counts[i]++ {
					if v, errs[i] = s.Put(ctx, string(rune('a'+i)), nil, v); errs[i] != nil {
						return
					}
				}
			})
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		t.Logf("%d pools: %v writes", pools, counts)
		require.Greater(t, slices.Min(counts)*2, slices.Max(counts), "%v", counts)
	}
}
