package endpoints

import "golang.org/x/oauth2"

// MyAnimeList is the API of https://myanimelist.net, which takes plain code challenges
// only and has no scopes to ask for.
//
// https://myanimelist.net/apiconfig/references/authorization
var MyAnimeList = Provider{
	Name: "MyAnimeList",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://myanimelist.net/v1/oauth2/authorize",
		TokenURL:  "https://myanimelist.net/v1/oauth2/token",
		AuthStyle: oauth2.AuthStyleInParams,
	},
	APIURLs: []string{"https://api.myanimelist.net/v2"},
	Consent: Consent{PKCE: PlainPKCE},
}
