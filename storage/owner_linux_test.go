package storage_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

const user = 1234

// userDir returns a directory that any user can reach, and user owns.
func userDir(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	path := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(path), 0o755))
	require.NoError(t, os.Chown(path, user, user))
	return path
}

// TestRootLeavesADirToItsUser has root make, replace, lock, delete and list records in
// the Dir of another user, who does the same afterwards.
func TestRootLeavesADirToItsUser(t *testing.T) {
	for _, first := range []string{"the user", "root"} {
		t.Run("first "+first, func(t *testing.T) {
			path := filepath.Join(userDir(t), "share", "tokens")
			use := func(own, both string) error {
				d, err := storage.OpenDir(path)
				if err != nil {
					return err
				}
				defer d.Close()
				var errs []error
				for _, name := range []string{own, both} {
					unlock, err := d.Lock(ctx, name)
					if err != nil {
						errs = append(errs, err)
						continue
					}
					_, v, err := d.Get(ctx, name)
					if err != nil && !errors.Is(err, storage.ErrNotFound) {
						errs = append(errs, err)
					}
					_, err = d.Put(ctx, name, []byte(name), v)
					errs = append(errs, err)
					unlock()
				}
				v, err := d.Put(ctx, "deleted", nil, "")
				errs = append(errs, err, d.Delete(ctx, "deleted", v), listError(d.Names(ctx)))
				return errors.Join(errs...)
			}
			asTheUser := func() {
				var err error
				asUser(t, user, func() { err = use("of the user", "of both") })
				require.NoError(t, err)
			}
			if first == "the user" {
				asTheUser()
			}
			require.NoError(t, use("of root", "of both"))
			require.NoError(t, filepath.WalkDir(filepath.Dir(path), func(name string, e fs.DirEntry, err error) error {
				require.NoError(t, err)
				info, err := e.Info()
				require.NoError(t, err)
				s := info.Sys().(*syscall.Stat_t)
				require.Equal(t, [2]uint32{user, user}, [2]uint32{s.Uid, s.Gid}, name)
				return nil
			}))
			asTheUser()
			asUser(t, user, func() {
				d, err := storage.OpenDir(path)
				if err == nil {
					_, _, err = d.Get(ctx, "of root")
					err = errors.Join(err, d.Close())
				}
				if err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestReadKeyFileOfAGroup reads a key as Kubernetes (fsGroup) and systemd hand it over:
// it belongs to root, and an access list or the group lets a program read it.
func TestReadKeyFileOfAGroup(t *testing.T) {
	dir := userDir(t)
	key := storage.NewKey()
	read := func(path string) (got []byte, err error) {
		asUser(t, user, func() { got, err = storage.ReadKeyFile(path) })
		return got, err
	}
	write := func(name string, gid int, mode os.FileMode) (path string) {
		path = filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, key, 0o600))
		require.NoError(t, os.Chown(path, 0, gid))
		require.NoError(t, os.Chmod(path, mode))
		return path
	}
	for _, mode := range []os.FileMode{0o440, 0o640} {
		got, err := read(write("group", user, mode))
		require.NoError(t, err)
		require.True(t, bytes.Equal(key, got))
	}
	_, err := read(write("group", user, 0o444))
	require.ErrorContains(t, err, "is open to others (mode 0444)")
	_, err = read(write("group", user, 0o660))
	require.ErrorContains(t, err, "is open to others (mode 0660)")

	// As Kubernetes mounts it: a link to a link.
	require.NoError(t, os.Mkdir(filepath.Join(dir, "..2026"), 0o755))
	write("..2026/token.key", user, 0o440)
	require.NoError(t, os.Symlink("..2026", filepath.Join(dir, "..data")))
	require.NoError(t, os.Symlink("..data/token.key", filepath.Join(dir, "token.key")))
	got, err := read(filepath.Join(dir, "token.key"))
	require.NoError(t, err)
	require.True(t, bytes.Equal(key, got))

	// As systemd does it: only a list lets the user read a file of mode 0400.
	path := write("list", 0, 0o400)
	_, err = read(path)
	require.ErrorIs(t, err, os.ErrPermission)
	list := binary.LittleEndian.AppendUint32(nil, 2) // version; then tag, permissions and id of each entry
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{1, 4, 1<<32 - 1}, {2, 4, user}, {4, 0, 1<<32 - 1}, {16, 4, 1<<32 - 1}, {32, 0, 1<<32 - 1}} {
		list = binary.LittleEndian.AppendUint16(list, e.tag)
		list = binary.LittleEndian.AppendUint16(list, e.perm)
		list = binary.LittleEndian.AppendUint32(list, e.id)
	}
	if err := syscall.Setxattr(path, "system.posix_acl_access", list, 0); err != nil {
		t.Skip("this file system has no access lists: ", err)
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(info.Mode().String(), "-r--r-----"), "the mask of the list is shown as the group's bits")
	got, err = read(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(key, got))
}
