package endpoints

import "golang.org/x/oauth2"

// Pinterest is the API of https://www.pinterest.com. Refresh tokens last 60 days, and
// refreshes replace them; an application from before 25 September 2025 gets such tokens
// if its exchange has the option "continuous_refresh", "true".
//
// https://developers.pinterest.com/docs/getting-started/set-up-authentication-and-authorization
var Pinterest = Provider{
	Name: "Pinterest",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://www.pinterest.com/oauth/",
		TokenURL:  "https://api.pinterest.com/v5/oauth/token",
		AuthStyle: oauth2.AuthStyleInHeader,
	},
	APIURLs: []string{"https://api.pinterest.com/v5"},
	Consent: Consent{ScopeSeparator: ","},
}
