package endpoints

import "golang.org/x/oauth2"

// Figma is the REST API of https://www.figma.com. A code lasts 30 seconds, an access
// token 90 days. A refresh gives no new refresh token, and ends the old access token at
// once. The user is Token.Extra("user_id_string").
//
// https://developers.figma.com/docs/rest-api/authentication
var Figma = Provider{
	Name: "Figma",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://www.figma.com/oauth",
		TokenURL:  "https://api.figma.com/v1/oauth/token",
		AuthStyle: oauth2.AuthStyleInHeader,
	},
	RefreshURL: "https://api.figma.com/v1/oauth/refresh",
	APIURLs:    []string{"https://api.figma.com"},
	Refresh:    AuthStyle{Params: Params{"grant_type": nil}},
	API: API{Errors: []ErrorRule{
		{Status: 403, In: "err", Code: "Token expired", Kind: KindTokenRejected},
		{Status: 403, In: "err", Code: "Invalid token", Kind: KindTokenRejected},
	}},
}
