package redisstore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

// TestAKilledServerKeepsWhatItsSettingsPromise has a server killed right after it
// acknowledged writes. What a power cut loses can't be seen like this; but with
// appendfsync everysec a kill loses writes too, if a flush was under way.
func TestAKilledServerKeepsWhatItsSettingsPromise(t *testing.T) {
	notShort(t)
	t.Parallel()
	for _, c := range []struct {
		name    string
		args    []string
		keeps   bool
		problem string // for Check, "" if there is none
	}{
		{"as it comes out of the box", nil, false, "appendonly no"},
		{"appendonly yes", []string{"--appendonly", "yes"}, false, "appendfsync everysec"},
		{"appendfsync always", durable, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := start(t, c.args...)
			s := at(t, server)
			if err := s.Check(ctx); c.problem == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, "has "+c.problem+":")
			}
			replaced, deleted := mustPut(t, s, "replaced", "before", ""), mustPut(t, s, "deleted", "before", "")
			if c.args == nil {
				require.NoError(t, s.Client.Save(ctx).Err()) // the last snapshot
			}
			after := mustPut(t, s, "replaced", "after", replaced)
			require.NoError(t, s.Delete(ctx, "deleted", deleted))
			server.Kill()
			require.NoError(t, server.Run())

			value, v, err := s.Get(ctx, "replaced")
			_, _, gone := s.Get(ctx, "deleted")
			if c.keeps || v == after {
				require.NoError(t, err)
				require.Equal(t, after, v)
				require.Equal(t, "after", string(value))
			}
			if c.keeps {
				require.ErrorIs(t, gone, storage.ErrNotFound)
				return
			}
			if v != after { // then who knows the lost version is told
				t.Log("what was acknowledged is lost")
				_, err = s.Put(ctx, "replaced", []byte("next"), after)
				require.ErrorIs(t, err, storage.ErrConflict)
			}
			if c.args == nil {
				require.Equal(t, replaced, requireValue(t, s, "replaced", "before"))
				require.Equal(t, deleted, requireValue(t, s, "deleted", "before"))
			}
			mustPut(t, s, "replaced", "next", v)
		})
	}
}
