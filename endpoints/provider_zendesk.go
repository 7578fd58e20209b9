package endpoints

import "golang.org/x/oauth2"

// Zendesk is the API of an account of https://www.zendesk.com. Its subdomain is the
// variable "subdomain", as in oauth2.SetAuthURLParam("subdomain", "acme"). Access tokens
// last as long as the request asks for, here a day of at most two; a refresh token
// lasts 30 days, and each refresh replaces it.
//
// https://developer.zendesk.com/api-reference/ticketing/oauth/grant_type_tokens
var Zendesk = Provider{
	Name: "Zendesk",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://{subdomain}.zendesk.com/oauth/authorizations/new",
		TokenURL:  "https://{subdomain}.zendesk.com/oauth/tokens",
		AuthStyle: oauth2.AuthStyleInParams,
	},
	APIURLs:  []string{"https://{subdomain}.zendesk.com/api/v2"},
	Vars:     map[string][]string{"subdomain": {"*"}},
	Exchange: AuthStyle{Params: zendeskLifetime},
	Refresh:  AuthStyle{Params: zendeskLifetime},
}

var zendeskLifetime = Params{"expires_in": {"86400"}} // seconds
