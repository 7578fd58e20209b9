package etcdstore_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
	"github.com/oauth2keep/oauth2keep/storage/etcdstore"
)

var ctx = context.Background()

// member is one server of a cluster.
type member struct {
	*testenv.Server
	addr string
}

// start starts a cluster of one.
func start(t testing.TB, args ...string) member { return cluster(t, 1, args...)[0] }

// cluster starts so many servers that replicate each other.
func cluster(t testing.TB, size int, args ...string) []member {
	t.Helper()
	path := testenv.FindProgram(t, "etcd", "apt-get install etcd-server")
	dir := t.TempDir()
	if size > 1 && !*soak {
		dir = testenv.DirInMemory(t) // not for one: each reserves 128 MiB, for which a disk has no work
	}
	members := make([]member, size)
	peers := make([]string, size)
	var all []string
	for i := range members {
		members[i].addr = testenv.Addr(t)
		peers[i] = "http://" + testenv.Addr(t)
		all = append(all, fmt.Sprintf("%d=%s", i, peers[i]))
	}
	started := make(chan *testenv.Server, size)
	for i, m := range members {
		url := "http://" + m.addr
		full := append([]string{path, "--name", strconv.Itoa(i), "--data-dir", filepath.Join(dir, strconv.Itoa(i)), "--log-level", "error",
			"--listen-client-urls", url, "--advertise-client-urls", url,
			"--listen-peer-urls", peers[i], "--initial-advertise-peer-urls", peers[i], "--initial-cluster", strings.Join(all, ",")}, args...)
		if size == 1 { // it elects itself at once; others need time on a machine that is busy
			full = append(full, "--heartbeat-interval", "20", "--election-timeout", "200")
		}
		go func() {
			defer func() { started <- members[i].Server }()
			members[i].Server = testenv.StartServer(t, healthy(url), full...)
		}()
	}
	for range members {
		require.NotNil(t, <-started, "a server wasn't started")
	}
	return members
}

// killLeader kills the leader of a cluster, and starts it again.
func killLeader(members []member, c *clientv3.Client) error {
	for _, m := range members {
		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		status, err := c.Status(limited, m.addr)
		cancel()
		if err != nil {
			return err
		}
		if status.Leader == status.Header.MemberId {
			m.Kill()
			return m.Run()
		}
	}
	return errors.New("the cluster has no leader")
}

// healthy asks a server whether it has a leader.
func healthy(url string) func() error {
	return func() error {
		c := http.Client{Timeout: time.Second}
		answer, err := c.Get(url + "/health")
		if err != nil {
			return err
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("its health is %s", answer.Status)
		}
		return nil
	}
}

func config(addrs ...string) clientv3.Config {
	return clientv3.Config{Endpoints: addrs, Logger: zap.NewNop(), DialTimeout: 5 * time.Second,
		DialKeepAliveTime: 30 * time.Second, DialKeepAliveTimeout: 10 * time.Second,
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			// Back soon after a cut. A connection for which there is no time is cut by gRPC, also when it has just been made.
			MinConnectTimeout: 5 * time.Second,
			Backoff:           backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 2, MaxDelay: 200 * time.Millisecond}})}}
}

// client returns one that is closed when the test is over.
func client(t testing.TB, addrs ...string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(config(addrs...))
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

var prefixes atomic.Int32

// newPrefix returns one that no other test uses.
func newPrefix() string { return fmt.Sprintf("test %d %d/", os.Getpid(), prefixes.Add(1)) }

// newStore returns an empty one, on a server of its own.
func newStore(t testing.TB, args ...string) (*etcdstore.Store, *clientv3.Client) {
	t.Helper()
	c := client(t, start(t, args...).addr)
	return &etcdstore.Store{Client: c}, c
}
