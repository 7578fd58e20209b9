package endpoints

import "golang.org/x/oauth2"

// WeChat is the login of websites with https://open.weixin.qq.com. Access tokens last
// two hours, refresh tokens 30 days, after which the user has to log in again. The user
// is Token.Extra("openid"). The API takes the token in the query, with the openid, which
// a client can't do: there are no APIURLs, and a program uses the token itself.
//
// https://developers.weixin.qq.com/doc/oplatform/Website_App/WeChat_Login/Wechat_Login.html
var WeChat = Provider{
	Name: "WeChat",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://open.weixin.qq.com/connect/qrconnect#wechat_redirect",
		TokenURL:  "https://api.weixin.qq.com/sns/oauth2/access_token",
		AuthStyle: oauth2.AuthStyleInParams,
	},
	RefreshURL: "https://api.weixin.qq.com/sns/oauth2/refresh_token",
	Consent: Consent{
		Params:         Params{"appid": {"{client_id}"}},
		Scopes:         []string{"snsapi_login"},
		ScopeSeparator: ",",
		PKCE:           NoPKCE,
	},
	Callback: Callback{Errors: []ErrorRule{{Kind: KindDenied}}},
	Style: AuthStyle{
		Method: "GET",
		Params: Params{"appid": {"{client_id}"}, "secret": {"{client_secret}"}},
	},
	Exchange: AuthStyle{Params: Params{"redirect_uri": nil}},
	Refresh:  AuthStyle{Params: Params{"secret": nil}},
	Answer: Answer{
		Names: map[string]string{"error": "errcode", "error_description": "errmsg"},
		Errors: []ErrorRule{
			{Code: "40029", Kind: KindCodeRejected},
			{Code: "40163", Kind: KindCodeRejected},
			{Code: "40030", Kind: KindLoginRequired},
			{Code: "42002", Kind: KindLoginRequired},
		},
	},
}
