// Package ledgerly is an example of a package that wraps one provider: it exports the
// definition, what the provider sends beside a token as a type, and a client. Ledgerly
// doesn't exist. Its documentation is in docs/write-a-provider.md, which takes this
// package apart.
package ledgerly

import (
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// Provider is the bookkeeping API of Ledgerly. Each organization has a region, which the
// callback names. Access tokens live for half an hour, and a refresh replaces the refresh
// token.
//
// https://docs.ledgerly.example/oauth (docs/write-a-provider.md quotes it)
var Provider = endpoints.Provider{
	Name: "Ledgerly",
	Endpoint: oauth2.Endpoint{
		AuthURL:  "https://login.ledgerly.example/connect",
		TokenURL: "https://{region}.ledgerly.example/oauth/token",
	},
	RevokeURL: "https://{region}.ledgerly.example/oauth/revoke",
	APIURLs:   []string{"https://{region}.ledgerly.example"},
	Vars:      map[string][]string{"region": {"eu", "us"}},
	Consent: endpoints.Consent{
		Params:         endpoints.Params{"app_id": {"{client_id}"}},
		ScopeSeparator: ",",
	},
	Callback: endpoints.Callback{
		Keep:   []string{"region"},
		Errors: []endpoints.ErrorRule{{Code: "user_cancelled", Kind: endpoints.KindDenied}},
	},
	Style: endpoints.AuthStyle{
		Body:   endpoints.JSONBody,
		Params: endpoints.Params{"app_id": {"{client_id}"}, "app_secret": {"{client_secret}"}},
	},
	Exchange: endpoints.AuthStyle{Params: endpoints.Params{"grant_type": nil}},
	Answer: endpoints.Answer{
		TokenIn: "data",
		Names:   map[string]string{"expires_in": "ttl", "error": "problem.code", "error_description": "problem.text"},
		Errors:  []endpoints.ErrorRule{{Code: "TOKEN_REVOKED", Kind: endpoints.KindLoginRequired}},
	},
	API: endpoints.API{
		Header: map[string]string{"X-Ledgerly-Token": "{access_token}"},
		Errors: []endpoints.ErrorRule{{Status: 403, Code: "TOKEN_EXPIRED", Kind: endpoints.KindTokenRejected}},
	},
}

// Organization is what Ledgerly sends beside a token.
type Organization struct {
	ID     string `json:"org_id"`
	Name   string `json:"org_name"`
	Region string `json:"region"` // from the callback
}

// OrganizationOf returns the organization that a token is for: one that was just
// exchanged, or a stored one.
func OrganizationOf(t *oauth2.Token) (Organization, error) {
	var kept struct {
		Organization
		Data Organization `json:"data"`
	}
	err := endpoints.Metadata(t, &kept)
	kept.Data.Region = kept.Region
	return kept.Data, err
}

// Config returns a client of Ledgerly, for pkce.Flow and tokensource.Manager.
func Config(clientID, clientSecret, redirectURL string, scopes ...string) *endpoints.Config {
	return Provider.Config(oauth2.Config{
		ClientID: clientID, ClientSecret: clientSecret, RedirectURL: redirectURL, Scopes: scopes,
	})
}
