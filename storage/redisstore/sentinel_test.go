package redisstore_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage/redisstore"
)

const (
	masterName = "oauth2keep"
	patience   = 90 * time.Second // for what takes a few seconds on a machine that is idle
)

func eventually(t testing.TB, what string, happens func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !happens(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("within %v it didn't happen that %s", patience, what)
		}
	}
}

// watched is a master and two replicas that a Sentinel watches.
type watched struct {
	servers  []*server // the first was started as the master
	sentinel *server
}

// watch starts them. Of the replicas, the last is the one to be promoted, if it is
// connected to the master or was just now. The arguments are the first master's.
func watch(t testing.TB, args ...string) *watched {
	t.Helper()
	args = append(append([]string{"--repl-diskless-sync-delay", "0"}, durable...), args...)
	w := &watched{servers: []*server{start(t, args...)}}
	host, port, _ := net.SplitHostPort(w.servers[0].addr)
	for _, priority := range []string{"100", "50"} {
		w.servers = append(w.servers, start(t, append([]string{"--repl-diskless-sync-delay", "0",
			"--replicaof", host + " " + port, "--replica-priority", priority}, durable...)...))
	}
	inStep(t, w.servers[0], 2)
	w.sentinel = launch(t, func(s *server, sentinelPort string) []string {
		conf := filepath.Join(s.dir, "conf")
		require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, "port %s\nbind 127.0.0.1\ndir %s\n"+
			"sentinel monitor %[3]s %[4]s %[5]s 1\nsentinel failover-timeout %[3]s 5000\nsentinel parallel-syncs %[3]s 2\n",
			sentinelPort, s.dir, masterName, host, port), 0o600))
		return []string{conf, "--sentinel"}
	})
	w.hasten(t)
	w.ready(t)
	return w
}

// ready waits until Sentinel has heard from two replicas, and heard just now: it
// doesn't promote others.
func (w *watched) ready(t testing.TB) {
	t.Helper()
	sentinel := w.asks(t)
	eventually(t, "Sentinel knows the replicas", func() bool {
		replicas, _ := sentinel.Replicas(ctx, masterName).Result()
		return len(replicas) == 2 && !slices.ContainsFunc(replicas, func(r map[string]string) bool {
			age, err := strconv.Atoi(r["info-refresh"])
			return r["flags"] != "slave" || r["role-reported"] != "slave" || err != nil || age > 2000
		})
	})
}

// hasten has Sentinel look more often than it does by default, where it can: since
// Redis 7. A master that is merely slow, like the machine, isn't down.
func (w *watched) hasten(t testing.TB) {
	c := client(t, w.sentinel.addr)
	c.Do(ctx, "sentinel", "debug", "info-period", 1000, "publish-period", 500, "tilt-trigger", 60_000)
	w.downAfter(t, 60*time.Second)
}

func (w *watched) downAfter(t testing.TB, d time.Duration) {
	t.Helper()
	require.NoError(t, w.asks(t).Set(ctx, masterName, "down-after-milliseconds", fmt.Sprint(d.Milliseconds())).Err())
}

func (w *watched) asks(t testing.TB) *redis.SentinelClient {
	c := redis.NewSentinelClient(&redis.Options{Addr: w.sentinel.addr})
	t.Cleanup(func() { c.Close() })
	return c
}

// store returns a Store that finds the master through Sentinel.
func (w *watched) store(t testing.TB, waitReplicas int) *redisstore.Store {
	c := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: masterName, SentinelAddrs: []string{w.sentinel.addr}})
	t.Cleanup(func() { c.Close() })
	return &redisstore.Store{Client: c, WaitReplicas: waitReplicas}
}

// at returns a Store that stays with one server, whatever becomes of it.
func at(t testing.TB, s *server) *redisstore.Store {
	return &redisstore.Store{Client: client(t, s.addr)}
}

// failover does to the master what hit is, and returns the one that Sentinel makes the
// next, when its replicas have been told.
func (w *watched) failover(t testing.TB, hit func()) (promoted *server) {
	t.Helper()
	w.ready(t)
	w.downAfter(t, time.Second)
	sentinel := w.asks(t)
	before, err := sentinel.Master(ctx, masterName).Result()
	require.NoError(t, err)
	hit()
	eventually(t, "Sentinel promotes a replica", func() bool {
		master, err := sentinel.Master(ctx, masterName).Result()
		if err != nil || master["port"] == before["port"] {
			return false
		}
		for _, s := range w.servers {
			if strings.HasSuffix(s.addr, ":"+master["port"]) {
				promoted = s
			}
		}
		return promoted != nil
	})
	w.downAfter(t, 60*time.Second)
	return promoted
}

// field returns one of INFO's.
func field(t testing.TB, s *server, name string) string {
	c := redis.NewClient(&redis.Options{Addr: s.addr})
	defer c.Close()
	info, _ := c.Info(ctx, "replication").Result()
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			return value
		}
	}
	return ""
}

// inStep waits until n replicas have all that the master has.
func inStep(t testing.TB, master *server, n int) {
	t.Helper()
	c := client(t, master.addr)
	eventually(t, "the replicas are in step", func() bool {
		pipe := c.Pipeline()
		pipe.Set(ctx, "in step", "", 0)
		confirmed := redis.NewIntCmd(ctx, "wait", n, 100)
		pipe.Process(ctx, confirmed)
		pipe.Exec(ctx)
		return confirmed.Val() >= int64(n)
	})
}

// follows waits until a server is a replica, and in step.
func follows(t testing.TB, s *server) {
	t.Helper()
	eventually(t, "the old master follows the new one", func() bool {
		return field(t, s, "role") == "slave" && field(t, s, "master_link_status") == "up"
	})
}

// cutOff has a replica receive nothing from now on, until it is restored.
func cutOff(t testing.TB, replica *server) (restore func()) {
	t.Helper()
	c := client(t, replica.addr)
	require.NoError(t, c.ConfigSet(ctx, "masteruser", "nobody").Err())
	require.NoError(t, c.ConfigSet(ctx, "masterauth", "wrong").Err())
	require.NoError(t, c.Do(ctx, "client", "kill", "type", "master").Err())
	eventually(t, "the replica is cut off", func() bool { return field(t, replica, "master_link_status") == "down" })
	return func() {
		require.NoError(t, c.ConfigSet(ctx, "masteruser", "").Err())
		require.NoError(t, c.ConfigSet(ctx, "masterauth", "").Err())
	}
}
