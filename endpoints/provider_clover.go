package endpoints

import "golang.org/x/oauth2"

// Clover is the REST API of https://www.clover.com, for an app that keeps a secret. The
// merchant is Token.Extra("merchant_id"), which the callback brings. Both tokens expire,
// and a refresh token is good for one use. North America is the default; elsewhere two
// variables are given, which belong together:
//
//	conf.AuthCodeURL(state, oauth2.SetAuthURLParam("www", "www.eu.clover.com"),
//		oauth2.SetAuthURLParam("api", "api.eu.clover.com"))
//
// https://docs.clover.com/dev/docs/use-oauth
var Clover = Provider{
	Name: "Clover",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://{www}/oauth/v2/authorize",
		TokenURL:  "https://{api}/oauth/v2/token",
		AuthStyle: oauth2.AuthStyleInParams,
	},
	RefreshURL: "https://{api}/oauth/v2/refresh",
	APIURLs:    []string{"https://{api}"},
	Vars: map[string][]string{
		"www": {"www.clover.com", "www.eu.clover.com", "www.la.clover.com", "sandbox.dev.clover.com"},
		"api": {"api.clover.com", "api.eu.clover.com", "api.la.clover.com", "apisandbox.dev.clover.com"},
	},
	Consent:  Consent{Params: Params{"scope": nil}, PKCE: NoPKCE},
	Callback: Callback{Keep: []string{"merchant_id", "employee_id"}},
	Style:    AuthStyle{Body: JSONBody, Params: Params{"grant_type": nil}},
	Exchange: AuthStyle{Params: Params{"redirect_uri": nil}},
	Refresh:  AuthStyle{Params: Params{"client_secret": nil}},
	Answer:   Answer{Names: map[string]string{"expires_at": "access_token_expiration"}},
}
