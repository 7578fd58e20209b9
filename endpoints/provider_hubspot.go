package endpoints

import "golang.org/x/oauth2"

// HubSpot is the API of https://www.hubspot.com. Access tokens last 30 minutes, refresh
// tokens until the app is uninstalled. Scopes that an account may lack go beside the
// others, as oauth2.SetAuthURLParam("optional_scope", "…"). The account is
// Token.Extra("hub_id"). Revoking doesn't end access tokens that were issued already.
//
// https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/oauth/working-with-oauth
var HubSpot = Provider{
	Name: "HubSpot",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://app.hubspot.com/oauth/authorize",
		TokenURL:  "https://api.hubapi.com/oauth/v3/token",
		AuthStyle: oauth2.AuthStyleInParams,
	},
	RevokeURL:     "https://api.hubapi.com/oauth/v3/token/revoke",
	IntrospectURL: "https://api.hubapi.com/oauth/v3/token/introspect",
	APIURLs:       []string{"https://api.hubapi.com"},
	Introspect:    AuthStyle{Params: Params{"token": {"{access_token}"}}},
	Answer: Answer{Errors: []ErrorRule{
		{In: "status", Code: "BAD_REFRESH_TOKEN", Kind: KindLoginRequired},
		{In: "status", Code: "BAD_HUB", Kind: KindLoginRequired},
		{In: "status", Code: "BAD_AUTH_CODE", Kind: KindCodeRejected},
	}},
}
