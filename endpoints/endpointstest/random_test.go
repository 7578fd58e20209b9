package endpointstest_test

import (
	"testing"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
)

func TestAProviderThatWantsRandomValues(t *testing.T) {
	endpointstest.TestProvider(t, endpoints.Provider{
		Name:     "Nonce",
		Endpoint: oauth2.Endpoint{AuthURL: "https://nonce.example/authorize", TokenURL: "https://nonce.example/token"},
		APIURLs:  []string{"https://api.nonce.example"},
		Consent:  endpoints.Consent{Params: endpoints.Params{"nonce": {"{random}"}}},
		Style: endpoints.AuthStyle{
			Params: endpoints.Params{"nonce": {"{random}"}},
			Header: map[string]string{"X-Correlation": "{random}/{random}"},
		},
	}, endpointstest.Test{})
}
