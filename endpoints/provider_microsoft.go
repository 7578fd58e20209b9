package endpoints

import "golang.org/x/oauth2"

// Microsoft is Microsoft Graph, with accounts of the Microsoft identity platform. The
// variable "tenant" says whose: "common" (the default), "organizations", "consumers",
// or a tenant's id or domain. The scope offline_access brings a refresh token, which is
// replaced at each refresh while the old one stays good. A client that has a
// certificate instead of a secret sets Style.Auth to [PrivateKeyJWT]; another API of
// the platform, APIURLs.
//
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow
var Microsoft = Provider{
	Name: "Microsoft",
	Endpoint: oauth2.Endpoint{
		AuthURL:       "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize",
		TokenURL:      "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
		DeviceAuthURL: "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/devicecode",
	},
	APIURLs: []string{"https://graph.microsoft.com"},
	Vars:    map[string][]string{"tenant": {"common", "organizations", "consumers", "*"}},
}
