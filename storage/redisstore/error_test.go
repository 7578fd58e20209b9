package redisstore_test

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/redisstore"
)

const secret = "a value that no error may show"

// requireAdvice checks the errors of a store that can't work.
func requireAdvice(t *testing.T, s *redisstore.Store, advice string) {
	t.Helper()
	_, err := s.Put(ctx, "key", []byte(secret), "")
	require.ErrorContains(t, err, advice)
	require.NotErrorIs(t, err, storage.ErrConflict)
	require.True(t, strings.HasPrefix(err.Error(), "redisstore: "), err)
	require.NotContains(t, err.Error(), secret)
}

func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	primary, replica := replicated(t)
	requireAdvice(t, &redisstore.Store{Client: client(t, replica.addr)}, "let Client lead to the master")
	for _, err := range (&redisstore.Store{Client: client(t, replica.addr)}).Names(ctx) {
		require.ErrorContains(t, err, "is a replica")
	}

	c := client(t, primary.addr)
	s := &redisstore.Store{Client: c}
	require.NoError(t, c.ConfigSet(ctx, "min-replicas-to-write", "5").Err())
	requireAdvice(t, s, "bring them back")
	require.NoError(t, c.ConfigSet(ctx, "min-replicas-to-write", "0").Err())

	v := mustPut(t, s, "kept", "value", "")
	require.NoError(t, c.ConfigSet(ctx, "maxmemory", "1").Err())
	requireAdvice(t, s, "give it more memory")
	require.Equal(t, v, requireValue(t, s, "kept", "value"))
	require.NoError(t, s.Delete(ctx, "kept", v))
	require.NoError(t, c.ConfigSet(ctx, "maxmemory", "0").Err())

	require.NoError(t, c.HSet(ctx, "oauth2keep:key", "field", "1").Err())
	requireAdvice(t, s, "something else is stored under this Redis key")
	_, _, err := s.Get(ctx, "key")
	require.ErrorContains(t, err, "something else is stored under this Redis key")
	require.NoError(t, c.Del(ctx, "oauth2keep:key").Err())

	locked := start(t, "--requirepass", "password")
	requireAdvice(t, &redisstore.Store{Client: client(t, locked.addr)}, "give Client the server's password")
	admin := redis.NewClient(&redis.Options{Addr: locked.addr, Password: "password"})
	defer admin.Close()
	require.NoError(t, admin.Do(ctx, "acl", "setuser", "limited", "on", ">pw", "~other:*", "+@all").Err())
	limited := redis.NewClient(&redis.Options{Addr: locked.addr, Username: "limited", Password: "pw"})
	defer limited.Close()
	requireAdvice(t, &redisstore.Store{Client: limited}, "allow this user")

	nobody := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialTimeout: time.Second})
	requireAdvice(t, &redisstore.Store{Client: nobody}, "connection refused")
	nobody.Close()
	requireAdvice(t, &redisstore.Store{Client: nobody}, "close the client after the last use")

	requireAdvice(t, nil, "has no Client")
	requireAdvice(t, new(redisstore.Store), "has no Client")
	requireAdvice(t, &redisstore.Store{Client: redis.NewRing(&redis.RingOptions{})}, "can't use a *redis.Ring")
	requireAdvice(t, &redisstore.Store{Client: c, WaitReplicas: -1}, "must not be negative")

	require.NoError(t, c.Do(ctx, "replicaof", "127.0.0.1", "1").Err())
	requireAdvice(t, s, "let Client lead to the master")
}

// TestWhatTheListOfPermissionsAllows has a user with the permissions that the
// documentation lists, and no others.
func TestWhatTheListOfPermissionsAllows(t *testing.T) {
	server := start(t, durable...)
	rules := []any{"acl", "setuser", "keeper", "on", ">pw", "~oauth2keep:*", "+hello", "+client"}
	for _, command := range []string{"eval", "get", "getrange", "exists", "set", "del", "scan", "info", "wait", "config|get"} {
		rules = append(rules, "+"+command)
	}
	require.NoError(t, client(t, server.addr).Do(ctx, rules...).Err())
	c := redis.NewClient(&redis.Options{Addr: server.addr, Username: "keeper", Password: "pw"})
	defer c.Close()
	s := &redisstore.Store{Client: c}
	v := mustPut(t, s, "key", "value", "")
	require.Equal(t, v, requireValue(t, s, "key", "value"))
	for key, err := range s.Names(ctx) {
		require.NoError(t, err)
		require.Equal(t, "key", key)
	}
	require.NoError(t, s.Delete(ctx, "key", v))
	require.NoError(t, s.Check(ctx))
	s.WaitReplicas, s.WaitTimeout = 1, time.Millisecond
	_, err := s.Put(ctx, "key", nil, "")
	require.ErrorIs(t, err, redisstore.ErrUnconfirmed)
}

func TestOneServerOfACluster(t *testing.T) {
	t.Parallel()
	servers := cluster(t)
	s := &redisstore.Store{Client: client(t, servers[0].addr)}
	var moved error
	for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		if _, err := s.Put(ctx, key, nil, ""); err != nil {
			moved = err
		}
	}
	require.ErrorContains(t, moved, "redis.NewClusterClient")
	for _, err := range s.Names(ctx) {
		require.ErrorContains(t, err, "redis.NewClusterClient") // and not a part of the keys
	}
}

func TestForeignValuesAreNeverOverwritten(t *testing.T) {
	t.Parallel()
	c := client(t, start(t, durable...).addr)
	s := &redisstore.Store{Client: c}
	for _, foreign := range []string{"", "x", "o2kr", "o2kr\x01", "o2kr\x01too short", "o2kr\x020123456789abcdefof a later release", strings.Repeat("x", 100)} {
		require.NoError(t, c.Set(ctx, "oauth2keep:key", foreign, 0).Err())
		_, v, err := s.Get(ctx, "key")
		require.ErrorIs(t, err, storage.ErrOpen, foreign)
		require.ErrorContains(t, err, `"oauth2keep:key"`)
		require.Empty(t, v)
		if strings.HasPrefix(foreign, "o2kr\x02") {
			require.ErrorContains(t, err, "update the program")
		}
		for _, old := range []storage.Version{"", "66ea6aaa8638f44022cf289806426e50"} {
			_, err := s.Put(ctx, "key", []byte("new"), old)
			require.ErrorIs(t, err, storage.ErrConflict, foreign) // nothing was written
			require.ErrorIs(t, err, storage.ErrOpen, foreign)
			require.ErrorIs(t, s.Delete(ctx, "key", old), storage.ErrConflict, foreign)
		}
		require.Equal(t, foreign, c.Get(ctx, "oauth2keep:key").Val())
	}
}

// TestFormat holds the bytes against those that are written down in doc.go.
func TestFormat(t *testing.T) {
	c := client(t, start(t, durable...).addr)
	s := &redisstore.Store{Client: c}
	require.NoError(t, c.Set(ctx, "oauth2keep:key", "o2kr\x010123456789abcdefvalue", 0).Err())
	v := requireValue(t, s, "key", "value")
	require.Equal(t, storage.Version("30313233343536373839616263646566"), v)
	mustPut(t, s, "key", "new", v)
	stored := c.Get(ctx, "oauth2keep:key").Val()
	require.Len(t, stored, 21+len("new"))
	require.Equal(t, "o2kr\x01", stored[:5])
	require.Equal(t, "new", stored[21:])
	require.EqualValues(t, -1, c.TTL(ctx, "oauth2keep:key").Val())
}
