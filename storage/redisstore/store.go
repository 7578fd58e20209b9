package redisstore

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/oauth2keep/oauth2keep/storage"
)

// DefaultPrefix is what the names of Redis keys begin with unless Store.Prefix says
// otherwise.
const DefaultPrefix = "oauth2keep:"

// ErrUnconfirmed is returned by Put and Delete when the master did what was asked
// and fewer than Store.WaitReplicas replicas have it. It will last unless the
// master is lost now. Read again before deciding anything; the operator's part is
// to see why replicas lag or are gone.
var ErrUnconfirmed = errors.New("redisstore: written, but too few replicas confirmed it")

// Store is a [storage.Store], a [storage.Lister] and a [storage.Discarder] in Redis. Client is required;
// every other field has a useful zero value. The fields must not be changed once a
// method was called. Methods may be called concurrently, and any number of
// processes on any number of machines may use the same Redis.
//
// What a nil error promises depends on how the server is set up: see the
// documentation of this package, and [Store.Check].
type Store struct {
	// Client is the application's *redis.Client or *redis.ClusterClient, which
	// redis.NewFailoverClient and redis.NewFailoverClusterClient make too. It must
	// lead to masters. A *redis.Ring is refused: when one of its servers is down it looks
	// for the keys on another. The Store never closes it.
	Client redis.UniversalClient

	// Prefix begins the names of the Redis keys. Empty means [DefaultPrefix]. Two
	// applications that share a database need prefixes of which neither begins
	// with the other.
	Prefix string

	// WaitReplicas is how many replicas must have received a write before Put and
	// Delete return nil. Zero means that the master's word is enough. Only if it is
	// the number of all replicas is what was acknowledged safe in a failover.
	WaitReplicas int

	// WaitTimeout is how long to wait for them before returning [ErrUnconfirmed].
	// Zero means one second.
	WaitTimeout time.Duration
}

var (
	_ storage.Store     = (*Store)(nil)
	_ storage.Lister    = (*Store)(nil)
	_ storage.Discarder = (*Store)(nil)
)

const (
	magic       = "o2kr\x01" // and the format
	versionSize = 16
	headSize    = len(magic) + versionSize
)

// Get implements [storage.Store]. It asks the master, also if the client sends
// other reads to replicas or to a cache of its own.
func (s *Store) Get(ctx context.Context, name string) ([]byte, storage.Version, error) {
	if err := s.check(ctx); err != nil {
		return nil, "", err
	}
	record, err := await(ctx, func() (string, error) {
		return s.Client.Eval(ctx, loadSource, []string{s.key(name)}).Text()
	})
	switch {
	case errors.Is(err, redis.Nil):
		return nil, "", storage.ErrNotFound
	case err != nil && !says(err, "WRONGTYPE"): // which is a list, or the like
		s.askAnew(ctx)
		return nil, "", failure(ctx, err)
	case len(record) < headSize || !strings.HasPrefix(record, magic):
		return nil, "", s.unusable(name)
	}
	v := hex.EncodeToString([]byte(record[len(magic):headSize]))
	return []byte(record[headSize:]), storage.Version(v), nil
}

// Put implements [storage.Store]. If ctx is done before the server answered, the
// record may be written nevertheless.
func (s *Store) Put(ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	var version [versionSize]byte
	rand.Read(version[:]) // never fails
	// A copy: a command that its caller has given up may still be on its way.
	record := slices.Concat([]byte(magic), version[:], value)
	if err := s.swap(ctx, name, old, record); err != nil {
		return "", err
	}
	return storage.Version(hex.EncodeToString(version[:])), nil
}

// Delete implements [storage.Store]. If ctx is done before the server answered,
// the record may be deleted nevertheless.
func (s *Store) Delete(ctx context.Context, name string, old storage.Version) error {
	return s.swap(ctx, name, old, nil)
}

// Discard implements [storage.Discarder]. It deletes whatever Get can't read: a record of a
// later release, a string that isn't a record, and a list or another type of value.
func (s *Store) Discard(ctx context.Context, name string) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	return s.settle(ctx, name, func() (int64, error) { return s.send(ctx, discardSource, s.key(name)) })
}

// key is the Redis key of a record.
func (s *Store) key(name string) string { return cmp.Or(s.Prefix, DefaultPrefix) + name }

// unusable is the error for what Get can't read.
func (s *Store) unusable(name string) error {
	return fmt.Errorf("redisstore: the value of the Redis key %.80q isn't a record: %w: if a later release wrote it, update the program; "+
		"if it is something else, move it away, or set another Prefix", s.key(name), storage.ErrOpen)
}

// check is the beginning of every method.
func (s *Store) check(ctx context.Context) error {
	set := false
	if s != nil {
		switch c := s.Client.(type) {
		case nil:
		case *redis.Client:
			set = c != nil
		case *redis.ClusterClient:
			set = c != nil
		default:
			return fmt.Errorf("redisstore: can't use a %T: set Client to a *redis.Client or a *redis.ClusterClient", c)
		}
	}
	switch {
	case !set:
		return errors.New("redisstore: this Store has no Client: set it to the application's *redis.Client or *redis.ClusterClient")
	case s.WaitReplicas < 0 || s.WaitTimeout < 0:
		return errors.New("redisstore: WaitReplicas and WaitTimeout must not be negative")
	}
	return ctx.Err()
}

// await returns what f does, or the context's error as soon as that is done. The
// client doesn't notice a context that ends while it waits for an answer; f is then
// left to the client's own timeouts. A panic, as of a hook of the client's, is the caller's,
// who can recover it; in a goroutine of ours it would end the process.
func await[T any](ctx context.Context, f func() (T, error)) (T, error) {
	if ctx.Done() == nil {
		return f()
	}
	var value, none T
	var panicked any
	err := errors.New("redisstore: the client called runtime.Goexit")
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { panicked = recover() }()
		value, err = f()
	}()
	select {
	case <-ctx.Done():
		return none, ctx.Err()
	case <-done:
	}
	if panicked != nil {
		panic(panicked)
	}
	if err != nil && ctx.Err() != nil {
		return none, ctx.Err()
	}
	return value, err
}
