package endpoints

import "golang.org/x/oauth2"

// Zoho is the API of the data center that has the user's account: the callback names
// its accounts server, the token that of its API. Access tokens last an hour, refresh
// tokens until they are revoked. A user has at most 20 refresh tokens; one more ends the
// oldest. Refreshing more than ten times in ten minutes is refused for a while.
//
// https://www.zoho.com/accounts/protocol/oauth/multi-dc.html
var Zoho = Provider{
	Name: "Zoho",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://accounts.zoho.com/oauth/v2/auth",
		TokenURL:  "{accounts-server}/oauth/v2/token",
		AuthStyle: oauth2.AuthStyleInParams,
	},
	RevokeURL: "{accounts-server}/oauth/v2/token/revoke",
	APIURLs:   []string{"{api_domain}"},
	Vars: map[string][]string{
		"accounts-server": {
			"https://accounts.zoho.com", "https://accounts.zoho.eu", "https://accounts.zoho.in",
			"https://accounts.zoho.com.au", "https://accounts.zoho.jp", "https://accounts.zohocloud.ca",
			"https://accounts.zoho.sa", "https://accounts.zoho.uk", "https://accounts.zoho.com.cn",
		},
		"api_domain": {
			"https://www.zohoapis.com", "https://www.zohoapis.eu", "https://www.zohoapis.in",
			"https://www.zohoapis.com.au", "https://www.zohoapis.jp", "https://www.zohoapis.ca",
			"https://www.zohoapis.sa", "https://www.zohoapis.uk", "https://www.zohoapis.com.cn",
		},
	},
	Consent:  Consent{Params: Params{"access_type": {"offline"}, "prompt": {"consent"}}, ScopeSeparator: ","},
	Callback: Callback{Keep: []string{"accounts-server"}},
	Revoke:   AuthStyle{Body: QueryBody, Params: Params{"client_id": nil, "client_secret": nil}},
	Answer: Answer{Errors: []ErrorRule{
		{In: "error_description", Code: "You have made too many requests continuously*", Kind: KindRateLimited},
	}},
	API: API{
		Header: map[string]string{"Authorization": "Zoho-oauthtoken {access_token}"},
		Errors: []ErrorRule{{Status: 401, In: "code", Code: "OAUTH_SCOPE_MISMATCH", Kind: KindInsufficientScope}},
	},
}
