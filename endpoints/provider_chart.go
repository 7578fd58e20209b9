package endpoints

import "golang.org/x/oauth2"

// Chart is the tax document API of https://www.trychart.com.
//
// A token doesn't expire; it lives until it is revoked. Chart knows no scopes. For
// its embedded flow, which must not send a redirect_uri, see [Config.Exchange]. What it
// sends beside a token is a chart.Connection, and chart.Async has an exchange answered
// sooner.
// Chart's reference names another host, https://api.trychart.com: to use it, copy
// Chart and change Endpoint.TokenURL, RevokeURL, IntrospectURL and APIURLs.
//
// https://docs.trychart.com
var Chart = Provider{
	Name: "Chart",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://connect.trychart.com",
		TokenURL:  "https://api.trychartapi.com/auth/token",
		AuthStyle: oauth2.AuthStyleInParams,
	},
	RevokeURL:     "https://api.trychartapi.com/disconnect",
	IntrospectURL: "https://api.trychartapi.com/introspect",
	APIURLs:       []string{"https://api.trychartapi.com"},
	Vars:          map[string][]string{"x-chart-async": {"", "true"}},
	Consent:       Consent{Params: Params{"response_type": nil, "scope": nil}, PKCE: NoPKCE},
	Style:         AuthStyle{Body: JSONBody},
	Exchange: AuthStyle{
		Params: Params{"grant_type": nil},
		Header: map[string]string{"x-chart-async": "{x-chart-async}"},
	},
	Revoke:     AuthStyle{Auth: AccessTokenAuth},
	Introspect: AuthStyle{Method: "GET", Auth: AccessTokenAuth},
}
