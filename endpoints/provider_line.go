package endpoints

import "golang.org/x/oauth2/endpoints"

// LINE is the API of https://line.me, version 2.1 of LINE Login. A scope is required:
// profile, openid or both. Access tokens last 30 days; the refresh token stays the same
// for the 90 days that it lives. A revocation ends the access token.
//
// https://developers.line.biz/en/reference/line-login
var LINE = Provider{
	Name:      "LINE",
	Issuer:    "https://access.line.me",
	Endpoint:  endpoints.Line,
	RevokeURL: "https://api.line.me/oauth2/v2.1/revoke",
	APIURLs:   []string{"https://api.line.me"},
	Revoke:    AuthStyle{Params: Params{"token": nil, "access_token": {"{access_token}"}}},
}
