package redisstore_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/redisstore"
)

const secret = "a value that no error may show"

// requireAdvice checks the error of a write that can't be done.
func requireAdvice(t *testing.T, s *redisstore.Store, word, advice string) {
	t.Helper()
	_, err := s.Put(ctx, "name", []byte(secret), "")
	require.ErrorContains(t, err, "redisstore: nothing was written: "+word)
	require.ErrorContains(t, err, advice)
	require.NotErrorIs(t, err, storage.ErrConflict)
	require.NotContains(t, err.Error(), secret)
}

func TestAWriteIsRefused(t *testing.T) {
	notShort(t)
	t.Parallel()
	for word, c := range map[string]struct {
		args   []string // of the server
		admin  []string // a command to it
		advice string
	}{
		"READONLY":   {admin: []string{"replicaof", "127.0.0.1", "1"}, advice: "let Client lead to the master"},
		"MASTERDOWN": {[]string{"--replica-serve-stale-data", "no"}, []string{"replicaof", "127.0.0.1", "1"}, "a replica that lost its master"},
		"NOREPLICAS": {[]string{"--min-replicas-to-write", "1"}, nil, "bring them back"},
		"OOM":        {[]string{"--maxmemory", "1"}, nil, "give it more memory"},
		"NOAUTH":     {[]string{"--requirepass", "password"}, nil, "give Client the server's password"},
		"NOPERM":     {nil, []string{"acl", "setuser", "default", "-eval"}, "allow this user"},
		"ERR unknown command 'eval'": {[]string{"--rename-command", "EVAL", ""}, nil,
			"needs the commands that the documentation of redisstore lists"},
	} {
		t.Run(word, func(t *testing.T) {
			t.Parallel()
			server := start(t, c.args...)
			if c.admin != nil {
				require.NoError(t, client(t, server.addr).Do(ctx, arguments(c.admin)...).Err())
			}
			requireAdvice(t, &redisstore.Store{Client: client(t, server.addr)}, word, c.advice)
		})
	}
	t.Run("WRONGPASS", func(t *testing.T) {
		t.Parallel()
		server := start(t, "--requirepass", "password")
		c := redis.NewClient(&redis.Options{Addr: server.addr, Password: "another"})
		defer c.Close()
		requireAdvice(t, &redisstore.Store{Client: c}, "WRONGPASS", "the right user and password")
	})
	t.Run("MISCONF", func(t *testing.T) {
		t.Parallel()
		server := start(t, "--save", "3600 1000000")
		c := client(t, server.addr)
		require.NoError(t, os.RemoveAll(server.dir))
		require.NoError(t, c.BgSave(ctx).Err())
		eventually(t, "a snapshot fails", func() bool {
			info, _ := c.Info(ctx, "persistence").Result()
			return strings.Contains(info, "rdb_last_bgsave_status:err")
		})
		requireAdvice(t, &redisstore.Store{Client: c}, "MISCONF", "can't write to its disk")
	})
	t.Run("BUSY", func(t *testing.T) {
		t.Parallel()
		server := start(t, "--busy-reply-threshold", "50")
		c := client(t, server.addr)
		go client(t, server.addr).Eval(ctx, "while true do end", nil)
		eventually(t, "it is busy", func() bool { return redis.HasErrorPrefix(c.Get(ctx, "other").Err(), "BUSY") })
		requireAdvice(t, &redisstore.Store{Client: c}, "BUSY", "see SCRIPT KILL")
	})
	t.Run("LOADING", func(t *testing.T) {
		t.Parallel()
		server := start(t, "--loading-process-events-interval-bytes", "1024", "--key-load-delay", "2000")
		c := client(t, server.addr)
		fill(t, c, "other:", 2500)
		loading := redis.NewClient(&redis.Options{Addr: server.addr, ReadTimeout: -1})
		defer loading.Close()
		go loading.Do(ctx, "debug", "reload") // takes five seconds, if the test does
		eventually(t, "it is loading", func() bool { return redis.HasErrorPrefix(c.Get(ctx, "other").Err(), "LOADING") })
		requireAdvice(t, &redisstore.Store{Client: c}, "LOADING", "try again later")
	})
}

func arguments(words []string) (args []any) {
	for _, word := range words {
		args = append(args, word)
	}
	return args
}

// TestOOMStillReadsAndDeletes frees memory.
func TestOOMStillReadsAndDeletes(t *testing.T) {
	t.Parallel()
	c := client(t, start(t, durable...).addr)
	s := &redisstore.Store{Client: c}
	v := mustPut(t, s, "kept", "value", "")
	require.NoError(t, c.ConfigSet(ctx, "maxmemory", "1").Err())
	requireAdvice(t, s, "OOM", "give it more memory")
	require.Equal(t, v, requireValue(t, s, "kept", "value"))
	require.NoError(t, s.Delete(ctx, "kept", v))
}

// TestAnAnswerOfNobodyWeKnow is a proxy's, after the server did what was asked.
func TestAnAnswerOfNobodyWeKnow(t *testing.T) {
	t.Parallel()
	p, s, direct := behindProxy(t)
	p.next(inventAnswer)
	_, err := s.Put(ctx, "name", []byte("value"), "")
	requireUnknown(t, err)
	require.ErrorContains(t, err, "upstream failure")
	requireValue(t, direct, "name", "value")
}

func TestErrorsOfReads(t *testing.T) {
	notShort(t)
	t.Parallel()
	_, replica := replicated(t)
	for _, err := range (&redisstore.Store{Client: client(t, replica.addr)}).Names(ctx) {
		require.ErrorContains(t, err, "is a replica")
	}
}

func TestErrorsOfTheClient(t *testing.T) {
	notShort(t)
	t.Parallel()
	nobody := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialTimeout: time.Second, DialerRetries: 1})
	requireAdvice(t, &redisstore.Store{Client: nobody}, "dial tcp 127.0.0.1:1:", "connection refused")
	nobody.Close()
	requireAdvice(t, &redisstore.Store{Client: nobody}, "redis: client is closed", "close the client after the last use")
	for _, c := range []struct {
		store *redisstore.Store
		text  string
	}{
		{nil, "has no Client"},
		{new(redisstore.Store), "has no Client"},
		{&redisstore.Store{Client: (*redis.Client)(nil)}, "has no Client"},
		{&redisstore.Store{Client: (*redis.ClusterClient)(nil)}, "has no Client"},
		{&redisstore.Store{Client: redis.NewRing(&redis.RingOptions{})}, "can't use a *redis.Ring"},
		{&redisstore.Store{Client: nobody, WaitReplicas: -1}, "must not be negative"},
	} {
		_, err := c.store.Put(ctx, "name", nil, "")
		require.ErrorContains(t, err, "redisstore: ")
		require.ErrorContains(t, err, c.text)
	}
}

// TestWhatTheListOfPermissionsAllows has a user with the permissions that the
// documentation lists, and no others.
func TestWhatTheListOfPermissionsAllows(t *testing.T) {
	notShort(t)
	t.Parallel()
	server := start(t, durable...)
	rules := []any{"acl", "setuser", "keeper", "on", ">pw", "~oauth2keep:*", "+hello", "+client"}
	for _, command := range []string{"eval", "time", "get", "getrange", "type", "set", "del", "scan", "info", "wait", "config|get"} {
		rules = append(rules, "+"+command)
	}
	require.NoError(t, client(t, server.addr).Do(ctx, rules...).Err())
	c := redis.NewClient(&redis.Options{Addr: server.addr, Username: "keeper", Password: "pw"})
	defer c.Close()
	s := &redisstore.Store{Client: c}
	v := mustPut(t, s, "name", "value", "")
	require.Equal(t, v, requireValue(t, s, "name", "value"))
	for name, err := range s.Names(ctx) {
		require.NoError(t, err)
		require.Equal(t, "name", name)
	}
	require.NoError(t, s.Delete(ctx, "name", v))
	require.NoError(t, s.Check(ctx))
	s.WaitReplicas, s.WaitTimeout = 1, time.Millisecond
	_, err := s.Put(ctx, "name", nil, "")
	require.ErrorIs(t, err, redisstore.ErrUnconfirmed)
}

func TestOneServerOfACluster(t *testing.T) {
	notShort(t)
	t.Parallel()
	servers := cluster(t)
	s := &redisstore.Store{Client: client(t, servers[0].addr)}
	var moved error
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		if _, err := s.Put(ctx, name, nil, ""); err != nil {
			moved = err
		}
	}
	require.ErrorContains(t, moved, "redis.NewClusterClient")
	for _, err := range s.Names(ctx) {
		require.ErrorContains(t, err, "redis.NewClusterClient") // and not a part of the names
	}
}

func TestForeignValuesAreNeverOverwritten(t *testing.T) {
	t.Parallel()
	c := client(t, start(t, durable...).addr)
	s := &redisstore.Store{Client: c}
	for _, foreign := range []string{"", "x", "o2kr", "o2kr\x01", "o2kr\x01too short", "o2kr\x020123456789abcdefof a later release", strings.Repeat("x", 100)} {
		require.NoError(t, c.Set(ctx, "oauth2keep:name", foreign, 0).Err())
		requireForeign(t, s, "name")
		require.Equal(t, foreign, c.Get(ctx, "oauth2keep:name").Val())
	}
	for _, kind := range otherTypes(t, c) {
		requireForeign(t, s, kind)
		require.Equal(t, kind, c.Type(ctx, "oauth2keep:"+kind).Val())
	}
}

// requireForeign checks that no method but Discard does anything to what isn't a record.
func requireForeign(t *testing.T, s *redisstore.Store, name string) {
	t.Helper()
	_, v, err := s.Get(ctx, name)
	require.ErrorIs(t, err, storage.ErrOpen)
	require.ErrorContains(t, err, `"oauth2keep:`+name+`"`)
	require.ErrorContains(t, err, "if a later release wrote it, update the program; if it is something else, move it away, or set another Prefix")
	require.Empty(t, v)
	for _, old := range []storage.Version{"", "66ea6aaa8638f44022cf289806426e50"} {
		_, err := s.Put(ctx, name, []byte("new"), old)
		require.ErrorIs(t, err, storage.ErrConflict) // nothing was written
		require.ErrorIs(t, err, storage.ErrOpen)
		require.ErrorIs(t, s.Delete(ctx, name, old), storage.ErrConflict)
	}
}

// otherTypes stores a value of each type but string, and returns the types, which are also
// the names under which the values stand in place of records.
func otherTypes(t *testing.T, c *redis.Client) []string {
	t.Helper()
	for _, command := range []string{
		"rpush oauth2keep:list element", "hset oauth2keep:hash field value", "sadd oauth2keep:set member",
		"zadd oauth2keep:zset 1 member", "xadd oauth2keep:stream * field value",
	} {
		require.NoError(t, c.Do(ctx, arguments(strings.Fields(command))...).Err())
	}
	return []string{"list", "hash", "set", "zset", "stream"}
}

// TestFormat holds the bytes against those that are written down in doc.go.
func TestFormat(t *testing.T) {
	t.Parallel()
	c := client(t, start(t, durable...).addr)
	s := &redisstore.Store{Client: c}
	require.NoError(t, c.Set(ctx, "oauth2keep:name", "o2kr\x010123456789abcdefvalue", 0).Err())
	v := requireValue(t, s, "name", "value")
	require.Equal(t, storage.Version("30313233343536373839616263646566"), v)
	mustPut(t, s, "name", "new", v)
	stored := c.Get(ctx, "oauth2keep:name").Val()
	require.Len(t, stored, 21+len("new"))
	require.Equal(t, "o2kr\x01", stored[:5])
	require.Equal(t, "new", stored[21:])
	require.EqualValues(t, -1, c.TTL(ctx, "oauth2keep:name").Val())
}
