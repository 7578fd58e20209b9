package endpoints

import (
	"time"

	"golang.org/x/oauth2"
)

// Instagram is the API of https://www.instagram.com with Instagram Login, from a
// long-lived token on. An exchange gives a token of one hour, which the program has to
// swap for one of 60 days before it saves it: a GET of
// https://graph.instagram.com/access_token with grant_type=ig_exchange_token,
// client_secret and access_token. The swapped token is its own refresh token; it can be
// refreshed when it is 24 hours old, as long as it lives.
//
// https://developers.facebook.com/docs/instagram-platform/instagram-api-with-instagram-login/business-login
var Instagram = Provider{
	Name: "Instagram",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://www.instagram.com/oauth/authorize",
		TokenURL:  "https://api.instagram.com/oauth/access_token",
		AuthStyle: oauth2.AuthStyleInParams,
	},
	RefreshURL: "https://graph.instagram.com/refresh_access_token",
	APIURLs:    []string{"https://graph.instagram.com"},
	Consent:    Consent{PKCE: NoPKCE},
	Refresh:    refreshByAccessToken("ig_refresh_token"),
	Answer: Answer{
		TokenIn:         "data",
		Names:           map[string]string{"refresh_token": "access_token"},
		DefaultLifetime: time.Hour,
		Errors:          metaTokenErrors,
	},
	API: API{Errors: metaAPIErrors},
}

// refreshByAccessToken is how Instagram and Threads refresh long-lived tokens.
func refreshByAccessToken(grantType string) AuthStyle {
	return AuthStyle{
		Method: "GET",
		Params: Params{
			"grant_type":    {grantType},
			"access_token":  {"{refresh_token}"},
			"client_id":     nil,
			"client_secret": nil,
		},
	}
}

// The errors that the platforms of Meta have in common.
//
// https://developers.facebook.com/docs/graph-api/guides/error-handling
var (
	metaTokenErrors = []ErrorRule{
		{In: "error_message", Code: "Matching code was not found*", Kind: KindCodeRejected},
		{In: "error.code", Code: "190", Kind: KindLoginRequired},
	}
	metaAPIErrors = []ErrorRule{{Status: 400, In: "error.code", Code: "190", Kind: KindLoginRequired}}
)
