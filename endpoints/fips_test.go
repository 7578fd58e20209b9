package endpoints_test

import (
	"crypto/fips140"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/internal/testenv"
)

// TestSecretsInFIPSMode has another process, in which an HMAC of a short secret panics,
// sign requests with secrets as providers issue them.
func TestSecretsInFIPSMode(t *testing.T) {
	if !fips140.Enforced() {
		out := testenv.InFIPSMode(t, []string{"-test.v", "-test.run=^TestSecretsInFIPSMode$"})
		require.Contains(t, out, "--- PASS: TestSecretsInFIPSMode")
		return
	}
	withJWT := waysBase()
	withJWT.Style.Auth = endpoints.ClientSecretJWT
	for _, p := range []endpoints.Provider{withJWT, endpoints.Shopline} {
		for secret, works := range map[string]bool{"s3cret": false, strings.Repeat("s", 13): false, strings.Repeat("s", 14): true} {
			conf := p.Config(oauth2.Config{ClientID: "id", ClientSecret: secret})
			_, err := conf.Exchange(answering(answerText(good)).context(), "c0de", oauth2.SetAuthURLParam("handle", "shop"))
			if works {
				if err != nil { // Shopline answers otherwise
					require.NotContains(t, err.Error(), "FIPS")
				}
				continue
			}
			require.ErrorContains(t, err, "FIPS 140-only mode signs with 14 or more")
			require.NotContains(t, err.Error(), secret)
		}
	}
}
