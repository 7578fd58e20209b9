package endpoints

import "golang.org/x/oauth2/endpoints"

// Twitch is the API of https://www.twitch.tv. A token can end before its time, so
// Twitch wants it refreshed when a request is refused; an application that keeps a
// session has to ask https://id.twitch.tv/oauth2/validate about it every hour. A refresh
// may replace the refresh token. A revocation ends the access token.
//
// https://dev.twitch.tv/docs/authentication
var Twitch = Provider{
	Name:      "Twitch",
	Endpoint:  endpoints.Twitch,
	RevokeURL: "https://id.twitch.tv/oauth2/revoke",
	APIURLs:   []string{"https://api.twitch.tv/helix"},
	Revoke:    AuthStyle{Params: Params{"token": {"{access_token}"}, "client_secret": nil}},
	Answer: Answer{Errors: []ErrorRule{
		{Status: 400, In: "message", Code: "Invalid refresh token", Kind: KindLoginRequired},
		{Status: 400, In: "message", Code: "Invalid token", Kind: KindLoginRequired}, // of a revocation
	}},
	API: API{Header: map[string]string{"Client-Id": "{client_id}"}},
}
