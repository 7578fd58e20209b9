package endpoints

import (
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/endpoints"
)

// Bitbucket is the API of https://bitbucket.org. A consumer has the scopes that it is
// registered with. Access tokens last an hour.
//
// https://developer.atlassian.com/cloud/bitbucket/rest/intro/#oauth-2-0
var Bitbucket = Provider{
	Name: "Bitbucket",
	Endpoint: oauth2.Endpoint{
		AuthURL:   endpoints.Bitbucket.AuthURL,
		TokenURL:  endpoints.Bitbucket.TokenURL,
		AuthStyle: oauth2.AuthStyleInHeader,
	},
	APIURLs: []string{"https://api.bitbucket.org/2.0"},
}
