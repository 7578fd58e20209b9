//go:build unix

package kms

import (
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

// TestOwnerIsKept: root replaces a key, and the program reads it as before.
func TestOwnerIsKept(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	f, k := newFile(t), newKMS(t)
	_, err := f.Create(ctx, k, storage.NewKey())
	require.NoError(t, err)
	require.NoError(t, os.Chown(string(f), 1234, 5678))
	_, err = f.Add(ctx, k, storage.NewKey())
	require.NoError(t, err)
	info, err := os.Stat(string(f))
	require.NoError(t, err)
	stat := info.Sys().(*syscall.Stat_t)
	assert.EqualValues(t, 1234, stat.Uid)
	assert.EqualValues(t, 5678, stat.Gid)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
}
