package sqlstore_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
)

// TestSQLiteWritersTakeTurns has eight write as fast as they can, in half of the rounds
// through a pool for each. SQLite alone lets some write once while others write
// thousands of times.
func TestSQLiteWritersTakeTurns(t *testing.T) {
	length := 100 * time.Millisecond
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
		counts, errs := make([]int, writers), make([]error, writers)
		var wg sync.WaitGroup
		begin := time.Now()
		for i := range writers {
			wg.Go(func() {
				s := stores[i%pools]
				for v, err := s.Put(ctx, string(rune('a'+i)), nil, ""); time.Since(begin) < length; v, err = s.Put(ctx, string(rune('a'+i)), nil, v) {
					if errs[i] = err; err != nil {
						return
					}
					counts[i]++
				}
			})
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		t.Logf("%d pools: %v writes", pools, counts)
		require.Greater(t, slices.Min(counts)*2, slices.Max(counts), "%v", counts)
	}
}
