package redisstore_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/redisstore"
	"github.com/oauth2keep/oauth2keep/storage/storagetest"
)

// replicated starts a master and a replica that is in step with it.
func replicated(t *testing.T) (primary, replica *server) {
	notShort(t)
	primary = start(t, append([]string{"--repl-diskless-sync-delay", "0"}, durable...)...)
	host, port := "127.0.0.1", primary.addr[len("127.0.0.1:"):]
	replica = start(t, append([]string{"--replicaof", host + " " + port}, durable...)...)
	c := client(t, primary.addr)
	require.Eventually(t, func() bool {
		pipe := c.Pipeline()
		pipe.Set(ctx, "in step", "", 0)
		n := redis.NewIntCmd(ctx, "wait", 1, 100)
		pipe.Process(ctx, n)
		pipe.Exec(ctx)
		return n.Val() == 1
	}, 20*time.Second, 50*time.Millisecond)
	return primary, replica
}

func TestWaitForReplicas(t *testing.T) {
	t.Parallel()
	primary, replica := replicated(t)
	p := newProxy(t, primary.addr)
	s := &redisstore.Store{Client: client(t, p.addr), WaitReplicas: 1, WaitTimeout: 200 * time.Millisecond}
	master := &redisstore.Store{Client: client(t, primary.addr)}
	require.NoError(t, s.Check(ctx))
	patient := &redisstore.Store{Client: s.Client, WaitReplicas: 1, WaitTimeout: 20 * time.Second} // the machine may be busy
	other := &redisstore.Store{Client: client(t, replica.addr)}
	var v storage.Version
	for _, value := range []string{"a", "b", "c"} {
		v = mustPut(t, patient, "name", value, v)
		require.Equal(t, v, requireValue(t, other, "name", value)) // at once
	}
	_, err := s.Put(ctx, "name", nil, "")
	require.ErrorIs(t, err, storage.ErrConflict)

	replica.Pause(t)
	defer replica.GoOn()
	_, err = s.Put(ctx, "name", []byte("unconfirmed"), v)
	require.ErrorIs(t, err, redisstore.ErrUnconfirmed)
	require.NotErrorIs(t, err, storage.ErrConflict)
	require.ErrorContains(t, err, "0 of 1 within 200ms")
	v = requireValue(t, master, "name", "unconfirmed")
	require.ErrorIs(t, s.Delete(ctx, "name", v), redisstore.ErrUnconfirmed)
	_, _, err = master.Get(ctx, "name")
	require.ErrorIs(t, err, storage.ErrNotFound)
	_, err = s.Put(ctx, "name", nil, v)
	require.ErrorIs(t, err, storage.ErrConflict)

	// WAIT on a connection that wrote nothing is content with nothing: a repeated
	// swap must not be confirmed by it.
	for range 3 {
		p.next(loseAnswer)
		_, err = s.Put(ctx, "again", []byte("value"), "")
		require.ErrorIs(t, err, redisstore.ErrUnconfirmed)
		v = requireValue(t, master, "again", "value")
		require.NoError(t, master.Delete(ctx, "again", v))
	}

	replica.GoOn()
	require.Eventually(t, func() bool {
		_, now, _ := master.Get(ctx, "name")
		_, err := s.Put(ctx, "name", []byte("confirmed"), now)
		return err == nil
	}, 20*time.Second, 50*time.Millisecond)
	requireValue(t, other, "name", "confirmed")
}

func TestWaitingStoreKeepsTheContract(t *testing.T) {
	inSoaks(t)
	t.Parallel()
	primary, _ := replicated(t)
	storagetest.Run(t, func(t *testing.T) storage.Store {
		s := newPlace(t, primary.addr).open(t)
		s.WaitReplicas, s.WaitTimeout = 1, 5*time.Second
		return s
	})
}

// TestSlotsOnTheMove has the records of a cluster move from one server to another.
func TestSlotsOnTheMove(t *testing.T) {
	notShort(t)
	t.Parallel()
	servers := cluster(t)
	const prefix = "{oauth2keep}:"
	c := clusterClient(t, servers)
	s := &redisstore.Store{Client: c, Prefix: prefix}
	w := &redisstore.Store{Client: c, Prefix: prefix, WaitReplicas: 1, WaitTimeout: 10 * time.Millisecond}
	v := mustPut(t, s, "name", "first", "")

	m := beginMove(t, servers, c, prefix)
	m.migrate(t, prefix+"name")

	v = mustPut(t, s, "name", "second", v) // ASK
	_, err := w.Put(ctx, "name", []byte("third"), v)
	require.ErrorContains(t, err, "redisstore: nothing was written: ASK")
	require.ErrorContains(t, err, "try again later")
	require.NotErrorIs(t, err, redisstore.ErrUnconfirmed)
	require.Equal(t, v, requireValue(t, s, "name", "second"))
	var last error
	for _, err := range s.Names(ctx) {
		last = err
	}
	require.ErrorContains(t, last, "walk again later")

	m.end(t)
	_, err = w.Put(ctx, "name", []byte("fourth"), v) // MOVED
	require.ErrorIs(t, err, redisstore.ErrUnconfirmed)
	v = requireValue(t, s, "name", "fourth")
	require.NoError(t, s.Delete(ctx, "name", v))
}
