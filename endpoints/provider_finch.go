package endpoints

import "golang.org/x/oauth2"

// Finch is the payroll API of https://www.tryfinch.com.
//
// oauth2.Config.Scopes become Finch's products. A token doesn't expire; it lives
// until it is revoked or the employer has to reconnect, which [Config.Introspect]
// tells. For the embedded flow of Finch Connect, which must not send a redirect_uri,
// see [Config.Exchange]. What it sends beside a token is a finch.Connection.
//
// https://developer.tryfinch.com/api-reference/management/create-access-token
var Finch = Provider{
	Name: "Finch",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://connect.tryfinch.com/authorize",
		TokenURL:  "https://api.tryfinch.com/auth/token",
		AuthStyle: oauth2.AuthStyleInParams,
	},
	RevokeURL:     "https://api.tryfinch.com/disconnect",
	IntrospectURL: "https://api.tryfinch.com/introspect",
	APIURLs:       []string{"https://api.tryfinch.com"},
	Consent: Consent{
		Params: Params{"products": {"{scope}"}, "response_type": nil},
		PKCE:   NoPKCE,
	},
	Style:      AuthStyle{Body: JSONBody, Header: finchVersion},
	Exchange:   AuthStyle{Params: Params{"grant_type": nil}},
	Revoke:     AuthStyle{Auth: AccessTokenAuth},
	Introspect: AuthStyle{Method: "GET", Auth: AccessTokenAuth},
	Answer: Answer{
		// {"code": 400, "name": "invalid_grant", "finch_code": …, "message": …}
		Names: map[string]string{"error": "finch_code"},
		Errors: []ErrorRule{
			{Code: "reauthenticate_user", Kind: KindLoginRequired},
			{Code: "account_setup_required", Kind: KindLoginRequired},
			{Code: "authentication*", Kind: KindLoginRequired}, // with "_error" after it or without
			{Code: "unauthorized_request*", Kind: KindLoginRequired},
			{In: "connection_status.status", Code: "reauth", Kind: KindLoginRequired}, // this and the next two: introspection
			{In: "connection_status.status", Code: "error_no_account_setup", Kind: KindLoginRequired},
			{In: "connection_status.status", Code: "error_permissions", Kind: KindInsufficientScope},
		},
	},
	API: API{
		Header: finchVersion,
		Errors: []ErrorRule{
			{Status: 401, Code: "reauthenticate_user", Kind: KindLoginRequired},
			{Status: 401, Code: "account_setup_required", Kind: KindLoginRequired},
		},
	},
}

var finchVersion = map[string]string{"Finch-API-Version": "2020-09-17"}
