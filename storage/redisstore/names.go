package redisstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"maps"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

const (
	pageSize = 500 // what a SCAN is asked to look at
	walks    = 3   // until a cluster that is changing has to be left alone
)

// errEnough ends a walk whose caller wants no more.
var errEnough = errors.New("enough")

// errMoving is the error of a walk that may have missed a record.
var errMoving = errors.New("servers were restarted or records moved between them during the walk, so that some may be missing from it: " +
	"walk again later; if the cluster isn't being resharded, see redis-cli --cluster check")

// Names implements [storage.Lister]. It walks over all masters with SCAN, a page of
// about 500 keys at a time.
//
// SCAN may return a key twice. To yield each name once, a walk remembers a hash of 16
// bytes of each: about 40 MB for a million keys. That apart, memory doesn't grow.
//
// If a server was restarted, a replica promoted or a slot moved during the walk,
// Names walks again, yielding only what is new, and finally returns an error if that
// doesn't end. It never leaves out records silently.
func (s *Store) Names(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := s.check(ctx); err != nil {
			yield("", err)
		} else if err := s.walk(ctx, yield); err != nil && err != errEnough {
			yield("", failure(ctx, err))
		}
	}
}

func (s *Store) walk(ctx context.Context, yield func(string, error) bool) error {
	seen := make(map[[16]byte]struct{})
	before, err := s.layout(ctx)
	if err != nil {
		return err
	}
	for range walks {
		for _, node := range before.nodes {
			if err := s.scan(ctx, node, seen, yield); err != nil {
				return err
			}
		}
		after, err := s.layout(ctx)
		if err != nil || before.steady(after) {
			return err
		}
		before = after
	}
	return errMoving
}

// scan yields the names on one server that were not seen before.
func (s *Store) scan(ctx context.Context, node *redis.Client, seen map[[16]byte]struct{}, yield func(string, error) bool) error {
	prefix := s.key("")
	for cursor := uint64(0); ; {
		page, err := await(ctx, func() (*redis.ScanCmd, error) {
			page := node.Scan(ctx, cursor, escapeGlob(prefix)+"*", pageSize)
			return page, page.Err()
		})
		if err != nil {
			return err
		}
		keys, next := page.Val()
		for _, key := range keys {
			name := strings.TrimPrefix(key, prefix)
			sum := sha256.Sum256([]byte(name))
			id := [16]byte(sum[:])
			if _, again := seen[id]; again {
				continue
			}
			seen[id] = struct{}{}
			if err := ctx.Err(); err != nil {
				return err
			}
			if !yield(name, nil) {
				return errEnough
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// escapeGlob makes every character of s stand for itself in SCAN's pattern.
func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(s)
}

// layout is the masters.
type layout struct {
	nodes []*redis.Client
	// slots are those of each master of a cluster, as CLUSTER NODES has them, with those on
	// the move, by the id of the server's process: cursors of SCAN mean nothing to another.
	slots map[string]string
}

// steady says whether nothing that l and after stand for can have moved a record
// past a walk between them.
func (l layout) steady(after layout) bool {
	for _, slots := range l.slots {
		if strings.Contains(slots, "[") {
			return false
		}
	}
	return maps.Equal(l.slots, after.slots)
}

func (s *Store) layout(ctx context.Context) (layout, error) {
	return await(ctx, func() (layout, error) {
		_, ofCluster := s.Client.(*redis.ClusterClient)
		found := layout{slots: make(map[string]string)}
		var mu sync.Mutex
		err := s.onEach(ctx, false, func(ctx context.Context, node *redis.Client) error {
			info, err := infoOf(ctx, node)
			var nodes string
			switch {
			case err != nil:
				return err
			case info["cluster_enabled"] != "1": // it is alone, or Sentinel watches it
			case !ofCluster:
				return errors.New("this server is part of a cluster: make Client with redis.NewClusterClient")
			default:
				if nodes, err = node.ClusterNodes(ctx).Result(); err != nil {
					return err
				}
			}
			mu.Lock()
			defer mu.Unlock()
			found.nodes = append(found.nodes, node)
			found.slots[info["run_id"]] = slotsOf(nodes)
			return nil
		})
		return found, err
	})
}

// onEach calls f for the server, or for each master of a cluster and, if asked for, each
// replica, at the same time.
func (s *Store) onEach(ctx context.Context, replicas bool, f func(context.Context, *redis.Client) error) error {
	cluster, ok := s.Client.(*redis.ClusterClient)
	switch {
	case !ok:
		return f(ctx, s.Client.(*redis.Client))
	case replicas:
		return cluster.ForEachShard(ctx, f)
	}
	return cluster.ForEachMaster(ctx, f)
}

// slotsOf returns what CLUSTER NODES has after the eight fixed fields in the line
// of the server that answers.
func slotsOf(nodes string) string {
	for line := range strings.Lines(nodes) {
		fields := strings.Fields(line)
		if len(fields) >= 8 && strings.Contains(fields[2], "myself") {
			return strings.Join(fields[8:], " ")
		}
	}
	return ""
}

// infoOf returns the fields of INFO. A replica is an error: it may lack records.
func infoOf(ctx context.Context, node *redis.Client) (map[string]string, error) {
	text, err := node.Info(ctx).Result()
	if err != nil {
		return nil, err
	}
	info := make(map[string]string)
	for line := range strings.Lines(text) {
		if field, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[field] = value
		}
	}
	if info["role"] == "slave" {
		return info, fmt.Errorf("%s is a replica, which may lack records: let Client lead to the master", serverOf(node))
	}
	return info, nil
}
