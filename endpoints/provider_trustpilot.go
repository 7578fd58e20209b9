package endpoints

import "golang.org/x/oauth2"

// Trustpilot is the private API of https://www.trustpilot.com for business users. Access
// tokens last 100 hours and refresh tokens 30 days, and a refresh replaces both; one
// that comes too early too often is refused with 429. It takes no scopes.
//
// https://developers.trustpilot.com/authentication
var Trustpilot = Provider{
	Name: "Trustpilot",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://authenticate.trustpilot.com",
		TokenURL:  "https://api.trustpilot.com/v1/oauth/oauth-business-users-for-applications/accesstoken",
		AuthStyle: oauth2.AuthStyleInHeader,
	},
	RefreshURL: "https://api.trustpilot.com/v1/oauth/oauth-business-users-for-applications/refresh",
	APIURLs:    []string{"https://api.trustpilot.com", "https://invitations-api.trustpilot.com"},
	Consent:    Consent{PKCE: NoPKCE},
}
