package redisstore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	defaultWait = time.Second
	redirects   = 4
)

func (s *Store) wait() time.Duration {
	if s.WaitTimeout == 0 {
		return defaultWait
	}
	return max(s.WaitTimeout, time.Millisecond) // WAIT counts in these, and 0 is for ever
}

// runAndWait is run with a WAIT after it. WAIT is about what its own connection
// wrote, and so both go in one pipeline, which is one connection: on another one
// WAIT would answer at once that every replica has everything.
func (s *Store) runAndWait(ctx context.Context, command func() once, key string) (int64, error) {
	node, err := s.nodeOf(ctx, key)
	asking := false
	for range redirects {
		if err != nil {
			return 0, err
		}
		var result int64
		result, err = s.runAndWaitOn(ctx, node, command(), asking)
		addr, moved := redis.IsMovedError(err)
		if !moved {
			addr, asking = redis.IsAskError(err)
		}
		cluster, ok := s.Client.(*redis.ClusterClient)
		if err == nil || !ok || !moved && !asking {
			return result, err
		}
		cluster.ReloadState(ctx)
		if next := nodeAt(ctx, cluster, addr); next != nil {
			node, err = next, nil
		}
	}
	return 0, err
}

func (s *Store) runAndWaitOn(ctx context.Context, node *redis.Client, cmd once, asking bool) (int64, error) {
	if t := node.Options().ReadTimeout; t > 0 {
		node = node.WithTimeout(t + s.wait())
	}
	pipe := node.Pipeline()
	if asking {
		pipe.Process(ctx, redis.NewCmd(ctx, "asking"))
	}
	pipe.Process(ctx, cmd)
	confirmed := redis.NewIntCmd(ctx, "wait", s.WaitReplicas, s.wait().Milliseconds())
	pipe.Process(ctx, confirmed)
	pipe.Exec(ctx) // each command has its own error
	if err := cmd.Err(); err != nil {
		return 0, err
	}
	result, err := cmd.Int64()
	if err != nil || result != swapped {
		return result, err
	}
	if err := confirmed.Err(); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnconfirmed, err)
	}
	if n := confirmed.Val(); n < int64(s.WaitReplicas) {
		return 0, fmt.Errorf("%w: %d of %d within %v; look at INFO replication on the master", ErrUnconfirmed, n, s.WaitReplicas, s.wait())
	}
	return result, nil
}

// nodeOf returns the client of the server that has the Redis key.
func (s *Store) nodeOf(ctx context.Context, key string) (*redis.Client, error) {
	switch c := s.Client.(type) {
	case *redis.ClusterClient:
		return c.MasterForKey(ctx, key)
	case *redis.Client:
		return c, nil
	}
	return nil, s.check(ctx)
}

// nodeAt returns the client of the master at addr, or nil if the client hasn't
// heard of it yet.
func nodeAt(ctx context.Context, cluster *redis.ClusterClient, addr string) *redis.Client {
	var mu sync.Mutex
	var found *redis.Client
	cluster.ForEachMaster(ctx, func(_ context.Context, node *redis.Client) error {
		if node.Options().Addr == addr {
			mu.Lock()
			defer mu.Unlock()
			found = node
		}
		return nil
	})
	return found
}
