package endpoints

import "golang.org/x/oauth2"

// Slack is the Web API of https://slack.com, with the token of the bot. Its tokens
// last until they are revoked, unless the app has token rotation turned on: then they
// last 12 hours, and each refresh token is good for one use. The token of the user,
// which is issued as well if the consent had a user_scope, is in the object
// Token.Extra("authed_user").
//
// https://docs.slack.dev/authentication/installing-with-oauth
var Slack = Provider{
	Name: "Slack",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://slack.com/oauth/v2/authorize",
		TokenURL:  "https://slack.com/api/oauth.v2.access",
		AuthStyle: oauth2.AuthStyleInParams,
	},
	RevokeURL: "https://slack.com/api/auth.revoke",
	APIURLs:   []string{"https://slack.com/api"},
	Consent:   Consent{ScopeSeparator: ",", PKCE: NoPKCE},
	Revoke:    AuthStyle{Auth: AccessTokenAuth},
	Answer:    Answer{Success: map[string]string{"ok": "true"}},
	API: API{Errors: []ErrorRule{
		{Status: 200, In: "error", Code: "token_expired", Kind: KindTokenRejected},
		{Status: 200, In: "error", Code: "token_revoked", Kind: KindTokenRejected},
		{Status: 200, In: "error", Code: "account_inactive", Kind: KindLoginRequired},
	}},
}

// SlackUser is [Slack] with the token of the user, for scopes that are a user's.
//
// https://docs.slack.dev/authentication/installing-with-oauth
var SlackUser = slackUser()

func slackUser() Provider {
	p := Slack
	p.Name = "Slack user"
	p.Consent.Params = Params{"user_scope": {"{scope}"}}
	p.Answer.TokenIn = "authed_user" // a refresh answers without it
	return p
}
