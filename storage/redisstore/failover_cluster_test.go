package redisstore_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/redisstore"
)

// TestFailoverOfACluster kills a master whose only replica confirmed what it wrote.
func TestFailoverOfACluster(t *testing.T) {
	inSoaks(t)
	t.Parallel()
	servers := cluster(t)
	master := servers[0]
	replica := start(t, append([]string{"--cluster-enabled", "yes", "--repl-diskless-sync-delay", "0"}, durable...)...)
	meet(t, replica, master)
	id, err := client(t, master.addr).Do(ctx, "cluster", "myid").Text()
	require.NoError(t, err)
	eventually(t, "the replica has a master", func() bool { // of which it has to hear first
		return client(t, replica.addr).ClusterReplicate(ctx, id).Err() == nil
	})
	follows(t, replica)

	const prefix = "{oauth2keep}:" // all on one master
	s := &redisstore.Store{Client: clusterClient(t, servers), Prefix: prefix, WaitReplicas: 1, WaitTimeout: 20 * time.Second}
	slot, err := s.Client.ClusterKeySlot(ctx, prefix).Result()
	require.NoError(t, err)
	require.Less(t, slot, int64(16384/3), "the first master's")
	v := mustPut(t, s, "name", "first", "")
	deleted := mustPut(t, s, "deleted", "first", "")
	v = mustPut(t, s, "name", "second", v)
	require.NoError(t, s.Delete(ctx, "deleted", deleted))
	for _, server := range append(servers[1:], replica) {
		eventually(t, "all know the replica", func() bool {
			nodes, _ := client(t, server.addr).ClusterNodes(ctx).Result()
			return strings.Count(nodes, " connected") == 4 && strings.Contains(nodes, "slave "+id)
		})
		require.NoError(t, client(t, server.addr).ConfigSet(ctx, "cluster-node-timeout", "1000").Err())
	}
	master.Kill()
	eventually(t, "the replica is promoted", func() bool { return field(t, replica, "role") == "master" })
	promotion := time.Now()
	eventually(t, "the store goes on by itself", func() bool {
		_, _, err := s.Get(ctx, "name") // no write, after which the client would ask anew
		return err == nil
	})
	require.Less(t, time.Since(promotion), 45*time.Second, "the client asks anew every minute, and shouldn't have to be waited for")
	require.Equal(t, v, requireValue(t, s, "name", "second"))
	_, _, err = s.Get(ctx, "deleted")
	require.ErrorIs(t, err, storage.ErrNotFound)
	s.WaitTimeout = 50 * time.Millisecond
	eventually(t, "the new master writes, alone", func() bool {
		_, now, _ := s.Get(ctx, "name")
		_, err = s.Put(ctx, "name", []byte("third"), now)
		require.Error(t, err)
		return errors.Is(err, redisstore.ErrUnconfirmed)
	})
	requireValue(t, s, "name", "third")
	for name, err := range s.Names(ctx) {
		require.NoError(t, err)
		require.Equal(t, "name", name)
	}
}

// TestAClusterClientThroughSentinel has a client that sends reads to whichever server is
// the nearest.
func TestAClusterClientThroughSentinel(t *testing.T) {
	notShort(t)
	t.Parallel()
	w := watch(t, "--min-replicas-to-write", "1")
	c := redis.NewFailoverClusterClient(&redis.FailoverOptions{
		MasterName: masterName, SentinelAddrs: []string{w.sentinel.addr}, RouteByLatency: true})
	defer c.Close()
	for _, waitReplicas := range []int{0, 2} {
		s := &redisstore.Store{Client: c, WaitReplicas: waitReplicas, WaitTimeout: 20 * time.Second}
		require.NoError(t, s.Check(ctx))
		v := mustPut(t, s, "name", "value", "")
		require.Equal(t, v, requireValue(t, at(t, w.servers[0]), "name", "value"))
		require.Equal(t, v, requireValue(t, s, "name", "value"))
		for name, err := range s.Names(ctx) {
			require.NoError(t, err)
			require.Equal(t, "name", name)
		}
		require.NoError(t, s.Delete(ctx, "name", v))
	}
	if !*soak {
		return
	}
	s := &redisstore.Store{Client: c}
	v := mustPut(t, s, "name", "value", "")
	inStep(t, w.servers[0], 2)
	w.failover(t, w.servers[0].Kill)
	eventually(t, "the store goes on by itself", func() bool {
		now, err := s.Put(ctx, "name", []byte("next"), v)
		if err != nil {
			_, v, _ = s.Get(ctx, "name")
		}
		return err == nil && now != v
	})
	requireValue(t, s, "name", "next")
}

// TestNamesThroughAFailover has a walk begin on one master and end on the next, to
// which its cursor means nothing.
func TestNamesThroughAFailover(t *testing.T) {
	inSoaks(t)
	t.Parallel()
	const n = 3000
	w := watch(t)
	fill(t, client(t, w.servers[0].addr), redisstore.DefaultPrefix, n)
	inStep(t, w.servers[0], 2)
	seen := make(map[string]bool)
	for name, err := range w.store(t, 0).Names(ctx) {
		require.NoError(t, err)
		require.False(t, seen[name], "twice: %q", name)
		if seen[name] = true; len(seen) == n/2 {
			w.failover(t, w.servers[0].Kill)
		}
	}
	require.Equal(t, n, len(seen))
}

// TestAMasterWithoutItsDataEmptiesItsReplicas is why appendonly matters beside
// WaitReplicas: no failover, because the master was back too soon.
func TestAMasterWithoutItsDataEmptiesItsReplicas(t *testing.T) {
	notShort(t)
	t.Parallel()
	forgetful := start(t, "--save", "", "--repl-diskless-sync-delay", "0")
	host, port, _ := net.SplitHostPort(forgetful.addr)
	replica := start(t, append([]string{"--replicaof", host + " " + port}, durable...)...)
	inStep(t, forgetful, 1)
	s := at(t, forgetful)
	s.WaitReplicas, s.WaitTimeout = 1, 20*time.Second
	mustPut(t, s, "name", "value", "")
	requireValue(t, at(t, replica), "name", "value")
	forgetful.Kill()
	require.NoError(t, forgetful.Run())
	eventually(t, "the replica has forgotten it too", func() bool {
		_, _, err := at(t, replica).Get(ctx, "name")
		return errors.Is(err, storage.ErrNotFound)
	})
	require.ErrorContains(t, s.Check(ctx), "the server at "+forgetful.addr+" has appendonly no:")
}
