package testenv

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInMemoryIsRemoved(t *testing.T) {
	var dirs []string
	t.Run("test", func(t *testing.T) {
		dirs = []string{DirInMemory(t), DirInMemory(t)}
		require.NotEqual(t, dirs[0], dirs[1])
		for _, dir := range dirs {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
		}
	})
	for _, dir := range dirs {
		require.NoDirExists(t, dir)
	}
}
