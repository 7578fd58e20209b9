package endpoints

import "golang.org/x/oauth2/endpoints"

// Asana is the API of https://asana.com. The user is Token.Extra("data"). Access tokens
// last an hour, and refreshes don't replace the refresh token.
//
// https://developers.asana.com/docs/oauth
var Asana = Provider{
	Name:          "Asana",
	Endpoint:      endpoints.Asana,
	RevokeURL:     "https://app.asana.com/-/oauth_revoke",
	IntrospectURL: "https://app.asana.com/-/token_info",
	APIURLs:       []string{"https://app.asana.com/api/1.0"},
	Introspect:    AuthStyle{Params: Params{"client_id": nil, "client_secret": nil}},
}
