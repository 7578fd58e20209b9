package redisstore_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage/redisstore"
)

// TestAMoveOfASlotKeepsWaitingWritersOut has a slot move, record by record as
// redis-cli --cluster reshard does it, while each record is written all the time with
// WaitReplicas. A write is done, or refused for as long as the slot moves.
func TestAMoveOfASlotKeepsWaitingWritersOut(t *testing.T) {
	inSoaks(t)
	t.Parallel()
	servers := cluster(t)
	const prefix, records, writers = "{oauth2keep}:", 200, 8
	c := clusterClient(t, servers)
	s := &redisstore.Store{Client: c, Prefix: prefix, WaitReplicas: 1, WaitTimeout: time.Millisecond}
	fill(t, c, prefix, records)

	stop := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	written, refused, longest := 0, 0, time.Duration(0)
	for w := range writers {
		wg.Go(func() {
			for i := w; ; i += writers {
				select {
				case <-stop:
					return
				default:
				}
				name := fmt.Sprint("name ", i%records)
				began := time.Now()
				for out := true; out; {
					_, v, err := s.Get(ctx, name)
					if err == nil {
						_, err = s.Put(ctx, name, []byte("value"), v)
					}
					mu.Lock()
					switch {
					case errors.Is(err, redisstore.ErrUnconfirmed): // there is no replica
						written++
						out = false
					case err != nil && strings.Contains(err.Error(), "nothing was written"):
						refused++
					default:
						t.Errorf("%s: %v", name, err)
						out = false
					}
					mu.Unlock()
				}
				mu.Lock()
				longest = max(longest, time.Since(began))
				mu.Unlock()
			}
		})
	}
	time.Sleep(200 * time.Millisecond)
	began := time.Now()
	m := beginMove(t, servers, c, prefix)
	for {
		keys, err := m.from.ClusterGetKeysInSlot(ctx, m.slot, 10).Result()
		require.NoError(t, err)
		if len(keys) == 0 {
			break
		}
		m.migrate(t, keys...)
	}
	m.end(t)
	took := time.Since(began)
	time.Sleep(500 * time.Millisecond)
	close(stop)
	wg.Wait()
	t.Logf("%d records moved in %v: %d writes done, %d refused, none longer than %v", records, took, written, refused, longest)
	require.Positive(t, written)
	seen := 0
	for _, err := range s.Names(ctx) {
		require.NoError(t, err)
		seen++
	}
	require.Equal(t, records, seen)
}

// move is one slot on its way from one server of a cluster to another.
type move struct {
	from, to     *redis.Client
	fromID, toID string
	slot         int
}

// beginMove begins to move the slot of a key.
func beginMove(t testing.TB, servers []*server, c *redis.ClusterClient, key string) *move {
	t.Helper()
	slot, err := c.ClusterKeySlot(ctx, key).Result()
	require.NoError(t, err)
	m := &move{slot: int(slot)}
	m.from, err = c.MasterForKey(ctx, key)
	require.NoError(t, err)
	for _, server := range servers {
		if server.addr != m.from.Options().Addr {
			m.to = client(t, server.addr)
		}
	}
	m.fromID, err = m.from.Do(ctx, "cluster", "myid").Text()
	require.NoError(t, err)
	m.toID, err = m.to.Do(ctx, "cluster", "myid").Text()
	require.NoError(t, err)
	require.NoError(t, m.to.Do(ctx, "cluster", "setslot", slot, "importing", m.fromID).Err())
	require.NoError(t, m.from.Do(ctx, "cluster", "setslot", slot, "migrating", m.toID).Err())
	return m
}

// migrate moves keys.
func (m *move) migrate(t testing.TB, keys ...string) {
	t.Helper()
	args := []any{"migrate", "127.0.0.1", strings.TrimPrefix(m.to.Options().Addr, "127.0.0.1:"), "", 0, 5000, "keys"}
	for _, key := range keys {
		args = append(args, key)
	}
	require.NoError(t, m.from.Do(ctx, args...).Err())
}

// end gives the slot to the server that has its keys.
func (m *move) end(t testing.TB) {
	t.Helper()
	for _, node := range []*redis.Client{m.to, m.from} {
		require.NoError(t, node.Do(ctx, "cluster", "setslot", m.slot, "node", m.toID).Err())
	}
}
