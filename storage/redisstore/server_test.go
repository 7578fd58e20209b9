package redisstore_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
	"github.com/oauth2keep/oauth2keep/storage/redisstore"
)

// urlVariable names a server to test on in place of one that the tests start. Tests
// that kill, pause or configure servers start their own nevertheless.
const urlVariable = "OAUTH2KEEP_REDIS_URL"

var ctx = context.Background()

// server is a redis-server process with a directory and a port of its own.
type server struct {
	*testenv.Server
	addr string
	bus  string // the port for the others of its cluster
	dir  string
}

// durable is what the contract needs.
var durable = []string{"--appendonly", "yes", "--appendfsync", "always", "--save", ""}

// start starts a server, which is killed when the test is over.
func start(t testing.TB, args ...string) *server {
	t.Helper()
	return launch(t, func(s *server, port string) []string {
		_, s.bus, _ = net.SplitHostPort(testenv.Addr(t))
		return append([]string{"--port", port, "--cluster-port", s.bus, "--bind", "127.0.0.1", "--dir", s.dir,
			"--enable-debug-command", "yes"}, args...)
	})
}

// launch starts a redis-server with the arguments that it is given for a port.
func launch(t testing.TB, args func(s *server, port string) []string) *server {
	t.Helper()
	path := testenv.FindProgram(t, "redis-server", "apt-get install redis-server")
	s := &server{addr: testenv.Addr(t), dir: memoryDir(t)}
	_, port, err := net.SplitHostPort(s.addr)
	require.NoError(t, err)
	s.Server = testenv.StartServer(t, s.loaded, append([]string{path}, args(s, port)...)...)
	return s
}

// memoryDir returns a directory in memory or, with -soak, on a disk. Nothing cuts the power
// here.
func memoryDir(t testing.TB) string {
	if *soak {
		return t.TempDir()
	}
	return testenv.DirInMemory(t)
}

// loaded returns nil when the server has loaded its data.
func (s *server) loaded() error {
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		return err // at once: the client would try again for half a second
	}
	conn.Close()
	c := redis.NewClient(&redis.Options{Addr: s.addr, MaxRetries: -1})
	defer c.Close()
	if err := c.Ping(ctx).Err(); !redis.HasErrorPrefix(err, "NOAUTH") {
		return err
	}
	return nil
}

// client returns a client of addr, which is closed when the test is over.
func client(t testing.TB, addr string) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { c.Close() })
	return c
}

// meet tells a server of another of its cluster.
func meet(t testing.TB, server, other *server) {
	t.Helper()
	host, port, _ := net.SplitHostPort(other.addr)
	require.NoError(t, client(t, server.addr).Do(ctx, "cluster", "meet", host, port, other.bus).Err())
}

// cluster starts three masters that share the slots.
func cluster(t testing.TB) []*server {
	t.Helper()
	notShort(t)
	const slots = 16384
	var servers []*server
	for i := range 3 {
		s := start(t, append([]string{"--cluster-enabled", "yes", "--cluster-node-timeout", "5000"}, durable...)...)
		servers = append(servers, s)
		c := client(t, s.addr)
		require.NoError(t, c.ClusterAddSlotsRange(ctx, i*slots/3, (i+1)*slots/3-1).Err())
		require.NoError(t, c.Do(ctx, "cluster", "set-config-epoch", i+1).Err())
		if i > 0 {
			meet(t, servers[0], s)
		}
	}
	for _, s := range servers {
		c := client(t, s.addr)
		require.Eventually(t, func() bool {
			info, _ := c.ClusterInfo(ctx).Result()
			return len(info) > 16 && info[:16] == "cluster_state:ok"
		}, 20*time.Second, 20*time.Millisecond)
	}
	return servers
}

func addresses(servers []*server) (addrs []string) {
	for _, s := range servers {
		addrs = append(addrs, s.addr)
	}
	return addrs
}

func clusterClient(t testing.TB, servers []*server) *redis.ClusterClient {
	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addresses(servers)})
	t.Cleanup(func() { c.Close() })
	return c
}

var prefixes struct {
	sync.Mutex
	n int
}

// newPrefix returns one that no other test uses, nor another run on the same server.
func newPrefix() string {
	prefixes.Lock()
	defer prefixes.Unlock()
	prefixes.n++
	return fmt.Sprintf("oauth2keep test %d.%d.%d:", os.Getpid(), time.Now().UnixNano(), prefixes.n)
}

// options are those of the one server that a test needs.
func options(t testing.TB) *redis.Options {
	if url := os.Getenv(urlVariable); url != "" {
		o, err := redis.ParseURL(url)
		require.NoError(t, err)
		return o
	}
	return &redis.Options{Addr: start(t, durable...).addr}
}

// empty removes what a test has stored, from a server that may outlive it.
func empty(t testing.TB, s *redisstore.Store) {
	for name, err := range s.Names(ctx) {
		if err != nil {
			return // its server is gone, and the records with it
		}
		if err := s.Client.Del(ctx, s.Prefix+name).Err(); err != nil {
			t.Log(err)
		}
	}
}
