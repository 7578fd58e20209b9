package etcdstore

import (
	"context"
	"errors"
	"iter"
	"strconv"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/oauth2keep/oauth2keep/storage"
)

// DefaultPrefix is what the etcd keys begin with unless Store.Prefix says otherwise.
const DefaultPrefix = "oauth2keep/"

// pageSize is how many names a walk asks for at a time.
const pageSize = 500

// Store is a [storage.Store] and a [storage.Lister] in etcd. Client is required. The
// fields must not be changed once a method was called. Methods may be called
// concurrently, and any number of processes on any number of machines may use the same
// cluster.
type Store struct {
	// Client is the application's *clientv3.Client, or what package namespace makes of
	// it. The Store never closes it.
	Client clientv3.KV

	// Prefix begins the etcd keys. Empty means [DefaultPrefix]. What else is stored in
	// the cluster needs prefixes of which neither begins with the other.
	Prefix string
}

var (
	_ storage.Store  = (*Store)(nil)
	_ storage.Lister = (*Store)(nil)
)

// Get implements [storage.Store]. The read is linearizable: it asks a quorum.
func (s *Store) Get(ctx context.Context, name string) ([]byte, storage.Version, error) {
	if err := s.check(ctx); err != nil {
		return nil, "", err
	}
	answer, err := s.Client.Get(ctx, s.key(name))
	if err != nil {
		return nil, "", failure(ctx, err)
	}
	if len(answer.Kvs) == 0 {
		return nil, "", storage.ErrNotFound
	}
	record := answer.Kvs[0]
	return record.Value, versionOf(record.ModRevision), nil
}

// Put implements [storage.Store]. If ctx is done before the server answered, the record
// may be written nevertheless.
func (s *Store) Put(ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	revision, err := s.swap(ctx, name, old, clientv3.OpPut(s.key(name), string(value)))
	if err != nil {
		return "", err
	}
	return versionOf(revision), nil
}

// Delete implements [storage.Store]. If ctx is done before the server answered, the
// record may be deleted nevertheless.
func (s *Store) Delete(ctx context.Context, name string, old storage.Version) error {
	if old != "" {
		_, err := s.swap(ctx, name, old, clientv3.OpDelete(s.key(name)))
		return err
	}
	// Not a transaction without operations: etcd doesn't ask a quorum for one.
	switch _, _, err := s.Get(ctx, name); {
	case err == nil:
		return storage.ErrConflict
	case errors.Is(err, storage.ErrNotFound):
		return nil
	default:
		return err
	}
}

// swap does op if the version of a record is old, and returns the revision of that.
func (s *Store) swap(ctx context.Context, name string, old storage.Version, op clientv3.Op) (int64, error) {
	if err := s.check(ctx); err != nil {
		return 0, err
	}
	revision, ok := revisionOf(old)
	if !ok {
		return 0, storage.ErrConflict // no record ever had that version
	}
	answer, err := s.Client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(s.key(name)), "=", revision)).
		Then(op).Commit()
	if err != nil {
		return 0, unwritten(ctx, err)
	}
	if !answer.Succeeded {
		return 0, storage.ErrConflict
	}
	return answer.Header.Revision, nil
}

// Names implements [storage.Lister]. It reads 500 names at a time, in their order.
func (s *Store) Names(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := s.check(ctx); err != nil {
			yield("", err)
			return
		}
		prefix := s.key("")
		next, end := prefix, clientv3.GetPrefixRangeEnd(prefix)
		for {
			page, err := s.Client.Get(ctx, next, clientv3.WithRange(end), clientv3.WithKeysOnly(), clientv3.WithLimit(pageSize))
			if err != nil {
				yield("", failure(ctx, err))
				return
			}
			for _, record := range page.Kvs {
				if !yield(strings.TrimPrefix(string(record.Key), prefix), nil) {
					return
				}
				next = string(record.Key) + "\x00" // the first key after it
			}
			if !page.More {
				return
			}
		}
	}
}

// check is the beginning of every method.
func (s *Store) check(ctx context.Context) error {
	if c, ok := s.Client.(*clientv3.Client); s.Client == nil || ok && c == nil {
		return errors.New("etcdstore: this Store has no Client: set it to the application's *clientv3.Client")
	}
	return ctx.Err()
}

// key is the etcd key of a record.
func (s *Store) key(name string) string {
	if s.Prefix == "" {
		return DefaultPrefix + name
	}
	return s.Prefix + name
}

// versionOf is the version of a record that was last written in a revision of etcd, which
// counts the changes of the whole cluster.
func versionOf(revision int64) storage.Version {
	return storage.Version(strconv.FormatInt(revision, 10))
}

// revisionOf returns the revision of a version, 0 if there must be no record, and false
// if no record can have that version.
func revisionOf(v storage.Version) (revision int64, ok bool) {
	if v == "" {
		return 0, true
	}
	revision, err := strconv.ParseInt(string(v), 10, 64)
	return revision, err == nil && revision > 0 && versionOf(revision) == v
}
