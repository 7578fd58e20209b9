package sqlstore_test

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
)

// TestSQLiteWritersTakeTurns has eight write as fast as they can, in half of the rounds
// through a pool for each. SQLite alone lets some write once while others write
// thousands of times. Some write a few times as often as others all the same: they are
// the first to run, on a machine that is busy.
func TestSQLiteWritersTakeTurns(t *testing.T) {
	if testing.Short() {
		t.Skip("writes for half a second: runs without -short")
	}
	const writers = 8
	all := int64(writers * 150)
	if *soak {
		all *= 4
	}
	for _, pools := range []int{1, 8} {
		to := target{dialect: sqlstore.SQLite, source: memoryDir(t) + "/db"}.make(t)
		stores := make([]*sqlstore.Store, pools)
		for i := range stores {
			stores[i] = to.open(t)
		}
		counts, errs, versions := make([]int, writers), make([]error, writers), make([]storage.Version, writers)
		for i := range writers {
			versions[i] = mustPut(t, stores[i%pools], string(rune('a'+i)), "", "") // each has a connection
		}
		var written atomic.Int64
		var wg sync.WaitGroup
		for i := range writers {
			wg.Go(func() {
				s := stores[i%pools]
				for v := versions[i]; written.Add(1) <= all; counts[i]++ {
					if v, errs[i] = s.Put(ctx, string(rune('a'+i)), nil, v); errs[i] != nil {
						return
					}
				}
			})
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		t.Logf("%d pools: %v writes", pools, counts)
		require.Greater(t, slices.Min(counts)*10, slices.Max(counts), "%v", counts)
	}
}
