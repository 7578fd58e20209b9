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

// settings under which acknowledged writes can be lost.
var settings = []struct {
	name   string
	loses  func(value string) bool
	advice string
}{
	{"appendonly", isNot("yes"), "a restart loses what was written since the last snapshot: set it to yes"},
	{"appendfsync", isNot("always"), "a power cut loses the last second or more: set it to always"},
	{"no-appendfsync-on-rewrite", isNot("no"), "nothing is flushed while the append-only file is rewritten: set it to no"},
	{"maxmemory-policy", isEviction, "records are evicted when memory is short: set it to noeviction"},
}

func isNot(good string) func(string) bool {
	return func(value string) bool { return value != good }
}

// isEviction leaves out the volatile policies, which evict keys that expire. Ours
// don't.
func isEviction(value string) bool { return strings.HasPrefix(value, "allkeys-") }

// Check reads the configuration of the server, or of all those of a cluster,
// replicas included, and returns an error that lists every setting under which an
// acknowledged write can be lost, or nil if there is none: call it when the program
// starts, and decide. Of servers that Sentinel watches it sees only the master; the
// others need the same settings, for they may be promoted. It can't see what the
// operating system and the disk make of a flush, nor what a failover drops.
//
// Providers of managed Redis forbid CONFIG. Check then returns an error that says
// so, and it is their documentation that has to be read.
func (s *Store) Check(ctx context.Context) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	_, err := await(ctx, func() (struct{}, error) {
		var mu sync.Mutex
		var found []error
		look := func(ctx context.Context, node *redis.Client) error {
			problems := s.problems(ctx, node)
			mu.Lock()
			defer mu.Unlock()
			found = append(found, problems...)
			return nil
		}
		var err error
		if cluster, ok := s.Client.(*redis.ClusterClient); ok {
			if err = cluster.ForEachShard(ctx, look); err != nil {
				err = failure(ctx, err)
			}
		} else {
			look(ctx, s.Client.(*redis.Client))
		}
		return struct{}{}, errors.Join(append(found, err)...)
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// problems looks at one server.
func (s *Store) problems(ctx context.Context, node *redis.Client) (found []error) {
	server := nameOf(node)
	for _, setting := range settings {
		values, err := node.ConfigGet(ctx, setting.name).Result()
		if err != nil {
			if r := refused(err); isAnswer(err) && (r == nil || !r.passes) {
				err = fmt.Errorf("redisstore: %s doesn't tell its configuration: look up whether its provider keeps what it acknowledged: %w", server, err)
			} else {
				err = failure(ctx, err)
			}
			return append(found, err)
		}
		if value := values[setting.name]; setting.loses(value) {
			found = append(found, fmt.Errorf("redisstore: %s has %s %s: %s", server, setting.name, value, setting.advice))
		}
	}
	info, err := infoOf(ctx, node)
	_, cluster := s.Client.(*redis.ClusterClient)
	switch replicas, _ := strconv.Atoi(info["connected_slaves"]); {
	case info["role"] == "slave" && cluster: // as it should be
	case err != nil:
		found = append(found, failure(ctx, err))
	case replicas < s.WaitReplicas:
		found = append(found, fmt.Errorf("redisstore: %s has %d replicas, and WaitReplicas is %d: no write will be confirmed", server, replicas, s.WaitReplicas))
	}
	return found
}

// nameOf names a server in a message. A client that asks Sentinel doesn't tell where
// it is.
func nameOf(node *redis.Client) string {
	if addr := node.Options().Addr; addr != "FailoverClient" {
		return "the server at " + addr
	}
	return "the master that Sentinel names"
}
