package endpoints

import "golang.org/x/oauth2"

// Zoom is the API of https://zoom.us. The scopes are those of the app. Access tokens
// last an hour, refresh tokens about 90 days, and each refresh gives a new one.
//
// https://developers.zoom.us/docs/integrations/oauth
var Zoom = Provider{
	Name: "Zoom",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://zoom.us/oauth/authorize",
		TokenURL:  "https://zoom.us/oauth/token",
		AuthStyle: oauth2.AuthStyleInHeader,
	},
	RevokeURL: "https://zoom.us/oauth/revoke",
	APIURLs:   []string{"https://api.zoom.us"},
	Revoke:    AuthStyle{Params: Params{"token": {"{access_token}"}}},
	Answer: Answer{
		Names:  map[string]string{"error_description": "reason"},
		Errors: []ErrorRule{{In: "reason", Code: "Invalid Token!", Kind: KindLoginRequired}},
	},
}
