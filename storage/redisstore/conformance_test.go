package redisstore_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/redisstore"
	"github.com/oauth2keep/oauth2keep/storage/storagetest"
	"github.com/oauth2keep/oauth2keep/tokensource/tokensourcetest"
)

// place is where records are: what another process needs to open the same store.
type place struct {
	Addr   []string // of one server, or of a cluster's
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
	return p.store(), nil
}

func (p place) store() *redisstore.Store {
	return &redisstore.Store{Prefix: p.Prefix, Client: redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs: p.Addr, IsClusterMode: len(p.Addr) > 1})}
}

// newPlace returns one that is empty, and is emptied in the end.
func newPlace(t *testing.T, addr ...string) place {
	p := place{addr, newPrefix()}
	t.Cleanup(func() {
		s := p.store()
		empty(t, s)
		s.Client.Close()
	})
	return p
}

var soak = flag.Bool("soak", false, "also run what takes long: failovers, fleets of processes, many names, and the contract on more stores")

// inSoaks skips a test that takes long, unless asked for.
func inSoaks(t *testing.T) {
	if !*soak {
		t.Skip("runs with -soak")
	}
}

// notShort skips a test that takes more than half a second, or several servers, if it runs
// with -short.
func notShort(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("runs without -short")
	}
}

func TestMain(m *testing.M) {
	tokensourcetest.Child(openAt)
	storagetest.Child(openAt)
	flag.Parse()
	flag.Set("test.parallel", "24") // tests wait for servers more than they compute
	os.Exit(m.Run())
}

// shared tells storagetest that several processes may use the same server.
type shared struct {
	*redisstore.Store
	place place
}

func (p place) open(t *testing.T) shared {
	s := p.store()
	t.Cleanup(func() { s.Client.Close() })
	return shared{s, p}
}

func (s shared) Share(t *testing.T) storage.Store { return s.place.open(t) }

func (s shared) Spawn(t *testing.T) *storagetest.Process {
	return storagetest.StartProcess(t, s.place.String())
}

// served tells it that there is a server to cut off and to kill.
type served struct {
	shared
	proxy  *storagetest.Proxy
	server *server
}

func (s served) Proxy() *storagetest.Proxy { return s.proxy }

func (s served) Restart(t *testing.T) {
	s.server.Kill()
	require.NoError(t, s.server.Run())
}

func TestStoreKeepsTheContract(t *testing.T) {
	notShort(t)
	t.Parallel()
	s := start(t, durable...)
	storagetest.Run(t, func(t *testing.T) storage.Store {
		p := newPlace(t, s.addr)
		proxy := storagetest.NewProxy(t, s.addr)
		through := place{[]string{proxy.Addr()}, p.Prefix}.open(t)
		through.place = p
		return served{through, proxy, s}
	})
}

// TestStoreOnAServerThatIsThereKeepsTheContract is for a server that isn't ours to kill.
func TestStoreOnAServerThatIsThereKeepsTheContract(t *testing.T) {
	t.Parallel()
	url := os.Getenv(urlVariable)
	if url == "" {
		t.Skip("set " + urlVariable)
	}
	o, err := redis.ParseURL(url)
	require.NoError(t, err)
	storagetest.Run(t, func(t *testing.T) storage.Store {
		s := &redisstore.Store{Client: redis.NewClient(o), Prefix: newPrefix()}
		t.Cleanup(func() {
			empty(t, s)
			s.Client.Close()
		})
		return s
	})
}

func TestStoreOnAClusterKeepsTheContract(t *testing.T) {
	inSoaks(t)
	t.Parallel()
	addrs := addresses(cluster(t))
	storagetest.Run(t, func(t *testing.T) storage.Store { return newPlace(t, addrs...).open(t) })
}

// TestFleet has processes refresh tokens that they keep in one server, and in a
// cluster.
func TestFleet(t *testing.T) {
	inSoaks(t)
	t.Parallel()
	t.Run("one server", func(t *testing.T) {
		t.Parallel()
		s := start(t, durable...)
		tokensourcetest.Run(t, func(t *testing.T) string { return newPlace(t, s.addr).String() }, tokensourcetest.Size{})
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		addrs := addresses(cluster(t))
		tokensourcetest.Run(t, func(t *testing.T) string { return newPlace(t, addrs...).String() }, tokensourcetest.Size{})
	})
}

// sealed is a shared whose values are encrypted; each handle has a Keyset of its
// own, as each process would.
type sealed struct {
	*storage.Encrypted
	inner shared
	key   []byte
}

func seal(t *testing.T, inner shared, key []byte) storage.Store {
	k, err := storage.NewKeyset(key)
	require.NoError(t, err)
	return sealed{storage.Encrypt(inner, k), inner, key}
}

func (s sealed) Share(t *testing.T) storage.Store {
	return seal(t, s.inner.Share(t).(shared), s.key)
}

func TestEncryptedKeepsTheContract(t *testing.T) {
	inSoaks(t)
	t.Parallel()
	s := start(t, durable...)
	storagetest.Run(t, func(t *testing.T) storage.Store { return seal(t, newPlace(t, s.addr).open(t), storage.NewKey()) })
}

// TestReadsGoToTheMaster has a client that sends what only reads to replicas, which
// lag.
func TestReadsGoToTheMaster(t *testing.T) {
	inSoaks(t)
	t.Parallel()
	servers := cluster(t)
	replica := start(t, append([]string{"--cluster-enabled", "yes"}, durable...)...)
	r := client(t, replica.addr)
	meet(t, replica, servers[0])
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
			c.Get(ctx, fmt.Sprint("name ", i))
		}
		c.ReloadState(ctx)
		return reads("get")
	}, 20*time.Second, 50*time.Millisecond)
	require.NoError(t, r.ConfigResetStat(ctx).Err())
	for i := range 100 {
		name := fmt.Sprint("name ", i)
		v := mustPut(t, s, name, "value", "")
		require.Equal(t, v, requireValue(t, s, name, "value"))
	}
	require.False(t, reads("get") || reads("eval"))
}
