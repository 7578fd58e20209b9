package storage_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

// Printing what a store holds would read its maps while a goroutine writes them, which ends
// the program.
func TestAStoreIsPrintedByItsName(t *testing.T) {
	dir, err := storage.OpenDir(filepath.Join(t.TempDir(), "tokens"))
	require.NoError(t, err)
	for want, s := range map[string]storage.Store{"storage.Memory": new(storage.Memory), "storage.Dir(": dir} {
		_, err := s.Put(t.Context(), "a name", []byte("a value"), "")
		require.NoError(t, err)
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("m", "v", s)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "v", s)
		fmt.Fprintf(&log, "%v %+v %#v", s, s, s)
		assert.Equal(t, 5, strings.Count(log.String(), want), "%s", log.String())
		assert.NotContains(t, log.String(), "a name")
		assert.NotContains(t, log.String(), "map[")
	}
}
