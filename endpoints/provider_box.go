package endpoints

import "golang.org/x/oauth2"

// Box is the API of https://www.box.com. Access tokens last about an hour; a refresh
// token is good for one refresh within 60 days, which replaces it.
//
// https://developer.box.com/guides/authentication/oauth2
var Box = Provider{
	Name: "Box",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://account.box.com/api/oauth2/authorize",
		TokenURL:  "https://api.box.com/oauth2/token",
		AuthStyle: oauth2.AuthStyleInParams,
	},
	RevokeURL: "https://api.box.com/oauth2/revoke",
	APIURLs:   []string{"https://api.box.com/2.0", "https://upload.box.com/api/2.0"},
	Revoke:    AuthStyle{Params: Params{"token": {"{access_token}"}}},
}
