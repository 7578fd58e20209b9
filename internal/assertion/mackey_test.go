package assertion

import (
	"crypto/fips140"
	"crypto/hmac"
	"crypto/sha256"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
)

const macKeyVariable = "OAUTH2KEEP_TEST_MACKEY"

// TestCheckMACKey is about this process, and about another one in FIPS 140-only mode.
func TestCheckMACKey(t *testing.T) {
	for n := range 40 {
		key := make([]byte, n)
		if err := CheckMACKey(key); err != nil {
			require.True(t, fips140.Enforced())
			require.ErrorContains(t, err, "FIPS 140-only mode signs with 14 or more")
			require.Panics(t, func() { hmac.New(sha256.New, key) }, "a key of %d bytes would do", n)
			continue
		}
		hmac.New(sha256.New, key)
	}
	if os.Getenv(macKeyVariable) != "" {
		require.Error(t, CheckMACKey(make([]byte, 13)))
		return
	}
	out := testenv.InFIPSMode(t, []string{"-test.v", "-test.run=^TestCheckMACKey$"}, macKeyVariable+"=yes")
	require.Contains(t, out, "--- PASS: TestCheckMACKey")
}
