package etcdstore_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/etcdstore"
)

func mustPut(t testing.TB, s storage.Store, name, value string, old storage.Version) storage.Version {
	t.Helper()
	v, err := s.Put(ctx, name, []byte(value), old)
	require.NoError(t, err)
	return v
}

func requireValue(t testing.TB, s storage.Store, name, value string, v storage.Version) {
	t.Helper()
	got, now, err := s.Get(ctx, name)
	require.NoError(t, err)
	require.Equal(t, value, string(got))
	require.Equal(t, v, now)
}

const (
	refused = "etcdstore: nothing was written: "
	unknown = "etcdstore: the record may have been written or not: read it again: "
)

// TestNoSpace fills the database, and makes room by what the error says. The write that
// reaches the quota may be done nevertheless.
func TestNoSpace(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	s, c := newStore(t, "--quota-backend-bytes", "4000000")
	kept, deleted := mustPut(t, s, "kept", "value", ""), mustPut(t, s, "deleted", "value", "")
	v := mustPut(t, s, "large", "", "")
	var err error
	for range 20 {
		var next storage.Version
		if next, err = s.Put(ctx, "large", make([]byte, 1<<20), v); err != nil {
			break
		}
		v = next
	}
	require.ErrorContains(t, err, unknown+"etcdserver: mvcc: database space exceeded (etcd has reached its quota: compact,")
	require.NotErrorIs(t, err, storage.ErrConflict)
	requireValue(t, s, "kept", "value", kept)
	require.NoError(t, s.Delete(ctx, "deleted", deleted))

	now, err := c.Get(ctx, "any")
	require.NoError(t, err)
	_, err = c.Compact(ctx, now.Header.Revision, clientv3.WithCompactPhysical())
	require.NoError(t, err)
	_, err = c.Defragment(ctx, c.Endpoints()[0])
	require.NoError(t, err)
	_, err = c.AlarmDisarm(ctx, &clientv3.AlarmMember{})
	require.NoError(t, err)
	mustPut(t, s, "kept", "new", kept)
	_, v, err = s.Get(ctx, "large")
	require.NoError(t, err)
	require.NoError(t, s.Delete(ctx, "large", v))
}

// TestAccess has a user with what the documentation says is enough, and others.
func TestAccess(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	server := start(t, "--bcrypt-cost", "4")
	root := client(t, server.addr)
	for _, err := range []error{
		second(root.RoleAdd(ctx, "keeper")),
		second(root.RoleGrantPermission(ctx, "keeper", "oauth2keep/", clientv3.GetPrefixRangeEnd("oauth2keep/"), clientv3.PermissionType(clientv3.PermReadWrite))),
		second(root.UserAdd(ctx, "keeper", "pw")), second(root.UserGrantRole(ctx, "keeper", "keeper")),
		second(root.UserAdd(ctx, "stranger", "pw")),
		second(root.UserAdd(ctx, "root", "pw")), second(root.UserGrantRole(ctx, "root", "root")),
		second(root.AuthEnable(ctx)),
	} {
		require.NoError(t, err)
	}
	as := func(user string) *etcdstore.Store {
		o := config(server.addr)
		o.Username, o.Password = user, "pw"
		c, err := clientv3.New(o)
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		return &etcdstore.Store{Client: c}
	}
	s := as("keeper")
	v := mustPut(t, s, "name", "value", "")
	requireValue(t, s, "name", "value", v)
	for name, err := range s.Names(ctx) {
		require.NoError(t, err)
		require.Equal(t, "name", name)
	}
	_, err := s.Put(ctx, "name", nil, "")
	require.ErrorIs(t, err, storage.ErrConflict)
	for what, stranger := range map[string]*etcdstore.Store{
		"permission denied (grant this user's role":        as("stranger"),
		"user name is empty (give Client a Username":       {Client: client(t, server.addr)},
		"permission denied (grant this user's role readwr": {Client: s.Client, Prefix: "elsewhere/"},
	} {
		_, err := stranger.Put(ctx, "name", nil, v)
		require.ErrorContains(t, err, refused+"etcdserver: "+what)
		require.ErrorContains(t, stranger.Delete(ctx, "name", v), refused+"etcdserver: "+what)
		_, _, err = stranger.Get(ctx, "name")
		require.ErrorContains(t, err, "etcdstore: etcdserver: "+what)
		for _, err := range stranger.Names(ctx) {
			require.ErrorContains(t, err, what)
		}
	}
	require.NoError(t, s.Delete(ctx, "name", v))
}

func second[T any](_ T, err error) error { return err }

// TestNoQuorum has two of three members die. The third answers nothing from its own copy,
// which may be old.
func TestNoQuorum(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	members := cluster(t, 3, "--heartbeat-interval", "50", "--election-timeout", "500")
	s := &etcdstore.Store{Client: client(t, members[0].addr)}
	v := mustPut(t, s, "name", "value", "")
	members[1].Kill()
	members[2].Kill()
	limited, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	_, err := s.Put(limited, "name", []byte("new"), v)
	require.ErrorContains(t, err, unknown)
	require.NotErrorIs(t, err, storage.ErrConflict)
	for what, call := range map[string]func(context.Context) error{
		"Get":                 func(ctx context.Context) error { _, _, err := s.Get(ctx, "name"); return err },
		"Get of none":         func(ctx context.Context) error { _, _, err := s.Get(ctx, "absent"); return err },
		"Delete of none":      func(ctx context.Context) error { return s.Delete(ctx, "absent", "") },
		"Delete as if absent": func(ctx context.Context) error { return s.Delete(ctx, "name", "") },
		"Names": func(ctx context.Context) error {
			for _, err := range s.Names(ctx) {
				return err
			}
			return nil
		},
	} {
		limited, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		require.ErrorIs(t, call(limited), context.DeadlineExceeded, what)
		cancel()
	}
	require.NoError(t, members[1].Run())
	value, v, err := s.Get(ctx, "name")
	require.NoError(t, err)
	require.Contains(t, []string{"value", "new"}, string(value))
	mustPut(t, s, "name", "next", v)
}

// TestVersionsOutliveCompaction and a restart.
func TestVersionsOutliveCompaction(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	server := start(t)
	c := client(t, server.addr)
	s := &etcdstore.Store{Client: c}
	v := mustPut(t, s, "name", "value", "")
	gone := mustPut(t, s, "deleted", "value", "")
	require.NoError(t, s.Delete(ctx, "deleted", gone))
	last, err := c.Put(ctx, "another", "")
	require.NoError(t, err)
	_, err = c.Compact(ctx, last.Header.Revision, clientv3.WithCompactPhysical())
	require.NoError(t, err)
	_, err = c.Defragment(ctx, server.addr)
	require.NoError(t, err)
	server.Kill()
	require.NoError(t, server.Run())
	requireValue(t, s, "name", "value", v)
	require.NotEqual(t, gone, mustPut(t, s, "deleted", "again", ""))
	require.ErrorIs(t, s.Delete(ctx, "deleted", gone), storage.ErrConflict)
	mustPut(t, s, "name", "new", v)
}

// TestARestoredBackupCountsAnew shows why programs have to be stopped before a backup is
// restored: revisions that were given out come again, and with them versions.
func TestARestoredBackupCountsAnew(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	dir, backup := testenv.DirInMemory(t), testenv.DirInMemory(t)
	server := start(t, "--data-dir", dir)
	s := &etcdstore.Store{Client: client(t, server.addr)}
	first := mustPut(t, s, "name", "in the backup", "")
	server.Kill()
	require.NoError(t, os.CopyFS(filepath.Join(backup, "copy"), os.DirFS(dir)))
	require.NoError(t, server.Run())
	lost := mustPut(t, s, "name", "after the backup", first)

	server.Kill()
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "member")))
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join(backup, "copy"))))
	require.NoError(t, server.Run())
	requireValue(t, s, "name", "in the backup", first)
	_, err := s.Put(ctx, "name", nil, lost)
	require.ErrorIs(t, err, storage.ErrConflict)
	require.Equal(t, lost, mustPut(t, s, "name", "somebody else's", first))
	mustPut(t, s, "name", "overwritten unknowingly", lost)
}

// TestRefusedAndForeign have a server in common.
func TestRefusedAndForeign(t *testing.T) {
	t.Parallel()
	s, c := newStore(t)
	t.Run("too large", func(t *testing.T) { testTooLarge(t, s) })
	t.Run("foreign keys", func(t *testing.T) { testForeignKeys(t, s, c) })
}

func testTooLarge(t *testing.T, s *etcdstore.Store) {
	_, err := s.Put(ctx, "large", make([]byte, 1700<<10), "")
	require.ErrorContains(t, err, refused+"etcdserver: request is too large (raise the server's --max-request-bytes")
	_, _, err = s.Get(ctx, "large")
	require.ErrorIs(t, err, storage.ErrNotFound)
}

// testForeignKeys has keys beside the Store's prefix, and another's.
func testForeignKeys(t *testing.T, s *etcdstore.Store, c *clientv3.Client) {
	other := &etcdstore.Store{Client: c, Prefix: "oauth2keep2/"}
	v := mustPut(t, s, "name", "value", "")
	mustPut(t, other, "another", "value", "")
	for _, key := range []string{"oauth2keep", "oauth2keep.", "oauth2keep0", "a", "z"} {
		require.NoError(t, second(c.Put(ctx, key, "foreign")))
	}
	var names []string
	for name, err := range s.Names(ctx) {
		require.NoError(t, err)
		names = append(names, name)
	}
	require.Equal(t, []string{"name"}, names)
	stored, err := c.Get(ctx, "oauth2keep/name") // as the documentation says
	require.NoError(t, err)
	require.Equal(t, "value", string(stored.Kvs[0].Value))
	for _, never := range []storage.Version{"0", "-1", "1e3", "+" + v, "0" + v, v + " ", storage.Version(strings.Repeat("9", 30))} {
		_, err := s.Put(ctx, "absent", nil, never)
		require.ErrorIs(t, err, storage.ErrConflict, never)
		require.ErrorIs(t, s.Delete(ctx, "name", never), storage.ErrConflict, never)
	}
}

func TestErrorsOfTheClient(t *testing.T) {
	t.Parallel()
	for _, s := range []*etcdstore.Store{{}, {Client: (*clientv3.Client)(nil)}} {
		_, err := s.Put(ctx, "name", nil, "")
		require.ErrorContains(t, err, "etcdstore: this Store has no Client")
		_, _, err = s.Get(ctx, "name")
		require.ErrorContains(t, err, "etcdstore: this Store has no Client")
	}
	o := config(testenv.Addr(t)) // where nobody listens
	o.MaxUnaryRetries = 2
	c, err := clientv3.New(o)
	require.NoError(t, err)
	c.Close()
	_, _, err = (&etcdstore.Store{Client: c}).Get(ctx, "name")
	require.ErrorContains(t, err, "(close the client after the last use of the Store)")
}
