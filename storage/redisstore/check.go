package redisstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
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
	return err
}

func (s *Store) problems(ctx context.Context) error {
	var mu sync.Mutex
	var all []error
	err := s.onEach(ctx, true, func(ctx context.Context, node *redis.Client) error {
		found := s.losses(ctx, node)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, found...)
		return nil
	})
	if err != nil {
		all = append(all, failure(ctx, err))
	}
	if told := slices.DeleteFunc(slices.Clone(all), func(err error) bool { return errors.Is(err, errors.ErrUnsupported) }); len(told) > 0 {
		return errors.Join(told...)
	}
	return errors.Join(all...)
}

// losses returns what INFO and CONFIG tell of one server, or that CONFIG doesn't.
func (s *Store) losses(ctx context.Context, node *redis.Client) (found []error) {
	problem := func(format string, args ...any) {
		found = append(found, fmt.Errorf("redisstore: %s "+format, append([]any{serverOf(node)}, args...)...))
	}
	info, err := infoOf(ctx, node)
	_, cluster := s.Client.(*redis.ClusterClient)
	asReplica := cluster && info["role"] == "slave"
	if err != nil && !asReplica {
		return []error{failure(ctx, err)}
	}
	if info["aof_enabled"] != "1" {
		problem("has appendonly no: a restart loses what was written since the last snapshot: set it to yes")
	}
	// The volatile policies evict keys that expire. Ours don't.
	if policy := info["maxmemory_policy"]; strings.HasPrefix(policy, "allkeys-") {
		problem("has maxmemory-policy %s: records are evicted when memory is short: set it to noeviction", policy)
	}
	replicas, _ := strconv.Atoi(info["connected_slaves"])
	_, guarded := info["min_slaves_good_slaves"] // which is there if min-replicas-to-write is
	switch {
	case asReplica:
	case replicas < s.WaitReplicas:
		problem("has %d replicas, and WaitReplicas is %d: no write will be confirmed", replicas, s.WaitReplicas)
	case replicas > s.WaitReplicas && !guarded && info["cluster_enabled"] != "1":
		problem("has %d replicas, and min-replicas-to-write 0: when one was promoted, this server may acknowledge writes that will be dropped: set it to 1", replicas)
	}
	values, err := node.ConfigGet(ctx, "*appendfsync*").Result()
	if err != nil && !isAnswer(err) {
		return append(found, failure(ctx, err))
	}
	why := cmp.Or(err, errors.New("CONFIG GET doesn't have it"))
	for _, f := range flushes {
		switch value := values[f.name]; value {
		case f.good:
		case "":
			problem("doesn't tell its %s: look it up in the provider's documentation: %w (%v)", f.name, errors.ErrUnsupported, why)
		default:
			problem("has %s %s: %s: set it to %s", f.name, value, f.otherwise, f.good)
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
