package endpoints

import "golang.org/x/oauth2"

// PostHog is the API of https://posthog.com, in both of its regions. A client has no
// secret: its id is the URL of a document about it on a domain of its own. PKCE is required.
// Each refresh replaces the refresh token, and using an old one after two minutes ends the
// connection.
//
// https://posthog.com/docs/api/oauth
var PostHog = Provider{
	Name: "PostHog",
	Endpoint: oauth2.Endpoint{
		AuthURL:  "https://oauth.posthog.com/oauth/authorize/",
		TokenURL: "https://oauth.posthog.com/oauth/token/",
	},
	RevokeURL: "https://oauth.posthog.com/oauth/revoke/",
	APIURLs:   []string{"https://us.posthog.com", "https://eu.posthog.com"},
	Style:     AuthStyle{Auth: PublicClient},
}
