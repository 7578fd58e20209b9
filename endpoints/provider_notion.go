package endpoints

import "golang.org/x/oauth2"

// Notion is the API of https://www.notion.com. There are no scopes: the user picks
// pages. Each refresh gives a new refresh token and ends the old tokens. Requests to
// the API need a header Notion-Version of the program's own.
//
// https://developers.notion.com/docs/authorization
var Notion = Provider{
	Name: "Notion",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://api.notion.com/v1/oauth/authorize",
		TokenURL:  "https://api.notion.com/v1/oauth/token",
		AuthStyle: oauth2.AuthStyleInHeader,
	},
	RevokeURL:     "https://api.notion.com/v1/oauth/revoke",
	IntrospectURL: "https://api.notion.com/v1/oauth/introspect",
	APIURLs:       []string{"https://api.notion.com"},
	Consent:       Consent{Params: Params{"owner": {"user"}}, PKCE: NoPKCE},
	Style:         AuthStyle{Body: JSONBody, Header: map[string]string{"Notion-Version": "2025-09-03"}},
	Revoke:        AuthStyle{Params: Params{"token": {"{access_token}"}}},
	Introspect:    AuthStyle{Params: Params{"token": {"{access_token}"}}},
}
