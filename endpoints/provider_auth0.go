package endpoints

import "golang.org/x/oauth2"

// Auth0 is the API at apiURL whose identifier is audience, with tokens of the tenant at
// that domain, such as "example.eu.auth0.com" or one of your own. Refresh tokens come
// with the scope offline_access, if the API allows it, and are replaced at each refresh
// if the application is set to rotate them.
//
// https://auth0.com/docs/api/authentication
func Auth0(domain, audience, apiURL string) Provider {
	return Provider{
		Name:   "Auth0",
		Issuer: "https://" + domain + "/",
		Endpoint: oauth2.Endpoint{
			AuthURL:       "https://" + domain + "/authorize",
			TokenURL:      "https://" + domain + "/oauth/token",
			DeviceAuthURL: "https://" + domain + "/oauth/device/code",
			AuthStyle:     oauth2.AuthStyleInParams,
		},
		RevokeURL: "https://" + domain + "/oauth/revoke",
		APIURLs:   []string{apiURL},
		Consent:   Consent{Params: Params{"audience": {audience}}, Scopes: []string{"offline_access"}},
		Revoke:    AuthStyle{Body: JSONBody},
		Answer:    Answer{Errors: []ErrorRule{{Status: 200, Code: "invalid_request", Kind: KindLoginRequired}}}, // a revocation's, of a dead token
	}
}
