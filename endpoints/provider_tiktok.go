package endpoints

import "golang.org/x/oauth2"

// TikTok is the API of https://developers.tiktok.com, for a web app. Access tokens last
// a few hours, refresh tokens for months, and a refresh may give a new one. A desktop
// app needs Consent.PKCE set to [S256Hex].
//
// https://developers.tiktok.com/doc/oauth-user-access-token-management
var TikTok = Provider{
	Name: "TikTok",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://www.tiktok.com/v2/auth/authorize/",
		TokenURL:  "https://open.tiktokapis.com/v2/oauth/token/",
		AuthStyle: oauth2.AuthStyleInParams,
	},
	RevokeURL: "https://open.tiktokapis.com/v2/oauth/revoke/",
	APIURLs:   []string{"https://open.tiktokapis.com"},
	Consent:   Consent{Params: Params{"client_key": {"{client_id}"}}, ScopeSeparator: ",", PKCE: NoPKCE},
	Style:     AuthStyle{Params: Params{"client_key": {"{client_id}"}}},
	Revoke:    AuthStyle{Params: Params{"token": {"{access_token}"}}},
	API: API{Errors: []ErrorRule{
		{Status: 401, In: "error.code", Code: "scope_*", Kind: KindInsufficientScope},
	}},
}
