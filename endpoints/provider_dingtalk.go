package endpoints

import "golang.org/x/oauth2"

// DingTalk is the API of https://www.dingtalk.com for a user. Access tokens last two
// hours, refresh tokens 30 days. With the scope "openid corpid" the user chooses an
// organization, which is Token.Extra("corpId").
//
// https://open.dingtalk.com/document/orgapp/obtain-user-token
var DingTalk = Provider{
	Name: "DingTalk",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://login.dingtalk.com/oauth2/auth",
		TokenURL:  "https://api.dingtalk.com/v1.0/oauth2/userAccessToken",
		AuthStyle: oauth2.AuthStyleInParams,
	},
	APIURLs:  []string{"https://api.dingtalk.com"},
	Consent:  Consent{Params: Params{"prompt": {"consent"}}, Scopes: []string{"openid"}, PKCE: NoPKCE},
	Callback: Callback{Names: map[string]string{"code": "authCode"}},
	Style: AuthStyle{
		Body: JSONBody,
		Params: Params{
			"clientId": {"{client_id}"}, "clientSecret": {"{client_secret}"},
			"grantType": {"{grant_type}"}, "refreshToken": {"{refresh_token}"},
		},
	},
	Exchange: AuthStyle{Params: Params{"redirect_uri": nil}},
	Answer: Answer{
		Names:  map[string]string{"access_token": "accessToken", "refresh_token": "refreshToken", "expires_in": "expireIn"},
		Errors: []ErrorRule{{Code: "invalidParameter.authCode.*", Kind: KindCodeRejected}},
	},
	API: API{Header: map[string]string{"x-acs-dingtalk-access-token": "{access_token}"}},
}
