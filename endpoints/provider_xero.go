package endpoints

import "golang.org/x/oauth2"

// Xero is the accounting API of https://www.xero.com. Requests name the organization in
// the header Xero-tenant-id; the application asks https://api.xero.com/connections for
// it. The scope offline_access brings a refresh token, which each refresh replaces.
// Access tokens last half an hour.
//
// https://developer.xero.com/documentation/guides/oauth2/auth-flow
var Xero = Provider{
	Name:   "Xero",
	Issuer: "https://identity.xero.com",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://login.xero.com/identity/connect/authorize",
		TokenURL:  "https://identity.xero.com/connect/token",
		AuthStyle: oauth2.AuthStyleInHeader,
	},
	RevokeURL: "https://identity.xero.com/connect/revocation",
	APIURLs:   []string{"https://api.xero.com"},
}
