package endpoints

import "golang.org/x/oauth2"

// Sentry is the API of https://sentry.io for a public integration with that slug. Its
// consent page installs the integration in an organization. The installation that the
// callback names is part of the token URL; the organization is Token.Extra("orgSlug").
// Access tokens last eight hours, and a refresh replaces both tokens. The redirect URL
// is the one that the integration is registered with.
//
// https://docs.sentry.io/organization/integrations/integration-platform/public-integration
func Sentry(slug string) Provider {
	return Provider{
		Name: "Sentry",
		Endpoint: oauth2.Endpoint{
			AuthURL:   "https://sentry.io/sentry-apps/" + slug + "/external-install/",
			TokenURL:  "https://sentry.io/api/0/sentry-app-installations/{installationId}/authorizations/",
			AuthStyle: oauth2.AuthStyleInParams,
		},
		APIURLs: []string{"https://sentry.io/api/0", "https://us.sentry.io/api/0", "https://de.sentry.io/api/0"},
		Vars:    map[string][]string{"installationId": {"*"}},
		Consent: Consent{
			Params: Params{"client_id": nil, "redirect_uri": nil, "response_type": nil, "scope": nil},
			PKCE:   NoPKCE,
		},
		Callback: Callback{Keep: []string{"installationId", "orgSlug"}},
		Style:    AuthStyle{Body: JSONBody},
		Exchange: AuthStyle{Params: Params{"redirect_uri": nil}},
		Answer: Answer{Names: map[string]string{
			"access_token": "token", "refresh_token": "refreshToken", "expires_at": "expiresAt",
		}},
	}
}
