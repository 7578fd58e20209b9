package redisstore_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage/redisstore"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	require.NoError(t, (&redisstore.Store{Client: client(t, start(t, durable...).addr)}).Check(ctx))
	require.NoError(t, (&redisstore.Store{Client: clusterClient(t, cluster(t))}).Check(ctx))

	risky := start(t, "--maxmemory-policy", "allkeys-lru", "--no-appendfsync-on-rewrite", "yes")
	err := (&redisstore.Store{Client: client(t, risky.addr), WaitReplicas: 2}).Check(ctx)
	for _, problem := range []string{"has appendonly no:", "has appendfsync everysec:", "has no-appendfsync-on-rewrite yes:",
		"has maxmemory-policy allkeys-lru:", "has 0 replicas, and WaitReplicas is 2"} {
		require.ErrorContains(t, err, "redisstore: the server at "+risky.addr+" "+problem)
	}

	require.NotErrorIs(t, err, errors.ErrUnsupported)
}

// TestCheckWhereConfigIsForbidden judges by what INFO tells.
func TestCheckWhereConfigIsForbidden(t *testing.T) {
	notShort(t)
	t.Parallel()
	forbidden := []string{"--rename-command", "CONFIG", ""}
	good := start(t, append(forbidden, durable...)...)
	err := (&redisstore.Store{Client: client(t, good.addr)}).Check(ctx)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorContains(t, err, "redisstore: the server at "+good.addr+" doesn't tell its appendfsync: look it up")
	require.ErrorContains(t, err, "doesn't tell its no-appendfsync-on-rewrite: look it up")

	risky := start(t, append(forbidden, "--maxmemory-policy", "allkeys-lru")...)
	err = (&redisstore.Store{Client: client(t, risky.addr)}).Check(ctx)
	require.NotErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorContains(t, err, "has appendonly no:")
	require.ErrorContains(t, err, "has maxmemory-policy allkeys-lru:")
}

// TestCheckOfReplicas asks for min-replicas-to-write where not all replicas have to
// confirm.
func TestCheckOfReplicas(t *testing.T) {
	t.Parallel()
	primary, _ := replicated(t)
	s := &redisstore.Store{Client: client(t, primary.addr)}
	require.ErrorContains(t, s.Check(ctx), "has 1 replicas, and min-replicas-to-write 0:")
	require.NoError(t, (&redisstore.Store{Client: s.Client, WaitReplicas: 1}).Check(ctx))
	require.NoError(t, s.Client.ConfigSet(ctx, "min-replicas-to-write", "1").Err())
	require.NoError(t, s.Check(ctx))
}

// hook is one of the application's, which doesn't return.
type hook func()

func (hook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h hook) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(context.Context, redis.Cmder) error { h(); return nil }
}

func (hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func TestAHookThatPanicsEndsNoProcess(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for name, call := range map[string]func(s *redisstore.Store) error{
		"Get":    func(s *redisstore.Store) error { _, _, err := s.Get(ctx, "name"); return err },
		"Put":    func(s *redisstore.Store) error { _, err := s.Put(ctx, "name", nil, ""); return err },
		"Delete": func(s *redisstore.Store) error { return s.Delete(ctx, "name", "") },
	} {
		t.Run(name, func(t *testing.T) {
			c := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
			defer c.Close()
			c.AddHook(hook(func() { panic("a hook's") }))
			require.PanicsWithValue(t, "a hook's", func() { _ = call(&redisstore.Store{Client: c}) })
		})
	}
	c := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer c.Close()
	c.AddHook(hook(runtime.Goexit))
	_, _, err := (&redisstore.Store{Client: c}).Get(ctx, "name")
	require.ErrorContains(t, err, "runtime.Goexit")
}
