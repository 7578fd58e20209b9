package endpoints

import "golang.org/x/oauth2/endpoints"

// Dropbox is the API of https://www.dropbox.com. Access tokens last four hours, and
// refreshes don't replace the refresh token. A revocation takes an access token that is
// still good. The account is Token.Extra("account_id").
//
// https://developers.dropbox.com/oauth-guide
var Dropbox = Provider{
	Name:      "Dropbox",
	Endpoint:  endpoints.Dropbox,
	RevokeURL: "https://api.dropboxapi.com/2/auth/token/revoke",
	APIURLs:   []string{"https://api.dropboxapi.com/2", "https://content.dropboxapi.com/2"},
	Consent:   Consent{Params: Params{"token_access_type": {"offline"}}},
	Revoke:    AuthStyle{Auth: AccessTokenAuth},
}
