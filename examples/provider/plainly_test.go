package ledgerly_test

import (
	"testing"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
)

// Plainly follows RFC 6749.
var Plainly = endpoints.Provider{
	Name: "Plainly",
	Endpoint: oauth2.Endpoint{
		AuthURL:  "https://plainly.example/oauth/authorize",
		TokenURL: "https://plainly.example/oauth/token",
	},
	APIURLs: []string{"https://api.plainly.example"},
}

func TestPlainly(t *testing.T) {
	endpointstest.TestProvider(t, Plainly, endpointstest.Test{})
}
