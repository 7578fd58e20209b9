package redisstore_test

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/redisstore"
)

func splitFields(s string) iter.Seq[string] { return strings.FieldsSeq(s) }

const kills = 50

// TestNothingAcknowledgedIsLostWhenTheServerIsKilled kills the server in the middle
// of writes and starts it again. Killing a process doesn't lose what the operating
// system holds: that appendfsync flushes is for Redis to keep.
func TestNothingAcknowledgedIsLostWhenTheServerIsKilled(t *testing.T) {
	t.Parallel()
	s := start(t, durable...)
	c := redis.NewClient(&redis.Options{Addr: s.addr, DialTimeout: time.Second})
	t.Cleanup(func() { c.Close() })
	store := &redisstore.Store{Client: c}
	const writers = 4
	var acknowledged, unknown atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			key := fmt.Sprint("counter ", w)
			last, sure := 0, storage.Version("") // the last write that was acknowledged
			for n := 1; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				v, err := store.Put(ctx, key, []byte(strconv.Itoa(n)), sure)
				if err == nil {
					last, sure = n, v
					acknowledged.Add(1)
					continue
				}
				if errors.Is(err, storage.ErrConflict) {
					t.Errorf("a conflict, and nobody else writes %q: %v", key, err)
					return
				}
				unknown.Add(1)
				value, v, err := store.Get(ctx, key)
				for deadline := time.Now().Add(20 * time.Second); err != nil && !errors.Is(err, storage.ErrNotFound) && time.Now().Before(deadline); {
					time.Sleep(5 * time.Millisecond)
					value, v, err = store.Get(ctx, key)
				}
				switch got, _ := strconv.Atoi(string(value)); {
				case err != nil && (last > 0 || !errors.Is(err, storage.ErrNotFound)):
					t.Errorf("%q: %d was acknowledged, and then: %v", key, last, err)
					return
				case got != n && got != last || got == last && v != sure:
					t.Errorf("%q: %d was acknowledged and %d perhaps written, and there is %d", key, last, n, got)
					return
				default:
					last, sure = got, v
				}
			}
		})
	}
	for range kills {
		time.Sleep(time.Duration(20+rand.IntN(60)) * time.Millisecond)
		s.kill()
		require.NoError(t, s.run())
	}
	close(stop)
	wg.Wait()
	t.Logf("%d kills, %d writes acknowledged, %d of unknown outcome", kills, acknowledged.Load(), unknown.Load())
	require.Greater(t, acknowledged.Load(), int64(kills))
}
