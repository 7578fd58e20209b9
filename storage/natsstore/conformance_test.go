package natsstore_test

import (
	"encoding/json"
	"flag"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/natsstore"
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
	Bucket string
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
	js, err := connect(p.Addrs...)
	return &natsstore.Store{JetStream: js, Bucket: p.Bucket}, err
}

func TestMain(m *testing.M) {
	tokensourcetest.Child(openAt)
	storagetest.Child(openAt)
	os.Exit(m.Run())
}

// shared tells storagetest that several processes may use the same cluster.
type shared struct {
	*natsstore.Store
	place place
}

func (p place) open(t *testing.T) shared {
	return shared{&natsstore.Store{JetStream: client(t, p.Addrs...), Bucket: p.Bucket}, p}
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
	contract(t, durable)
}

// TestLazyFlushesOutliveKills has a server that flushes every two minutes, as they do by
// default. Nothing here cuts the power.
func TestLazyFlushesOutliveKills(t *testing.T) {
	inSoaks(t)
	t.Parallel()
	contract(t, "max_payload: 2MB\n"+outOfTheBox)
}

func contract(t *testing.T, config string) {
	server := start(t, config)
	direct := client(t, server.addr)
	storagetest.Run(t, func(t *testing.T) storage.Store {
		p := place{[]string{server.addr}, newBucket(t, direct, 1)}
		proxy := storagetest.NewProxy(t, server.addr)
		through := place{[]string{proxy.Addr()}, p.Bucket}.open(t)
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
	members := cluster(t, 3, durable)
	direct := client(t, addresses(members)...)
	storagetest.Run(t, func(t *testing.T) storage.Store {
		p := place{addresses(members), newBucket(t, direct, 3)}
		proxy := storagetest.NewProxy(t, members[0].addr)
		through := place{[]string{proxy.Addr()}, p.Bucket}.open(t)
		through.place = p
		return served{through, proxy, func(t *testing.T) {
			require.NoError(t, killLeader(members, &natsstore.Store{JetStream: direct, Bucket: p.Bucket}))
		}}
	})
}

// TestReadsOnAClusterSeeEveryWrite reads through each server what was just written through
// one, and tells how many of those reads are old by package jetstream.
func TestReadsOnAClusterSeeEveryWrite(t *testing.T) {
	inSoaks(t)
	t.Parallel()
	members := cluster(t, 3, durable)
	s := &natsstore.Store{JetStream: client(t, members[0].addr)}
	s.Bucket = newBucket(t, s.JetStream, 3)
	var stores []*natsstore.Store
	var views []jetstream.KeyValue
	for _, m := range members {
		js := client(t, m.addr)
		kv, err := js.KeyValue(ctx, s.Bucket)
		require.NoError(t, err)
		stores, views = append(stores, &natsstore.Store{JetStream: js, Bucket: s.Bucket}), append(views, kv)
	}
	var v storage.Version
	var reads, stale int
	for range 500 {
		v = mustPut(t, s, "name", "value", v)
		for i := range members {
			entry, err := views[i].Get(ctx, "name")
			if reads++; err != nil || versionOf(entry) != string(v) {
				stale++
			}
			requireValue(t, stores[i], "name", "value", v)
		}
	}
	t.Logf("%d of %d reads by KeyValue.Get were old", stale, reads)
}

func versionOf(e jetstream.KeyValueEntry) string { return strconv.FormatUint(e.Revision(), 10) }

// TestFleet has processes refresh tokens that they keep in one server, and in a cluster.
func TestFleet(t *testing.T) {
	inSoaks(t)
	t.Parallel()
	for name, size := range map[string]int{"one server": 1, "cluster": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addrs := addresses(cluster(t, size, durable))
			direct := client(t, addrs...)
			tokensourcetest.Run(t, func(t *testing.T) string { return place{addrs, newBucket(t, direct, size)}.String() }, tokensourcetest.Size{})
		})
	}
}

// TestFleetWhileLeadersAreKilled has processes refresh tokens that they keep in a cluster
// whose leader is killed now and then. Until there is another one takes up to nine seconds.
func TestFleetWhileLeadersAreKilled(t *testing.T) {
	inSoaks(t)
	t.Parallel()
	members := cluster(t, 3, durable)
	direct := client(t, addresses(members)...)
	tokensourcetest.Run(t, func(t *testing.T) string {
		bucket := newBucket(t, direct, 3)
		// In the forty seconds that it takes, and not at the end.
		testenv.Meanwhile(t, 2, 12*time.Second, func() error { return killLeader(members, &natsstore.Store{JetStream: direct, Bucket: bucket}) })
		return place{addresses(members), bucket}.String()
	}, tokensourcetest.Size{TokenLife: 20 * time.Second})
}

func addresses(members []member) (addrs []string) {
	for _, m := range members {
		addrs = append(addrs, m.addr)
	}
	return addrs
}
