package redisstore_test

import (
	"crypto/fips140"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage/redisstore"
)

// TestFIPS140 has another process, in which SHA-1 panics, use every method.
func TestFIPS140(t *testing.T) {
	notShort(t)
	t.Parallel()
	const variable = "OAUTH2KEEP_TEST_FIPS140"
	if addr := os.Getenv(variable); addr != "" {
		require.True(t, fips140.Enforced())
		s := &redisstore.Store{Client: client(t, addr)}
		require.NoError(t, s.Check(ctx))
		v := mustPut(t, s, "name", "value", "")
		require.Equal(t, v, requireValue(t, s, "name", "value"))
		for name, err := range s.Names(ctx) {
			require.NoError(t, err)
			require.Equal(t, "name", name)
		}
		require.NoError(t, s.Delete(ctx, "name", v))
		s.WaitReplicas = 1
		_, err := s.Put(ctx, "name", nil, "")
		require.ErrorIs(t, err, redisstore.ErrUnconfirmed)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestFIPS140$", "-test.v")
	cmd.Env = append(os.Environ(), "GODEBUG=fips140=only", variable+"="+start(t, durable...).addr)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: TestFIPS140")
}
