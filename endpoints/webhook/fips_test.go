package webhook

import (
	"crypto/fips140"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
)

// TestSecretsInFIPSMode has another process, in which an HMAC of a short secret panics,
// make a Verifier of one.
func TestSecretsInFIPSMode(t *testing.T) {
	if !fips140.Enforced() {
		out := testenv.InFIPSMode(t, []string{"-test.v", "-test.run=^TestSecretsInFIPSMode$"})
		require.Contains(t, out, "--- PASS: TestSecretsInFIPSMode")
		return
	}
	long := strings.Repeat("s", 14)
	_, err := Chart(long)
	require.NoError(t, err)
	_, err = Chart(long, long[1:])
	require.EqualError(t, err, "webhook: Chart: secret 2: the secret has 13 bytes, and FIPS 140-only mode signs with 14 or more: have the provider issue a longer one")
}
