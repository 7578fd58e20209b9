package endpoints

import "golang.org/x/oauth2"

// Facebook is the Graph API of https://www.facebook.com for a user. There are no refresh
// tokens: a token that lives is swapped for one of about 60 days, so that a connection
// that isn't used for so long needs the user again. The URLs name no version of the API,
// which means the oldest that the app may use. Revoking takes back all permissions.
//
// https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow
var Facebook = Provider{
	Name: "Facebook",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://www.facebook.com/dialog/oauth",
		TokenURL:  "https://graph.facebook.com/oauth/access_token",
		AuthStyle: oauth2.AuthStyleInParams,
	},
	RevokeURL: "https://graph.facebook.com/me/permissions",
	APIURLs:   []string{"https://graph.facebook.com"},
	Consent:   Consent{PKCE: NoPKCE},
	Refresh: AuthStyle{Params: Params{
		"grant_type":        {"fb_exchange_token"},
		"fb_exchange_token": {"{refresh_token}"},
	}},
	Revoke: AuthStyle{Method: "DELETE", Auth: AccessTokenAuth},
	Answer: Answer{
		Names: map[string]string{"refresh_token": "access_token"},
		Errors: []ErrorRule{
			{In: "error.error_subcode", Code: "36009", Kind: KindCodeRejected},
			{In: "error.code", Code: "190", Kind: KindLoginRequired},
		},
	},
	API: API{Errors: metaAPIErrors},
}
