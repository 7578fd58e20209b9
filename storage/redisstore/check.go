package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// flushes are the settings of a flush, which only CONFIG tells.
var flushes = []struct{ name, good, otherwise string }{
	{"appendfsync", "always", "a kill or a power cut loses the last second or two"},
	{"no-appendfsync-on-rewrite", "no", "nothing is flushed while the append-only file is rewritten"},
}

// Check reads the settings of the server, or of all those of a cluster, replicas
// included, and returns an error that lists each under which an acknowledged write can
// be lost, or nil if there is none: call it when the program starts, and decide. Of
// servers that Sentinel watches it sees only the master; the others need the same
// settings, for they may be promoted. It can't see what the operating system and the
// disk make of a flush, nor what a failover drops.
//
// Providers of managed Redis forbid CONFIG, which tells when a server flushes. If nothing
// else is wrong, the error is then [errors.ErrUnsupported]: look up the settings that it
// names in the provider's documentation, and go on.
func (s *Store) Check(ctx context.Context) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	_, err := await(ctx, func() (struct{}, error) { return struct{}{}, s.problems(ctx) })
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (s *Store) problems(ctx context.Context) error {
	var mu sync.Mutex
	var found, untold []error
	look := func(ctx context.Context, node *redis.Client) error {
		f, u := s.losses(ctx, node), unflushed(ctx, node)
		mu.Lock()
		defer mu.Unlock()
		for _, err := range append(f, u...) {
			if errors.Is(err, errors.ErrUnsupported) {
				untold = append(untold, err)
			} else {
				found = append(found, err)
			}
		}
		return nil
	}
	if cluster, ok := s.Client.(*redis.ClusterClient); !ok {
		look(ctx, s.Client.(*redis.Client))
	} else if err := cluster.ForEachShard(ctx, look); err != nil {
		found = append(found, failure(ctx, err))
	}
	if len(found) == 0 {
		return errors.Join(untold...)
	}
	return errors.Join(found...)
}

// losses returns what INFO tells of one server.
func (s *Store) losses(ctx context.Context, node *redis.Client) (found []error) {
	problem := func(format string, args ...any) {
		found = append(found, fmt.Errorf("redisstore: %s has %s", serverOf(node), fmt.Sprintf(format, args...)))
	}
	info, err := infoOf(ctx, node)
	_, cluster := s.Client.(*redis.ClusterClient)
	asReplica := cluster && info["role"] == "slave"
	if err != nil && !asReplica {
		return []error{failure(ctx, err)}
	}
	if info["aof_enabled"] != "1" {
		problem("appendonly no: a restart loses what was written since the last snapshot: set it to yes")
	}
	// The volatile policies evict keys that expire. Ours don't.
	if policy := info["maxmemory_policy"]; strings.HasPrefix(policy, "allkeys-") {
		problem("maxmemory-policy %s: records are evicted when memory is short: set it to noeviction", policy)
	}
	replicas, _ := strconv.Atoi(info["connected_slaves"])
	_, guarded := info["min_slaves_good_slaves"] // which is there if min-replicas-to-write is
	switch {
	case asReplica:
	case replicas < s.WaitReplicas:
		problem("%d replicas, and WaitReplicas is %d: no write will be confirmed", replicas, s.WaitReplicas)
	case replicas > s.WaitReplicas && !guarded && info["cluster_enabled"] != "1":
		problem("%d replicas, and min-replicas-to-write 0: when one was promoted, this server may acknowledge writes that will be dropped: set it to 1", replicas)
	}
	return found
}

// unflushed returns what CONFIG tells of one server, or that it doesn't.
func unflushed(ctx context.Context, node *redis.Client) (found []error) {
	server := serverOf(node)
	for _, f := range flushes {
		values, err := node.ConfigGet(ctx, f.name).Result()
		switch value := values[f.name]; {
		case err != nil && !isAnswer(err):
			return append(found, failure(ctx, err))
		case value == "":
			found = append(found, fmt.Errorf("redisstore: %s doesn't tell its %s: look it up in the provider's documentation: %w (%v)", server, f.name, errors.ErrUnsupported, err))
		case value != f.good:
			found = append(found, fmt.Errorf("redisstore: %s has %s %s: %s: set it to %s", server, f.name, value, f.otherwise, f.good))
		}
	}
	return found
}

// serverOf names a server in a message. A client that asks Sentinel doesn't tell where
// it is.
func serverOf(node *redis.Client) string {
	if addr := node.Options().Addr; addr != "FailoverClient" {
		return "the server at " + addr
	}
	return "the master that Sentinel names"
}
