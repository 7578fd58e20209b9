package endpoints

import "golang.org/x/oauth2"

// Okta is the API of the Okta org at that domain, such as "example.okta.com", with
// tokens of its org authorization server: those of another server, such as "default",
// are for APIs of your own, and [Discover] makes a Provider of it. Refresh tokens come
// with the scope offline_access, and are replaced at each refresh if the application is
// set to rotate them.
//
// https://developer.okta.com/docs/concepts/auth-servers
func Okta(domain string) Provider {
	org := "https://" + domain
	return Provider{
		Name:   "Okta",
		Issuer: org,
		Endpoint: oauth2.Endpoint{
			AuthURL:       org + "/oauth2/v1/authorize",
			TokenURL:      org + "/oauth2/v1/token",
			DeviceAuthURL: org + "/oauth2/v1/device/authorize",
			AuthStyle:     oauth2.AuthStyleInHeader,
		},
		RevokeURL:     org + "/oauth2/v1/revoke",
		IntrospectURL: org + "/oauth2/v1/introspect",
		APIURLs:       []string{org + "/api/v1"},
		Consent:       Consent{Scopes: []string{"openid", "offline_access"}},
	}
}

// OktaWithKey is [Okta] for a client that authenticates with a key, which is given to
// [Config.WithKey] with its kid.
//
// https://developer.okta.com/docs/guides/build-self-signed-jwt
func OktaWithKey(domain string) Provider {
	p := Okta(domain)
	p.Endpoint.AuthStyle = oauth2.AuthStyleAutoDetect
	p.Style = AuthStyle{Auth: PrivateKeyJWT, Audience: p.Endpoint.TokenURL}
	return p
}
