package natsstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/natsstore"
	"github.com/oauth2keep/oauth2keep/storage/storagetest"
)

const (
	refused = "natsstore: nothing was written: "
	unknown = "natsstore: the record may have been written or not: read it again: "
)

// namesOf returns what Names yields, sorted.
func namesOf(t *testing.T, s storage.Lister) (names []string) {
	t.Helper()
	for name, err := range s.Names(ctx) {
		require.NoError(t, err)
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// TestAVersionIsNeverAcceptedAgain deletes and creates a record.
func TestAVersionIsNeverAcceptedAgain(t *testing.T) {
	t.Parallel()
	s := newStore(t, durable)
	kv, err := s.JetStream.KeyValue(ctx, s.Bucket)
	require.NoError(t, err)
	var old []storage.Version
	for _, purged := range []bool{false, true, false} {
		v := mustPut(t, s, "name", "value", "")
		require.NotContains(t, old, v)
		for _, o := range append(old, "") {
			_, err := s.Put(ctx, "name", nil, o)
			require.ErrorIs(t, err, storage.ErrConflict, o)
			require.ErrorIs(t, s.Delete(ctx, "name", o), storage.ErrConflict, o)
		}
		requireValue(t, s, "name", "value", v)
		require.NoError(t, s.Delete(ctx, "name", v))
		require.NoError(t, s.Delete(ctx, "name", ""))
		old = append(old, v)
		require.Empty(t, namesOf(t, s))
		if purged { // as operators do, so that the marker is gone
			require.NoError(t, kv.PurgeDeletes(ctx, jetstream.DeleteMarkersOlderThan(-1)))
		}
	}
}

// TestALateCreationBringsNothingBack has the message of a Put arrive after its record was
// created and deleted by others.
func TestALateCreationBringsNothingBack(t *testing.T) {
	t.Parallel()
	s := newStore(t, durable)
	v := mustPut(t, s, "name", "value", "")
	require.NoError(t, s.Delete(ctx, "name", v))
	_, err := s.JetStream.Publish(ctx, "$KV."+s.Bucket+".name", []byte("late"), jetstream.WithExpectLastSequencePerSubject(0))
	require.Error(t, err)
	_, _, err = s.Get(ctx, "name")
	require.ErrorIs(t, err, storage.ErrNotFound)
}

// TestReadsAskTheLeader looks at the requests. All replicas answer a direct get.
func TestReadsAskTheLeader(t *testing.T) {
	t.Parallel()
	s := newStore(t, durable)
	stream, err := s.JetStream.Stream(ctx, "KV_"+s.Bucket)
	require.NoError(t, err)
	require.True(t, stream.CachedInfo().Config.AllowDirect) // as the buckets are that users have
	requests, err := s.JetStream.Conn().SubscribeSync("$JS.API.>")
	require.NoError(t, err)
	v := mustPut(t, s, "name", "value", "")
	requireValue(t, s, "name", "value", v)
	require.ErrorIs(t, s.Delete(ctx, "name", ""), storage.ErrConflict)
	_, err = s.Put(ctx, "name", nil, "")
	require.ErrorIs(t, err, storage.ErrConflict)
	for range 3 {
		m, err := requests.NextMsg(5 * time.Second)
		require.NoError(t, err)
		require.Equal(t, "$JS.API.STREAM.MSG.GET.KV_"+s.Bucket, m.Subject)
	}
	_, err = requests.NextMsg(10 * time.Millisecond)
	require.ErrorIs(t, err, nats.ErrTimeout)
}

// TestOtherToolsSeeRecords by package jetstream's own view of a bucket.
func TestOtherToolsSeeRecords(t *testing.T) {
	t.Parallel()
	s := newStore(t, durable)
	kv, err := s.JetStream.KeyValue(ctx, s.Bucket)
	require.NoError(t, err)
	v := mustPut(t, s, "customer 1", "value", "")
	entry, err := kv.Get(ctx, "customer=201")
	require.NoError(t, err)
	require.Equal(t, "value", string(entry.Value()))
	require.Equal(t, string(v), fmt.Sprint(entry.Revision()))
	long := strings.Repeat("long/", 800)
	mustPut(t, s, long, "value", "")
	_, err = kv.Put(ctx, "a.b", nil) // foreign
	require.NoError(t, err)
	require.Equal(t, []string{"customer 1", long}, namesOf(t, s))
	for _, remove := range []func(context.Context, string, ...jetstream.KVDeleteOpt) error{kv.Delete, kv.Purge} {
		require.NoError(t, remove(ctx, "customer=201"))
		_, _, err := s.Get(ctx, "customer 1")
		require.ErrorIs(t, err, storage.ErrNotFound)
		mustPut(t, s, "customer 1", "again", "")
	}
}

// TestNamesWhileRecordsAreWritten replaces records as fast as it can.
func TestNamesWhileRecordsAreWritten(t *testing.T) {
	walks := 10
	if *soak {
		walks = 100
	}
	t.Parallel()
	s := newStore(t, durable)
	var names []string
	for i := range 50 {
		names = append(names, fmt.Sprintf("name %02d", i))
		mustPut(t, s, names[i], "value", "")
	}
	writing, stop := context.WithCancel(ctx)
	stopped := make(chan error)
	go func() {
		var err error
		for i := 0; writing.Err() == nil && err == nil; i++ {
			var v storage.Version
			if _, v, err = s.Get(ctx, names[i*7%50]); err == nil {
				_, err = s.Put(ctx, names[i*7%50], []byte("new"), v)
			}
		}
		stopped <- err
	}()
	for range walks {
		require.Equal(t, names, namesOf(t, s))
	}
	stop()
	require.NoError(t, <-stopped)
}

func TestCheck(t *testing.T) {
	t.Parallel()
	js := client(t, start(t, durable).addr)
	s := &natsstore.Store{JetStream: js}
	require.ErrorContains(t, s.Check(ctx), "stream not found (make the bucket with JetStream.CreateKeyValue)")
	_, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: natsstore.DefaultBucket})
	require.NoError(t, err)
	require.NoError(t, s.Check(ctx))

	s.Bucket = "risky"
	_, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: s.Bucket, Storage: jetstream.MemoryStorage,
		TTL: time.Hour, History: 2, MaxValueSize: 1000})
	require.NoError(t, err)
	for _, problem := range []string{"is kept in memory", "lets records expire after 1h0m0s", "keeps replaced values", "takes messages of up to 1000 bytes"} {
		require.ErrorContains(t, s.Check(ctx), "natsstore: the bucket risky "+problem)
	}
	_, err = s.Put(ctx, "name", make([]byte, 2000), "")
	require.ErrorContains(t, err, refused)
	require.ErrorContains(t, err, "(raise the bucket's MaxValueSize)")

	s.Bucket = "foreign"
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "KV_foreign", Subjects: []string{"$KV.foreign.>"}, MaxMsgsPerSubject: 1,
		MaxBytes: 1000000, DenyPurge: true})
	require.NoError(t, err)
	require.ErrorContains(t, s.Check(ctx), "drops old records")
	require.ErrorContains(t, s.Check(ctx), "refuses deletions")

	s.Bucket = "copy"
	_, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: s.Bucket, Mirror: &jetstream.StreamSource{Name: natsstore.DefaultBucket}})
	require.NoError(t, err)
	require.ErrorContains(t, s.Check(ctx), "is a copy of another")
}

// TestMaxPayload is of a server as it comes out of the box, which takes less than the
// largest record.
func TestMaxPayload(t *testing.T) {
	t.Parallel()
	s := newStore(t, outOfTheBox)
	require.ErrorContains(t, s.Check(ctx), "is on a server that takes messages of up to 1048576 bytes")
	_, err := s.Put(ctx, "name", make([]byte, 1<<20), "")
	require.ErrorContains(t, err, refused+"nats: maximum payload exceeded (raise the server's max_payload)")
	v := mustPut(t, s, "name", strings.Repeat("v", 1<<20-500), "")
	requireValue(t, s, "name", strings.Repeat("v", 1<<20-500), v)
}

// TestFull has a bucket reach its MaxBytes.
func TestFull(t *testing.T) {
	t.Parallel()
	js := client(t, start(t, durable).addr)
	s := &natsstore.Store{JetStream: js, Bucket: "small"}
	_, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: s.Bucket, MaxBytes: 10000})
	require.NoError(t, err)
	v := mustPut(t, s, "name", "value", "")
	_, err = s.Put(ctx, "large", make([]byte, 20000), "")
	require.ErrorContains(t, err, "see the bucket's MaxBytes, and the server's log")
	require.NotErrorIs(t, err, storage.ErrConflict)
	_, _, err = s.Get(ctx, "large")
	require.ErrorIs(t, err, storage.ErrNotFound)
	requireValue(t, s, "name", "value", v)
	require.NoError(t, s.Delete(ctx, "name", v))
}

func TestErrors(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	_, _, err := new(natsstore.Store).Get(ctx, "name")
	require.ErrorContains(t, err, "natsstore: this Store has no JetStream")
	require.ErrorContains(t, new(natsstore.Store).Check(ctx), "natsstore: this Store has no JetStream")

	server := start(t, durable)
	s := &natsstore.Store{JetStream: client(t, server.addr), Bucket: "absent"}
	_, err = s.Put(ctx, "name", nil, "")
	require.ErrorContains(t, err, refused)
	require.ErrorContains(t, err, "(make the bucket with JetStream.CreateKeyValue, or wait until its leader is back)")
	_, _, err = s.Get(ctx, "name")
	require.ErrorContains(t, err, "natsstore: nats: API error: code=404 err_code=10059 description=stream not found (make the bucket with")

	proxy := storagetest.NewProxy(t, server.addr)
	s = &natsstore.Store{JetStream: client(t, proxy.Addr()), Bucket: newBucket(t, s.JetStream, 1)}
	v := mustPut(t, s, "name", "value", "")
	proxy.CutAfter(-1, 0)
	began := time.Now()
	_, err = s.Put(ctx, "name", []byte("new"), v)
	require.ErrorContains(t, err, unknown+"the connection broke before the answer came")
	require.NotErrorIs(t, err, context.Canceled)
	require.Less(t, time.Since(began), 2*time.Second)
	_, err = s.Put(ctx, "name", nil, v)
	require.ErrorIs(t, err, storage.ErrConflict)

	s.JetStream.Conn().Close()
	_, _, err = s.Get(ctx, "name")
	require.ErrorContains(t, err, "(close the connection after the last use of the Store)")
	for _, never := range []storage.Version{"0", "-1", "+1", "01", "1 ", "x", storage.Version(strings.Repeat("9", 30))} {
		_, err := s.Put(ctx, "name", nil, never)
		require.ErrorIs(t, err, storage.ErrConflict)
		require.ErrorIs(t, s.Delete(ctx, "name", never), storage.ErrConflict)
	}
}

// TestAccess has a user with what the documentation lists, and one with nothing.
func TestAccess(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	server := start(t, durable+`
no_auth_user: stranger
authorization {users: [
	{user: admin, password: pw}
	{user: stranger, permissions: {publish: nothing, subscribe: "_INBOX.>"}}
	{user: keeper, password: pw, permissions: {subscribe: "_INBOX.>", publish: [
		"$KV.oauth2keep.>"
		"$JS.API.STREAM.MSG.GET.KV_oauth2keep"
		"$JS.API.STREAM.INFO.KV_oauth2keep"
		"$JS.API.CONSUMER.CREATE.KV_oauth2keep.>"
		"$JS.API.CONSUMER.MSG.NEXT.KV_oauth2keep.*"
		"$JS.API.CONSUMER.DELETE.KV_oauth2keep.*"
	]}}
]}
`)
	admin := client(t, server.addr)
	_, err := admin.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: natsstore.DefaultBucket})
	require.NoError(t, err)
	as := func(options ...nats.Option) *natsstore.Store {
		nc, err := nats.Connect("nats://"+server.addr, append(options, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))...)
		require.NoError(t, err)
		t.Cleanup(nc.Close)
		js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(time.Second/5))
		require.NoError(t, err)
		return &natsstore.Store{JetStream: js}
	}
	s := as(nats.UserInfo("keeper", "pw"))
	require.NoError(t, s.Check(ctx))
	v := mustPut(t, s, "name", "value", "")
	requireValue(t, s, "name", "value", v)
	require.Equal(t, []string{"name"}, namesOf(t, s))
	require.NoError(t, s.Delete(ctx, "name", v))

	stranger := as()
	_, err = stranger.Put(ctx, "name", nil, "")
	require.ErrorContains(t, err, unknown+"no server answered in time")
	_, _, err = stranger.Get(ctx, "name")
	require.ErrorContains(t, err, "natsstore: no server answered in time")
	require.False(t, errors.Is(err, context.DeadlineExceeded), "it's not the caller's")
}

// TestABucketMadeAnewCountsAnew shows why programs have to be stopped before a bucket is
// restored, or deleted and made again: versions that were given out come again.
func TestABucketMadeAnewCountsAnew(t *testing.T) {
	t.Parallel()
	s := newStore(t, durable)
	lost := mustPut(t, s, "name", "value", "")
	require.NoError(t, s.JetStream.DeleteKeyValue(ctx, s.Bucket))
	_, err := s.JetStream.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: s.Bucket})
	require.NoError(t, err)
	require.Equal(t, lost, mustPut(t, s, "name", "somebody else's", ""))
}

// TestASlowServerIsWaitedFor puts a relay between the Store and the server that answers late,
// as a full disk does or a slow line with a large record.
func TestASlowServerIsWaitedFor(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	s := newStore(t, durable)
	v := mustPut(t, s, "name", "value", "")
	nc := s.JetStream.Conn()
	relay, err := nc.Subscribe("slow.>", func(m *nats.Msg) {
		time.AfterFunc(1500*time.Millisecond, func() {
			answer, err := nc.Request("$JS.API."+strings.TrimPrefix(m.Subject, "slow."), m.Data, time.Second)
			if err == nil {
				m.Respond(answer.Data)
			}
		})
	})
	require.NoError(t, err)
	defer relay.Unsubscribe()
	js, err := jetstream.NewWithAPIPrefix(nc, "slow")
	require.NoError(t, err)
	slow := &natsstore.Store{JetStream: js, Bucket: s.Bucket}
	requireValue(t, slow, "name", "value", v)
}

// TestADomain is reached by its name, as from a leaf node.
func TestADomain(t *testing.T) {
	t.Parallel()
	server := start(t, "max_payload: 2MB\njetstream {store_dir: %q, sync_interval: always, domain: hub}\n")
	js, err := jetstream.NewWithDomain(client(t, server.addr).Conn(), "hub")
	require.NoError(t, err)
	s := &natsstore.Store{JetStream: js, Bucket: newBucket(t, js, 1)}
	require.NoError(t, s.Check(ctx))
	v := mustPut(t, s, "name", "value", "")
	requireValue(t, s, "name", "value", v)
	require.Equal(t, []string{"name"}, namesOf(t, s))
	require.NoError(t, s.Delete(ctx, "name", v))
	require.Empty(t, namesOf(t, s))
}
