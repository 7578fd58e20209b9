package endpoints

import "golang.org/x/oauth2"

// QuickBooks is the Online Accounting API of https://quickbooks.intuit.com. The company
// is Token.Extra("realmId"), which the callback brings. Access tokens last an hour; a
// refresh gives a new refresh token about once a day.
//
// https://developer.intuit.com/app/developer/qbo/docs/develop/authentication-and-authorization/oauth-2.0
var QuickBooks = Provider{
	Name: "QuickBooks",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://appcenter.intuit.com/connect/oauth2",
		TokenURL:  "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer",
		AuthStyle: oauth2.AuthStyleInHeader,
	},
	RevokeURL: "https://developer.api.intuit.com/v2/oauth2/tokens/revoke",
	APIURLs:   []string{"https://quickbooks.api.intuit.com", "https://sandbox-quickbooks.api.intuit.com"},
	Consent:   Consent{PKCE: NoPKCE},
	Callback:  Callback{Keep: []string{"realmId"}},
	Revoke:    AuthStyle{Body: JSONBody},
}
