package endpoints

import "golang.org/x/oauth2"

// TaxRock is the tax account API of https://www.taxrock.com, and TaxRockSandbox its
// sandbox.
//
// Access tokens live for about an hour. Their refresh token isn't replaced when it
// is used; it dies after about 100 days without use, and about a year after the
// consent. The authorization must use PKCE, as package pkce does.
var (
	TaxRock        = taxRock("https://login.taxrock.com", "https://delegate.api.taxrock.com")
	TaxRockSandbox = taxRock("https://login-demo.taxrock.com", "https://delegate-demo.api.taxrock.com")
)

func taxRock(login, api string) Provider {
	// The audience is the production API's in the sandbox too. A refresh without
	// it gives a token for something else.
	audience := Params{"audience": {"https://delegate.api.taxrock.com"}}
	return Provider{
		Name: "TaxRock",
		Endpoint: oauth2.Endpoint{
			AuthURL:   login + "/authorize",
			TokenURL:  login + "/oauth/token",
			AuthStyle: oauth2.AuthStyleInParams,
		},
		// Not in TaxRock's documentation: it is where the server that stands
		// behind its login revokes refresh tokens.
		RevokeURL: login + "/oauth/revoke",
		APIURLs:   []string{api},
		Consent:   Consent{Params: audience, Scopes: []string{"offline_access", "read:client-accounts"}},
		Style:     AuthStyle{Body: JSONBody},
		Refresh:   AuthStyle{Params: audience},
	}
}
