package endpoints

import "golang.org/x/oauth2"

// Linear is the API of https://linear.app. Access tokens last 24 hours, and each
// refresh gives a new refresh token. To act as the app instead of the user, begin with
// oauth2.SetAuthURLParam("actor", "app").
//
// https://linear.app/developers/oauth-2-0-authentication
var Linear = Provider{
	Name: "Linear",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://linear.app/oauth/authorize",
		TokenURL:  "https://api.linear.app/oauth/token",
		AuthStyle: oauth2.AuthStyleInParams,
	},
	RevokeURL: "https://api.linear.app/oauth/revoke",
	APIURLs:   []string{"https://api.linear.app"},
	Consent:   Consent{ScopeSeparator: ","},
	Revoke:    AuthStyle{Params: Params{"token": nil, "refresh_token": {"{refresh_token}"}}},
}
