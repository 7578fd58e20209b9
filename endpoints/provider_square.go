package endpoints

import "golang.org/x/oauth2"

// Square is the API of https://squareup.com, and SquareSandbox its sandbox. The seller
// is Token.Extra("merchant_id"). Access tokens last 30 days, refresh tokens don't
// expire and stay the same. A revocation ends all tokens of the seller for the
// application. In production the option "session", "false" makes sellers log in.
//
// https://developer.squareup.com/docs/oauth-api/overview
var (
	Square        = square("Square", "https://connect.squareup.com")
	SquareSandbox = square("Square Sandbox", "https://connect.squareupsandbox.com")
)

func square(name, origin string) Provider {
	return Provider{
		Name: name,
		Endpoint: oauth2.Endpoint{
			AuthURL:   origin + "/oauth2/authorize",
			TokenURL:  origin + "/oauth2/token",
			AuthStyle: oauth2.AuthStyleInParams,
		},
		RevokeURL: origin + "/oauth2/revoke",
		APIURLs:   []string{origin + "/v2"},
		Consent:   Consent{PKCE: NoPKCE},
		Style:     AuthStyle{Body: JSONBody},
		Revoke: AuthStyle{
			Header: map[string]string{"Authorization": "Client {client_secret}"},
			Params: Params{"token": nil, "access_token": {"{access_token}"}},
		},
		Answer: Answer{Names: map[string]string{"expires_at": "expires_at"}},
	}
}
