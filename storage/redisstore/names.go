package redisstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

const (
	pageSize = 500 // what a SCAN is asked to look at
	walks    = 3   // until a cluster that is changing has to be left alone
)

// errMoving is the error of a walk that may have missed a record.
var errMoving = errors.New("redisstore: servers were restarted or records moved between them during the walk, so that some may be missing from it: " +
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
			return
		}
		seen := make(map[[16]byte]struct{})
		before, err := s.layout(ctx)
		for range walks {
			for _, id := range slices.Sorted(maps.Keys(before)) {
				if err != nil {
					break
				}
				var more bool
				if more, err = s.scan(ctx, before[id].client, seen, yield); err == nil && !more {
					return
				}
			}
			var after layout
			if err == nil {
				after, err = s.layout(ctx)
			}
			if err != nil {
				yield("", failure(ctx, err))
				return
			}
			if before.steady(after) {
				return
			}
			before = after
		}
		yield("", errMoving)
	}
}

// scan yields the names on one server that were not seen before. It returns false
// if the caller wants no more.
func (s *Store) scan(ctx context.Context, node *redis.Client, seen map[[16]byte]struct{}, yield func(string, error) bool) (more bool, err error) {
	type page struct {
		keys []string
		next uint64
	}
	pattern := escapeGlob(s.prefix()) + "*"
	for cursor := uint64(0); ; {
		p, err := await(ctx, func() (p page, err error) {
			p.keys, p.next, err = node.Scan(ctx, cursor, pattern, pageSize).Result()
			return p, err
		})
		if err != nil {
			return false, err
		}
		for _, key := range p.keys {
			name, ok := strings.CutPrefix(key, s.prefix())
			if !ok {
				continue
			}
			sum := sha256.Sum256([]byte(name))
			id := [16]byte(sum[:])
			if _, ok := seen[id]; ok {
				continue
			}
			seen[id] = struct{}{}
			if err := ctx.Err(); err != nil {
				return false, err
			}
			if !yield(name, nil) {
				return false, nil
			}
		}
		if cursor = p.next; cursor == 0 {
			return true, nil
		}
	}
}

// escapeGlob makes every character of s stand for itself in SCAN's pattern.
func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(s)
}

// layout is the masters, by the id of the server's process: cursors of SCAN mean
// nothing to another process.
type layout map[string]master

type master struct {
	client *redis.Client
	slots  string // of a cluster, as CLUSTER NODES has them, with those on the move
}

// steady says whether nothing that l and after stand for can have moved a record
// past a walk between them.
func (l layout) steady(after layout) bool {
	if len(l) != len(after) {
		return false
	}
	for id, m := range l {
		n, ok := after[id]
		if !ok || m.slots != n.slots || strings.Contains(m.slots, "[") {
			return false
		}
	}
	return true
}

func (s *Store) layout(ctx context.Context) (layout, error) {
	return await(ctx, func() (layout, error) {
		found := make(layout)
		cluster, ok := s.Client.(*redis.ClusterClient)
		if !ok {
			node := s.Client.(*redis.Client)
			info, err := infoOf(ctx, node)
			if err == nil && info["cluster_enabled"] == "1" {
				err = errors.New("this server is part of a cluster: make Client with redis.NewClusterClient")
			}
			found[info["run_id"]] = master{client: node}
			return found, err
		}
		var mu sync.Mutex
		err := cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
			info, err := infoOf(ctx, node)
			if err != nil {
				return err
			}
			var nodes string
			if info["cluster_enabled"] == "1" { // or Sentinel watches it
				if nodes, err = node.ClusterNodes(ctx).Result(); err != nil {
					return err
				}
			}
			mu.Lock()
			defer mu.Unlock()
			found[info["run_id"]] = master{node, slotsOf(nodes)}
			return nil
		})
		return found, err
	})
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
