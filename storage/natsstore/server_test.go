package natsstore_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/natsstore"
)

var ctx = context.Background()

// member is one server of a cluster.
type member struct {
	*testenv.Server
	name, addr string
}

// Configurations, for the directory of a server's data: what the contract needs, and a
// server as it comes out of the box.
const (
	durable     = "max_payload: 2MB\njetstream {store_dir: %q, sync_interval: always}\n"
	outOfTheBox = "jetstream {store_dir: %q}\n"
)

// start starts a server.
func start(t testing.TB, config string) member { return cluster(t, 1, config)[0] }

// cluster starts so many servers that replicate each other.
func cluster(t testing.TB, size int, config string) []member {
	t.Helper()
	path := testenv.FindProgram(t, "nats-server", "go install github.com/nats-io/nats-server/v2@v2.15.3")
	dir := testenv.DirInMemory(t)
	if *soak {
		dir = t.TempDir()
	}
	members := make([]member, size)
	routes := make([]string, size)
	for i := range members {
		members[i].name, members[i].addr = fmt.Sprint("server", i), testenv.Addr(t)
		routes[i] = testenv.Addr(t)
	}
	started := make(chan *testenv.Server, size)
	for i, m := range members {
		text := fmt.Sprintf("server_name: %s\nlisten: %q\n"+config, m.name, m.addr, filepath.Join(dir, m.name))
		if size > 1 {
			text += fmt.Sprintf("cluster {name: test, listen: %q, routes: [nats://%s]}\n", routes[i], strings.Join(routes, ", nats://"))
		}
		file := filepath.Join(dir, m.name+".conf")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		go func() {
			defer func() { started <- members[i].Server }()
			members[i].Server = testenv.StartServer(t, ready(m.addr), path, "-c", file)
		}()
	}
	for range members {
		require.NotNil(t, <-started, "a server wasn't started")
	}
	return members
}

// ready asks a server for JetStream.
func ready(addr string) func() error {
	return func() error {
		nc, err := nats.Connect("nats://"+addr, nats.UserInfo("admin", "pw"), nats.NoReconnect())
		if err != nil {
			return err
		}
		defer nc.Close()
		js, _ := jetstream.New(nc)
		limited, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
		_, err = js.AccountInfo(limited)
		return err
	}
}

func connect(addrs ...string) (jetstream.JetStream, error) {
	nc, err := nats.Connect("nats://"+strings.Join(addrs, ",nats://"), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond),
		nats.ReconnectJitter(5*time.Millisecond, 5*time.Millisecond), nats.UserInfo("admin", "pw"))
	if err != nil {
		return nil, err
	}
	return jetstream.New(nc)
}

// client returns one that is closed when the test is over.
func client(t testing.TB, addrs ...string) jetstream.JetStream {
	t.Helper()
	js, err := connect(addrs...)
	require.NoError(t, err)
	t.Cleanup(js.Conn().Close)
	return js
}

// killLeader kills the leader of a bucket, and starts it again.
func killLeader(members []member, s *natsstore.Store) error {
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		stream, err := s.JetStream.Stream(ctx, "KV_"+s.Bucket)
		if err == nil {
			for _, m := range members {
				if m.name == stream.CachedInfo().Cluster.Leader {
					m.Kill()
					return m.Run()
				}
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the bucket has no leader: %w", err)
		}
	}
}

var buckets atomic.Int32

// newBucket makes one that is empty.
func newBucket(t testing.TB, js jetstream.JetStream, replicas int) string {
	t.Helper()
	name := fmt.Sprint("test-", buckets.Add(1))
	_, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: name, Replicas: replicas})
	require.NoError(t, err)
	return name
}

// newStore returns an empty one, on a server of its own.
func newStore(t testing.TB, config string) *natsstore.Store {
	t.Helper()
	js := client(t, start(t, config).addr)
	return &natsstore.Store{JetStream: js, Bucket: newBucket(t, js, 1)}
}

func mustPut(t testing.TB, s storage.Store, name, value string, old storage.Version) storage.Version {
	t.Helper()
	v, err := s.Put(ctx, name, []byte(value), old)
	require.NoError(t, err)
	return v
}

func requireValue(t testing.TB, s storage.Store, name, value string, v storage.Version) {
	t.Helper()
	got, now, err := s.Get(ctx, name)
	require.NoError(t, err)
	require.Equal(t, value, string(got))
	require.Equal(t, v, now)
}
