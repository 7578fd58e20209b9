package tokensource

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// TestRegistrationDoesNotDependOnHowAURLIsWritten, nor on which Config has it: otherwise no
// connection would be found again after a change that means nothing.
func TestRegistrationDoesNotDependOnHowAURLIsWritten(t *testing.T) {
	for _, tokenURL := range []string{
		"https://provider.test/token", "https://Provider.TEST/token", "https://provider.test:443/oauth/token?a=b", "HTTPS://provider.test/token",
	} {
		plain := oauth2.Config{ClientID: testClient, Endpoint: oauth2.Endpoint{TokenURL: tokenURL, AuthStyle: oauth2.AuthStyleInParams}}
		provider := endpoints.Provider{Name: "p", Endpoint: plain.Endpoint}
		provider.Endpoint.AuthURL = "https://provider.test/auth"
		for name, c := range map[string]Refresher{
			"plain":      &plain,
			"endpoints":  provider.Config(oauth2.Config{ClientID: testClient}),
			"two-legged": TwoLegged(&clientcredentials.Config{ClientID: testClient, TokenURL: tokenURL}),
		} {
			got, err := registrationOf(c)
			require.NoError(t, err, "%s: %s", name, tokenURL)
			assert.Equal(t, testOwner, got, "%s: %s", name, tokenURL)
		}
	}
}
