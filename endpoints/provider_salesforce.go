package endpoints

import "golang.org/x/oauth2"

// Salesforce is the API of the org that the user logs in to, which is
// Token.Extra("instance_url"). The variable "login" may be given the host of a sandbox
// or of a My Domain:
//
//	conf.AuthCodeURL(state, oauth2.SetAuthURLParam("login", "test.salesforce.com"))
//
// Tokens have no lifetime in the answer: the org's session settings end them, and the
// API says so. A refresh token needs the scope refresh_token or offline_access; whether
// it changes with a refresh is up to the app's settings.
//
// https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_web_server_flow.htm
var Salesforce = Provider{
	Name: "Salesforce",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://{login}/services/oauth2/authorize",
		TokenURL:  "https://{login}/services/oauth2/token",
		AuthStyle: oauth2.AuthStyleInParams,
	},
	RevokeURL: "https://{login}/services/oauth2/revoke",
	APIURLs:   []string{"{instance_url}"},
	Vars: map[string][]string{
		"login":        {"login.salesforce.com", "test.salesforce.com", "*.my.salesforce.com", "*.*.my.salesforce.com"},
		"instance_url": {"https://*.salesforce.com", "https://*.my.salesforce.com", "https://*.*.my.salesforce.com"},
	},
	API: API{Errors: []ErrorRule{
		{Status: 401, In: "message", Code: "*Connected app is not attached to Agent*", Kind: KindClientRejected},
		{Status: 401, In: "message", Code: "*This session is not valid for use with the REST API*", Kind: KindClientRejected},
	}},
}
