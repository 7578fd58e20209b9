package endpoints

import "golang.org/x/oauth2"

// StripeConnect is the API of https://stripe.com for an account that connects to a
// platform. The client's secret is the platform's secret API key. The account is
// Token.Extra("stripe_user_id"), which a revocation needs. Tokens don't expire; the
// refresh token is for one of another mode or a lesser scope.
//
// https://docs.stripe.com/connect/oauth-reference
var StripeConnect = Provider{
	Name: "Stripe Connect",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://connect.stripe.com/oauth/authorize",
		TokenURL:  "https://connect.stripe.com/oauth/token",
		AuthStyle: oauth2.AuthStyleInParams,
	},
	RevokeURL: "https://connect.stripe.com/oauth/deauthorize",
	APIURLs:   []string{"https://api.stripe.com/v1"},
	Vars:      map[string][]string{"stripe_user_id": {"*"}},
	Revoke:    AuthStyle{Params: Params{"token": nil, "stripe_user_id": {"{stripe_user_id}"}}},
}
