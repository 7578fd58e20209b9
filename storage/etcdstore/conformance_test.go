package etcdstore_test

import (
	"encoding/json"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/etcdstore"
	"github.com/oauth2keep/oauth2keep/storage/storagetest"
	"github.com/oauth2keep/oauth2keep/tokensource/tokensourcetest"
)

var soak = flag.Bool("soak", false, "also run what takes long: fleets of processes, clusters whose leader is killed")

// inSoaks skips a test that takes long, unless asked for.
func inSoaks(t *testing.T) {
	if !*soak {
		t.Skip("runs with -soak")
	}
}

// skipIfShort skips a test that has a server at work for more than a tenth of a second.
func skipIfShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("keeps a server busy: runs without -short")
	}
}

// place is where records are: what another process needs to open the same store.
type place struct {
	Addrs  []string
	Prefix string
}

func (p place) String() string {
	text, _ := json.Marshal(p)
	return string(text)
}

// openAt opens a Store in a process that a test started.
func openAt(at string) (storage.Store, error) {
	var p place
	if err := json.Unmarshal([]byte(at), &p); err != nil {
		return nil, err
	}
	c, err := clientv3.New(config(p.Addrs...))
	return &etcdstore.Store{Client: c, Prefix: p.Prefix}, err
}

func TestMain(m *testing.M) {
	tokensourcetest.Child(openAt)
	storagetest.Child(openAt)
	flag.Parse()
	if !*soak {
		os.Setenv("ETCD_UNSAFE_NO_FSYNC", "true") // nothing cuts the power here
	}
	os.Exit(m.Run())
}

// shared tells storagetest that several processes may use the same cluster.
type shared struct {
	*etcdstore.Store
	place place
}

func (p place) open(t *testing.T) shared {
	return shared{&etcdstore.Store{Client: client(t, p.Addrs...), Prefix: p.Prefix}, p}
}

func (s shared) Share(t *testing.T) storage.Store { return s.place.open(t) }

func (s shared) Spawn(t *testing.T) *storagetest.Process {
	return storagetest.StartProcess(t, s.place.String())
}

// served tells it that there is a server to cut off and to kill.
type served struct {
	shared
	proxy   *storagetest.Proxy
	restart func(t *testing.T)
}

func (s served) Proxy() *storagetest.Proxy { return s.proxy }

func (s served) Restart(t *testing.T) { s.restart(t) }

func TestStoreKeepsTheContract(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	server := start(t)
	storagetest.Run(t, func(t *testing.T) storage.Store {
		p := place{[]string{server.addr}, newPrefix()}
		proxy := storagetest.NewProxy(t, server.addr)
		through := place{[]string{proxy.Addr()}, p.Prefix}.open(t)
		through.place = p
		return served{through, proxy, func(t *testing.T) {
			server.Kill()
			require.NoError(t, server.Run())
		}}
	})
}

// TestStoreOnAClusterKeepsTheContract kills leaders.
func TestStoreOnAClusterKeepsTheContract(t *testing.T) {
	inSoaks(t)
	t.Parallel()
	members := cluster(t, 3)
	direct := client(t, addresses(members)...)
	storagetest.Run(t, func(t *testing.T) storage.Store {
		p := place{addresses(members), newPrefix()}
		proxy := storagetest.NewProxy(t, members[0].addr)
		through := place{[]string{proxy.Addr()}, p.Prefix}.open(t)
		through.place = p
		return served{through, proxy, func(t *testing.T) { require.NoError(t, killLeader(members, direct)) }}
	})
}

// TestFleet has processes refresh tokens that they keep in one server, and in a cluster.
func TestFleet(t *testing.T) {
	inSoaks(t)
	t.Parallel()
	for name, size := range map[string]int{"one server": 1, "cluster": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addrs := addresses(cluster(t, size))
			tokensourcetest.Run(t, func(t *testing.T) string { return place{addrs, newPrefix()}.String() }, tokensourcetest.Size{})
		})
	}
}

// TestFleetWhileLeadersAreKilled has processes refresh tokens that they keep in a cluster
// whose leader is killed now and then.
func TestFleetWhileLeadersAreKilled(t *testing.T) {
	inSoaks(t)
	t.Parallel()
	members := cluster(t, 3)
	direct := client(t, addresses(members)...)
	tokensourcetest.Run(t, func(t *testing.T) string {
		// In the forty seconds that it takes, and not at the end.
		testenv.Meanwhile(t, 2, 12*time.Second, func() error { return killLeader(members, direct) })
		return place{addresses(members), newPrefix()}.String()
	}, tokensourcetest.Size{TokenLife: 20 * time.Second})
}

func addresses(members []member) (addrs []string) {
	for _, m := range members {
		addrs = append(addrs, m.addr)
	}
	return addrs
}
