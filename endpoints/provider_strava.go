package endpoints

import "golang.org/x/oauth2"

// Strava is the API of https://www.strava.com. Access tokens last six hours; a refresh
// that comes earlier than an hour before the end answers with the token that there is.
// Refresh tokens may change with each refresh. The user can take away scopes: the scope
// of the callback and of the token tell which are left.
//
// https://developers.strava.com/docs/authentication
var Strava = Provider{
	Name: "Strava",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://www.strava.com/oauth/authorize",
		TokenURL:  "https://www.strava.com/oauth/token",
		AuthStyle: oauth2.AuthStyleInParams,
	},
	RevokeURL: "https://www.strava.com/oauth/revoke",
	APIURLs:   []string{"https://www.strava.com/api/v3"},
	Consent:   Consent{ScopeSeparator: ",", PKCE: NoPKCE},
	Revoke:    AuthStyle{Auth: ClientSecretBasic},
	Answer: Answer{Errors: []ErrorRule{
		{In: "errors.field", Code: "refresh_token", Kind: KindLoginRequired},
		{In: "errors.field", Code: "code", Kind: KindCodeRejected},
		{In: "errors.field", Code: "redirect_uri", Kind: KindRedirectMismatch},
		{In: "errors.field", Code: "client_*", Kind: KindClientRejected},
	}},
	API: API{Errors: []ErrorRule{{Status: 401, In: "errors.code", Code: "missing", Kind: KindInsufficientScope}}},
}
