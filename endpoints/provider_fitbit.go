package endpoints

import "golang.org/x/oauth2"

// Fitbit is the Web API of https://www.fitbit.com, which Google has announced to end
// in favor of its Health API. Access tokens last eight hours, and each refresh gives a
// new refresh token. Revoking ends all tokens of the user.
//
// https://dev.fitbit.com/build/reference/web-api/authorization
var Fitbit = Provider{
	Name: "Fitbit",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://www.fitbit.com/oauth2/authorize",
		TokenURL:  "https://api.fitbit.com/oauth2/token",
		AuthStyle: oauth2.AuthStyleInHeader,
	},
	RevokeURL:     "https://api.fitbit.com/oauth2/revoke",
	IntrospectURL: "https://api.fitbit.com/1.1/oauth2/introspect",
	APIURLs:       []string{"https://api.fitbit.com"},
	Introspect:    AuthStyle{Auth: AccessTokenAuth, Params: Params{"token": {"{access_token}"}}},
	Answer:        Answer{Names: map[string]string{"error": "errors.errorType", "error_description": "errors.message"}},
}
