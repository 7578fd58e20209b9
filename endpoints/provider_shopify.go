package endpoints

import "golang.org/x/oauth2"

// Shopify is the Admin API of one shop, which is the variable "shop":
//
//	conf.AuthCodeURL(state, oauth2.SetAuthURLParam("shop", "tea-house.myshopify.com"))
//
// Its tokens are offline ones that expire: access tokens after an hour, refresh tokens
// after 90 days, and each refresh gives new ones. The program has to check the hmac of
// the callback. Revoking uninstalls the app.
//
// https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/offline-access-tokens
var Shopify = Provider{
	Name: "Shopify",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://{shop}/admin/oauth/authorize",
		TokenURL:  "https://{shop}/admin/oauth/access_token",
		AuthStyle: oauth2.AuthStyleInParams,
	},
	RevokeURL: "https://{shop}/admin/api_permissions/current.json",
	APIURLs:   []string{"https://{shop}/admin/api"},
	Vars:      map[string][]string{"shop": {"*.myshopify.com"}},
	Consent:   Consent{ScopeSeparator: ",", PKCE: NoPKCE},
	Callback:  Callback{Keep: []string{"shop"}},
	Exchange:  AuthStyle{Params: Params{"expiring": {"1"}}},
	Revoke:    AuthStyle{Method: "DELETE", Auth: AccessTokenAuth},
	Answer: Answer{Errors: []ErrorRule{
		{In: "error_description", Code: "The authorization code was not found*", Kind: KindCodeRejected},
		{In: "error_description", Code: "*requires an active refresh_token*", Kind: KindLoginRequired},
	}},
	API: API{Header: map[string]string{"X-Shopify-Access-Token": "{access_token}"}},
}
