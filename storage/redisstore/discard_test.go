package redisstore_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/redisstore"
)

func TestDiscardDeletesWhatIsNoRecord(t *testing.T) {
	t.Parallel()
	c := client(t, start(t, durable...).addr)
	s := &redisstore.Store{Client: c}
	for _, foreign := range []string{"", "x", "o2kr\x01too short", "o2kr\x020123456789abcdefof a later release", "a value of something else"} {
		require.NoError(t, c.Set(ctx, "oauth2keep:name", foreign, 0).Err())
		_, _, err := s.Get(ctx, "name")
		require.ErrorIs(t, err, storage.ErrOpen, foreign)
		require.NoError(t, s.Discard(ctx, "name"), foreign)
		require.Zero(t, c.Exists(ctx, "oauth2keep:name").Val(), foreign)
	}
	require.NoError(t, s.Discard(ctx, "name"), "it isn't there")

	v := mustPut(t, s, "name", "value", "")
	require.ErrorIs(t, s.Discard(ctx, "name"), storage.ErrConflict)
	require.NoError(t, s.Delete(ctx, "name", v))

	keys, err := storage.NewKeyset(storage.NewKey())
	require.NoError(t, err)
	for _, discard := range []func(context.Context, string) error{s.Discard, storage.Encrypt(s, keys).Discard} {
		for _, kind := range otherTypes(t, c) {
			require.NoError(t, discard(ctx, kind), kind)
			require.Zero(t, c.Exists(ctx, "oauth2keep:"+kind).Val(), kind)
		}
	}
}
