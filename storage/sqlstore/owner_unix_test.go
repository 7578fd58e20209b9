//go:build unix

package sqlstore_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage/sqlstore"
)

// TestRootLeavesANewSQLiteToTheUser in whose directory it makes it, as for "sudo app init".
func TestRootLeavesANewSQLiteToTheUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away: run it as root")
	}
	dir := t.TempDir()
	require.NoError(t, os.Chown(dir, 1234, 5678))
	db, err := sqlstore.OpenSQLite(ctx, filepath.Join(dir, "db"))
	require.NoError(t, err)
	defer db.Close()
	s, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Options{})
	require.NoError(t, err)
	require.NoError(t, s.CreateTable(ctx))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 3) // with the log and its index
	for _, e := range entries {
		info, err := e.Info()
		require.NoError(t, err)
		owner := info.Sys().(*syscall.Stat_t)
		require.Equal(t, [2]uint32{1234, 5678}, [2]uint32{owner.Uid, owner.Gid}, e.Name())
	}
}

func TestOpenSQLiteAtALinkToNothing(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink("nothing", link))
	_, err := sqlstore.OpenSQLite(ctx, link)
	require.ErrorContains(t, err, link+" is a symbolic link to what doesn't exist")
	require.NoFileExists(t, filepath.Join(dir, "nothing"), "SQLite would make it with mode 0644")
}
