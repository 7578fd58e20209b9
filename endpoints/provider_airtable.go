package endpoints

import "golang.org/x/oauth2"

// Airtable is the API of https://airtable.com. PKCE is required. Access tokens last 60
// minutes, refresh tokens 60 days, and each refresh gives a new one. An integration
// without a secret needs Style.Auth set to [PublicClient].
//
// https://airtable.com/developers/web/api/oauth-reference
var Airtable = Provider{
	Name: "Airtable",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://airtable.com/oauth2/v1/authorize",
		TokenURL:  "https://airtable.com/oauth2/v1/token",
		AuthStyle: oauth2.AuthStyleInHeader,
	},
	APIURLs: []string{"https://api.airtable.com"},
}
