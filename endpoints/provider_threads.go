package endpoints

import (
	"time"

	"golang.org/x/oauth2"
)

// Threads is the API of https://www.threads.net, from a long-lived token on. An
// exchange gives a token of one hour, which the program has to swap for one of 60 days
// before it saves it: a GET of https://graph.threads.net/access_token with
// grant_type=th_exchange_token, client_secret and access_token. The swapped token is its
// own refresh token; it can be refreshed when it is 24 hours old, as long as it lives.
// The scope threads_basic is required.
//
// https://developers.facebook.com/docs/threads/get-started/get-access-tokens-and-permissions
var Threads = Provider{
	Name: "Threads",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://threads.net/oauth/authorize",
		TokenURL:  "https://graph.threads.net/oauth/access_token",
		AuthStyle: oauth2.AuthStyleInParams,
	},
	RefreshURL: "https://graph.threads.net/refresh_access_token",
	APIURLs:    []string{"https://graph.threads.net"},
	Consent:    Consent{Scopes: []string{"threads_basic"}, PKCE: NoPKCE},
	Refresh:    refreshByAccessToken("th_refresh_token"),
	Answer: Answer{
		Names:           map[string]string{"refresh_token": "access_token"},
		DefaultLifetime: time.Hour,
		Errors:          metaTokenErrors,
	},
	API: API{Errors: metaAPIErrors},
}
