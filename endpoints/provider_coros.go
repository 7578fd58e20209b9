package endpoints

import (
	"encoding/json"

	"golang.org/x/oauth2"
)

// COROS is the partner API of https://www.coros.com. Tokens last 30 days, and a refresh
// answers without any: it makes the same tokens last 30 days more. Most of its API takes
// the token in the query, which a client can't do: use Source.Token. The user is
// Token.Extra("openId").
//
// https://open.coros.com
var COROS = Provider{
	Name: "COROS",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://open.coros.com/oauth2/authorize",
		TokenURL:  "https://open.coros.com/oauth2/accesstoken",
		AuthStyle: oauth2.AuthStyleInParams,
	},
	RefreshURL: "https://open.coros.com/oauth2/refresh-token",
	APIURLs:    []string{"https://open.coros.com"},
	Consent:    Consent{Params: Params{"scope": nil}, PKCE: NoPKCE},
	Callback:   Callback{Errors: []ErrorRule{{Kind: KindDenied}}},
	Answer: Answer{
		Names:   map[string]string{"error": "result", "error_description": "message"},
		Success: map[string]string{"result": "0000"},
	},
	Response: extendCOROS,
}

// extendCOROS gives a good answer to a refresh the tokens that live on.
func extendCOROS(r *Response) error {
	if r.Grant != "refresh_token" || r.Members["result"] != "0000" || r.Members["access_token"] != nil {
		return nil
	}
	r.Members["access_token"] = r.Value("access_token")
	r.Members["refresh_token"] = r.Value("refresh_token")
	r.Members["expires_in"] = json.Number("2592000") // seconds
	return nil
}
