package endpoints

import "golang.org/x/oauth2/endpoints"

// Discord is the API of https://discord.com. Access tokens last a week. A revocation
// ends all tokens of the authorization, whichever it names.
//
// https://docs.discord.com/developers/topics/oauth2
var Discord = Provider{
	Name:      "Discord",
	Endpoint:  endpoints.Discord,
	RevokeURL: "https://discord.com/api/oauth2/token/revoke",
	APIURLs:   []string{"https://discord.com/api"},
}
