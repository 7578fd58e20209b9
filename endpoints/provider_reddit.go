package endpoints

import "golang.org/x/oauth2"

// Reddit is the API of https://www.reddit.com. Access tokens last an hour. Requests
// need a User-Agent of the program's own, or they are limited harshly.
//
// https://github.com/reddit-archive/reddit/wiki/OAuth2
var Reddit = Provider{
	Name: "Reddit",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://www.reddit.com/api/v1/authorize",
		TokenURL:  "https://www.reddit.com/api/v1/access_token",
		AuthStyle: oauth2.AuthStyleInHeader,
	},
	RevokeURL: "https://www.reddit.com/api/v1/revoke_token",
	APIURLs:   []string{"https://oauth.reddit.com"},
	Consent:   Consent{Params: Params{"duration": {"permanent"}}, PKCE: NoPKCE},
	Answer:    Answer{Errors: []ErrorRule{{Status: 400, In: "error", Code: "400", Kind: KindLoginRequired}}},
}
