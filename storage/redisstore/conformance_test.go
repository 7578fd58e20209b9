package redisstore_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/redisstore"
	"github.com/oauth2keep/oauth2keep/storage/storagetest"
)

// shared tells storagetest that several processes may use the same server.
type shared struct {
	*redisstore.Store
	dial func() redis.UniversalClient
}

func (s shared) Share(t *testing.T) storage.Store {
	store := *s.Store
	store.Client = s.dial()
	t.Cleanup(func() { store.Client.Close() })
	return shared{&store, s.dial}
}

// open returns a function for storagetest, each of whose stores has a prefix of its
// own.
func open(dial func() redis.UniversalClient) func(t *testing.T) storage.Store {
	return func(t *testing.T) storage.Store {
		s := &redisstore.Store{Client: dial(), Prefix: newPrefix()}
		t.Cleanup(func() {
			empty(t, s)
			s.Client.Close()
		})
		return shared{s, dial}
	}
}

func TestStoreKeepsTheContract(t *testing.T) {
	t.Parallel()
	o := options(t)
	storagetest.Run(t, open(func() redis.UniversalClient { return redis.NewClient(o) }))
}

func TestStoreOnAClusterKeepsTheContract(t *testing.T) {
	t.Parallel()
	var addrs []string
	for _, s := range cluster(t) {
		addrs = append(addrs, s.addr)
	}
	storagetest.Run(t, open(func() redis.UniversalClient {
		return redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})
	}))
}

// sealed is a shared whose values are encrypted; each handle has a Keyring of its
// own, as each process would.
type sealed struct {
	*storage.Encrypted
	inner shared
	key   []byte
}

func seal(t *testing.T, inner shared, key []byte) storage.Store {
	k, err := storage.NewKeyring(key)
	require.NoError(t, err)
	return sealed{storage.Encrypt(inner, k), inner, key}
}

func (s sealed) Share(t *testing.T) storage.Store {
	return seal(t, s.inner.Share(t).(shared), s.key)
}

func TestEncryptedKeepsTheContract(t *testing.T) {
	t.Parallel()
	o := options(t)
	next := open(func() redis.UniversalClient { return redis.NewClient(o) })
	storagetest.Run(t, func(t *testing.T) storage.Store { return seal(t, next(t).(shared), storage.NewKey()) })
}

// TestReadsGoToTheMaster has a client that sends what only reads to replicas, which
// lag.
func TestReadsGoToTheMaster(t *testing.T) {
	t.Parallel()
	servers := cluster(t)
	replica := start(t, append([]string{"--cluster-enabled", "yes"}, durable...)...)
	r := client(t, replica.addr)
	host, port, _ := net.SplitHostPort(servers[0].addr)
	require.NoError(t, r.ClusterMeet(ctx, host, port).Err())
	id, err := client(t, servers[0].addr).Do(ctx, "cluster", "myid").Text()
	require.NoError(t, err)
	require.Eventually(t, func() bool { // it has to hear of the master first
		return r.ClusterReplicate(ctx, id).Err() == nil
	}, 20*time.Second, 50*time.Millisecond)
	require.Eventually(t, func() bool {
		info, _ := r.Info(ctx, "replication").Result()
		return strings.Contains(info, "master_link_status:up")
	}, 20*time.Second, 50*time.Millisecond)

	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{servers[0].addr}, ReadOnly: true})
	defer c.Close()
	s := &redisstore.Store{Client: c}
	reads := func(command string) bool {
		stats, err := r.Info(ctx, "commandstats").Result()
		require.NoError(t, err)
		return strings.Contains(stats, "cmdstat_"+command+":")
	}
	require.Eventually(t, func() bool { // the client gets to know of the replica
		for i := range 50 {
			c.Get(ctx, fmt.Sprint("key ", i))
		}
		c.ReloadState(ctx)
		return reads("get")
	}, 20*time.Second, 50*time.Millisecond)
	require.NoError(t, r.ConfigResetStat(ctx).Err())
	for i := range 100 {
		key := fmt.Sprint("key ", i)
		v := mustPut(t, s, key, "value", "")
		require.Equal(t, v, requireValue(t, s, key, "value"))
	}
	require.False(t, reads("get") || reads("evalsha") || reads("eval"))
}
