package finch_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

func sealer(t *testing.T) *storage.Keyset {
	keys, err := storage.NewKeyset(storage.NewKey())
	require.NoError(t, err)
	return keys
}
