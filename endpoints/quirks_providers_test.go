package endpoints_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// endpointOf has the URLs of a provider at one host.
func endpointOf(host string, style oauth2.AuthStyle) oauth2.Endpoint {
	return oauth2.Endpoint{AuthURL: "https://" + host + "/authorize", TokenURL: "https://" + host + "/token", AuthStyle: style}
}

const (
	inParams = oauth2.AuthStyleInParams
	inHeader = oauth2.AuthStyleInHeader
)

// shoplineRequest signs a request over its body, as Shopline wants it.
func shoplineRequest(r *endpoints.Request) error {
	body, err := json.Marshal(map[string]string{"code": r.Value("code")})
	if err != nil {
		return err
	}
	mac := hmac.New(sha256.New, []byte(r.Value("client_secret")))
	mac.Write(body)
	r.HTTP.Header.Set("Sign", hex.EncodeToString(mac.Sum(nil)))
	r.HTTP.Header.Set("Content-Type", "application/json")
	r.HTTP.Body = io.NopCloser(strings.NewReader(string(body)))
	return nil
}

// quirks has an example of each row of the table of what real providers do, but for
// those that are not about a request to the provider or its response.
var quirks = []quirk{
	{
		name: "Google",
		provider: endpoints.Provider{
			Endpoint: endpointOf("google.example", inParams),
			Consent:  endpoints.Consent{Params: endpoints.Params{"access_type": {"offline"}, "prompt": {"consent"}}},
		},
		scopes:   []string{"a", "b"},
		authURL:  "https://google.example/authorize?access_type=offline&client_id=id&code_challenge=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU&code_challenge_method=S256&prompt=consent&response_type=code&scope=a+b",
		exchange: "POST google.example/token\n(form)\nclient_id=id&client_secret=s3cret&code=c0de&grant_type=authorization_code",
		answer:   `200 {"access_token":"a1","refresh_token":"r1","expires_in":3599,"token_type":"Bearer","scope":"a b"}`,
		lifetime: 3599 * time.Second, accessToken: "a1",
		refresh:   "POST google.example/token\n(form)\nclient_id=id&client_secret=s3cret&grant_type=refresh_token&refresh_token=r1",
		refreshed: `200 {"access_token":"a2"}`, newToken: "a2", refreshToken: "r1",
		extra: `{"scope":"a b"}`,
	},
	{
		name: "Shopify, extra parameter at the exchange",
		provider: endpoints.Provider{
			Endpoint: endpointOf("shop.myshopify.example", inParams),
			Exchange: endpoints.AuthStyle{Params: endpoints.Params{"expiring": {"1"}}},
		},
		exchange:    "POST shop.myshopify.example/token\n(form)\nclient_id=id&client_secret=s3cret&code=c0de&expiring=1&grant_type=authorization_code",
		answer:      `200 {"access_token":"a1","scope":"write_orders"}`,
		accessToken: "a1", extra: `{"scope":"write_orders"}`,
	},
	{
		name: "Basecamp, extra parameters, no PKCE, no grant_type",
		provider: endpoints.Provider{
			Endpoint: endpointOf("37signals.example", inParams),
			Consent:  endpoints.Consent{Params: endpoints.Params{"type": {"web_server"}, "response_type": nil}, PKCE: endpoints.NoPKCE},
			Style:    endpoints.AuthStyle{Params: endpoints.Params{"grant_type": nil}},
			Exchange: endpoints.AuthStyle{Params: endpoints.Params{"type": {"web_server"}}},
			Refresh:  endpoints.AuthStyle{Params: endpoints.Params{"type": {"refresh"}}},
		},
		authURL:     "https://37signals.example/authorize?client_id=id&type=web_server",
		opts:        []oauth2.AuthCodeOption{oauth2.VerifierOption("verifier")},
		exchange:    "POST 37signals.example/token\n(form)\nclient_id=id&client_secret=s3cret&code=c0de&type=web_server",
		answer:      `200 {"access_token":"a1","refresh_token":"r1","expires_in":1209600}`,
		accessToken: "a1", lifetime: 1209600 * time.Second,
		refresh:   "POST 37signals.example/token\n(form)\nclient_id=id&client_secret=s3cret&refresh_token=r1&type=refresh",
		refreshed: `200 {"access_token":"a2"}`, newToken: "a2", refreshToken: "r1",
	},
	{
		name: "Linear, scopes with commas, default scopes",
		provider: endpoints.Provider{
			Endpoint: endpointOf("linear.example", inParams),
			Consent:  endpoints.Consent{Scopes: []string{"read", "write"}, ScopeSeparator: ",", PKCE: endpoints.NoPKCE},
		},
		authURL:     "https://linear.example/authorize?client_id=id&response_type=code&scope=read,write",
		exchange:    "POST linear.example/token\n(form)\nclient_id=id&client_secret=s3cret&code=c0de&grant_type=authorization_code",
		answer:      `200 {"access_token":"a1","scope":["read","write"]}`,
		accessToken: "a1", extra: `{"scope":["read","write"]}`,
	},
	{
		name: "Slack", // token inside of authed_user, error inside of 200, user scopes
		provider: endpoints.Provider{
			Endpoint:  endpointOf("slack.example", inParams),
			RevokeURL: "https://slack.example/revoke",
			Consent:   endpoints.Consent{Params: endpoints.Params{"user_scope": {"{scope}"}}, ScopeSeparator: ",", PKCE: endpoints.NoPKCE},
			Revoke:    endpoints.AuthStyle{Auth: endpoints.AccessTokenAuth},
			Answer:    endpoints.Answer{TokenIn: "authed_user", Success: map[string]string{"ok": "true"}},
		},
		scopes:      []string{"chat:write", "users:read"},
		authURL:     "https://slack.example/authorize?client_id=id&response_type=code&user_scope=chat%3Awrite,users%3Aread",
		exchange:    "POST slack.example/token\n(form)\nclient_id=id&client_secret=s3cret&code=c0de&grant_type=authorization_code",
		answer:      `200 {"ok":true,"app_id":"A1","authed_user":{"id":"U1","scope":"chat:write","access_token":"a1","token_type":"user"},"team":{"id":"T1"}}`,
		accessToken: "a1", extra: `{"ok":true,"app_id":"A1","authed_user":{"id":"U1","scope":"chat:write","access_token":"a1","token_type":"user"},"team":{"id":"T1"}}`,
		revoke: "POST slack.example/revoke\nAuthorization: Bearer a1",
	},
	{
		name:        "Reddit, credentials in the header",
		provider:    endpoints.Provider{Endpoint: endpointOf("reddit.example", inHeader)},
		exchange:    "POST reddit.example/token\nAuthorization: Basic aWQ6czNjcmV0\n(form)\ncode=c0de&grant_type=authorization_code",
		answer:      `200 {"access_token":"a1","refresh_token":"r1"}`,
		accessToken: "a1", refreshToken: "r1",
	},
	{
		name: "Notion, JSON and credentials in the header",
		provider: endpoints.Provider{
			Endpoint:  endpointOf("notion.example", inHeader),
			RevokeURL: "https://notion.example/revoke",
			Consent:   endpoints.Consent{Params: endpoints.Params{"owner": {"user"}}, PKCE: endpoints.NoPKCE},
			Style:     endpoints.AuthStyle{Body: endpoints.JSONBody, Header: map[string]string{"Notion-Version": "2022-06-28"}},
		},
		authURL:     "https://notion.example/authorize?client_id=id&owner=user&response_type=code",
		exchange:    "POST notion.example/token\nAuthorization: Basic aWQ6czNjcmV0\n(JSON)\nNotion-Version: 2022-06-28\n" + `{"code":"c0de","grant_type":"authorization_code"}`,
		answer:      `200 {"access_token":"a1","bot_id":"b1","workspace_id":"w1","duplicated_template_id":null}`,
		accessToken: "a1", extra: `{"bot_id":"b1","workspace_id":"w1","duplicated_template_id":null}`,
		revoke: "POST notion.example/revoke\nAuthorization: Basic aWQ6czNjcmV0\n(JSON)\nNotion-Version: 2022-06-28\n" + `{"token":"a1"}`,
	},
	{
		name: "credentials in both",
		provider: endpoints.Provider{
			Endpoint:  endpointOf("both.example", inHeader),
			RevokeURL: "https://both.example/revoke",
			Style:     endpoints.AuthStyle{Params: endpoints.Params{"client_id": {"{client_id}"}, "client_secret": {"{client_secret}"}}},
		},
		exchange:    "POST both.example/token\nAuthorization: Basic aWQ6czNjcmV0\n(form)\nclient_id=id&client_secret=s3cret&code=c0de&grant_type=authorization_code",
		answer:      `200 {"access_token":"a1"}`,
		accessToken: "a1",
		revoke:      "POST both.example/revoke\nAuthorization: Basic aWQ6czNjcmV0\n(form)\nclient_id=id&client_secret=s3cret&token=a1",
	},
	{
		name: "Clover, JSON, separate refresh URL without a secret, lifetime as unix seconds",
		provider: endpoints.Provider{
			Endpoint:   endpointOf("clover.example", inParams),
			RefreshURL: "https://clover.example/refresh",
			Style:      endpoints.AuthStyle{Body: endpoints.JSONBody, Params: endpoints.Params{"grant_type": nil}},
			Refresh:    endpoints.AuthStyle{Params: endpoints.Params{"client_secret": nil}},
			Answer:     endpoints.Answer{Names: map[string]string{"expires_at": "access_token_expiration"}},
		},
		exchange:    "POST clover.example/token\n(JSON)\n" + `{"client_id":"id","client_secret":"s3cret","code":"c0de"}`,
		answer:      `200 {"access_token":"a1","refresh_token":"r1","access_token_expiration":2524608000,"refresh_token_expiration":2524608001}`,
		accessToken: "a1", expiry: time.Unix(2524608000, 0),
		refresh:   "POST clover.example/refresh\n(JSON)\n" + `{"client_id":"id","refresh_token":"r1"}`,
		refreshed: `200 {"access_token":"a2","refresh_token":"r2","access_token_expiration":2524608000}`, newToken: "a2", refreshToken: "r2",
		extra: `{"access_token_expiration":2524608000,"refresh_token_expiration":2524608001}`,
	},
	{
		name: "Facebook, GET, refresh with the access token",
		provider: endpoints.Provider{
			Endpoint: endpointOf("facebook.example", inParams),
			Style:    endpoints.AuthStyle{Method: "GET"},
			Refresh:  endpoints.AuthStyle{Params: endpoints.Params{"grant_type": {"fb_exchange_token"}, "fb_exchange_token": {"{refresh_token}"}}},
			Answer:   endpoints.Answer{Names: map[string]string{"refresh_token": "access_token"}},
		},
		exchange:    "GET facebook.example/token?client_id=id&client_secret=s3cret&code=c0de&grant_type=authorization_code",
		answer:      `200 {"access_token":"a1","token_type":"bearer","expires_in":5184000}`,
		accessToken: "a1", lifetime: 5184000 * time.Second,
		refresh:   "GET facebook.example/token?client_id=id&client_secret=s3cret&fb_exchange_token=a1&grant_type=fb_exchange_token",
		refreshed: `200 {"access_token":"a2"}`, newToken: "a2", refreshToken: "a2",
		extra: `{}`,
	},
	{
		name: "Figma, separate refresh URL without grant_type, no new refresh token",
		provider: endpoints.Provider{
			Endpoint:   endpointOf("figma.example", inHeader),
			RefreshURL: "https://figma.example/v1/oauth/refresh",
			Refresh:    endpoints.AuthStyle{Params: endpoints.Params{"grant_type": nil}},
			Consent:    endpoints.Consent{ScopeSeparator: ","},
		},
		exchange:    "POST figma.example/token\nAuthorization: Basic aWQ6czNjcmV0\n(form)\ncode=c0de&grant_type=authorization_code",
		answer:      `200 {"user_id":12345678901234567,"access_token":"a1","refresh_token":"r1","expires_in":7776000}`,
		accessToken: "a1", lifetime: 7776000 * time.Second,
		refresh:   "POST figma.example/v1/oauth/refresh\nAuthorization: Basic aWQ6czNjcmV0\n(form)\nrefresh_token=r1",
		refreshed: `200 {"access_token":"a2","expires_in":7776000}`, newToken: "a2", refreshToken: "r1",
		extra: `{"user_id":"12345678901234567"}`,
	},
	{
		name: "TikTok, client_key everywhere",
		provider: endpoints.Provider{
			Endpoint:  endpointOf("tiktok.example", inParams),
			RevokeURL: "https://tiktok.example/revoke",
			Consent: endpoints.Consent{
				Params: endpoints.Params{"client_key": {"{client_id}"}}, ScopeSeparator: ",", PKCE: endpoints.NoPKCE,
			},
			Style: endpoints.AuthStyle{Params: endpoints.Params{"client_key": {"{client_id}"}}},
		},
		scopes:      []string{"user.info.basic", "video.list"},
		authURL:     "https://tiktok.example/authorize?client_key=id&response_type=code&scope=user.info.basic,video.list",
		exchange:    "POST tiktok.example/token\n(form)\nclient_key=id&client_secret=s3cret&code=c0de&grant_type=authorization_code",
		answer:      `200 {"access_token":"a1","refresh_token":"r1","expires_in":86400,"open_id":"o1"}`,
		accessToken: "a1", lifetime: 24 * time.Hour,
		refresh:   "POST tiktok.example/token\n(form)\nclient_key=id&client_secret=s3cret&grant_type=refresh_token&refresh_token=r1",
		refreshed: `200 {"access_token":"a2","refresh_token":"r2"}`, newToken: "a2", refreshToken: "r2",
		revoke: "POST tiktok.example/revoke\n(form)\nclient_key=id&client_secret=s3cret&token=a1",
		extra:  `{"open_id":"o1"}`,
	},
	{
		name: "TikTok for business",
		provider: endpoints.Provider{
			Endpoint: endpointOf("business.tiktok.example", inParams),
			Style: endpoints.AuthStyle{Body: endpoints.JSONBody, Params: endpoints.Params{
				"app_id": {"{client_id}"}, "secret": {"{client_secret}"}, "auth_code": {"{code}"}, "grant_type": nil,
			}},
			Answer: endpoints.Answer{
				TokenIn: "data", Success: map[string]string{"code": "0"},
				Errors: []endpoints.ErrorRule{{Code: "40110", Kind: endpoints.KindCodeRejected}},
			},
		},
		exchange:    "POST business.tiktok.example/token\n(JSON)\n" + `{"app_id":"id","auth_code":"c0de","secret":"s3cret"}`,
		answer:      `200 {"code":0,"message":"OK","request_id":"q1","data":{"access_token":"a1","advertiser_ids":["7"]}}`,
		accessToken: "a1", extra: `{"code":0,"message":"OK","request_id":"q1","data":{"access_token":"a1","advertiser_ids":["7"]}}`,
	},
	{
		name: "WeChat",
		provider: endpoints.Provider{
			Endpoint: oauth2.Endpoint{
				AuthURL:  "https://wechat.example/qrconnect#wechat_redirect",
				TokenURL: "https://wechat.example/access_token", AuthStyle: inParams,
			},
			RefreshURL: "https://wechat.example/refresh_token",
			Consent:    endpoints.Consent{Params: endpoints.Params{"appid": {"{client_id}"}}, PKCE: endpoints.NoPKCE},
			Style:      endpoints.AuthStyle{Method: "GET", Params: endpoints.Params{"appid": {"{client_id}"}, "secret": {"{client_secret}"}}},
			Refresh:    endpoints.AuthStyle{Params: endpoints.Params{"secret": nil}},
			Answer: endpoints.Answer{
				Success: map[string]string{"errcode": "0"},
				Errors: []endpoints.ErrorRule{
					{Code: "40029", Kind: endpoints.KindCodeRejected}, {Code: "40030", Kind: endpoints.KindLoginRequired},
				},
			},
		},
		scopes:      []string{"snsapi_login"},
		authURL:     "https://wechat.example/qrconnect?appid=id&response_type=code&scope=snsapi_login#wechat_redirect",
		exchange:    "GET wechat.example/access_token?appid=id&code=c0de&grant_type=authorization_code&secret=s3cret",
		answer:      `200 {"access_token":"a1","expires_in":7200,"refresh_token":"r1","openid":"o1","scope":"snsapi_login"}`,
		accessToken: "a1", lifetime: 2 * time.Hour,
		refresh:   "GET wechat.example/refresh_token?appid=id&grant_type=refresh_token&refresh_token=r1",
		refreshed: `200 {"access_token":"a2","refresh_token":"r1","expires_in":7200}`, newToken: "a2", refreshToken: "r1",
		extra: `{"openid":"o1","scope":"snsapi_login"}`,
	},
	{
		name: "Shopline, signed request, token in data.accessToken",
		provider: endpoints.Provider{
			Endpoint: endpointOf("shopline.example", inParams),
			Style:    endpoints.AuthStyle{Header: map[string]string{"Appkey": "{client_id}"}},
			Request:  shoplineRequest,
			Answer: endpoints.Answer{
				Names:   map[string]string{"access_token": "data.accessToken", "expires_at": "data.expireTime"},
				Success: map[string]string{"code": "200"},
			},
		},
		exchange:    "POST shopline.example/token\nAppkey: id\n(JSON)\nSign: 944d1bcb5c9076fa6c199dab4694b041890455a83d33792ce196baf2a71c1fd0\n" + `{"code":"c0de"}`,
		answer:      `200 {"code":200,"i18nCode":"SUCCESS","data":{"accessToken":"a1","expireTime":"2050-01-01T00:00:00.000+00:00","scope":"read"}}`,
		accessToken: "a1", expiry: time.Unix(2524608000, 0),
		extra: `{"code":200,"i18nCode":"SUCCESS","data":{"accessToken":"a1","expireTime":"2050-01-01T00:00:00.000+00:00","scope":"read"}}`,
	},
	{
		name: "Sentry, 201, renamed members, expiresAt",
		provider: endpoints.Provider{
			Endpoint: endpointOf("sentry.example", inParams),
			Style:    endpoints.AuthStyle{Body: endpoints.JSONBody},
			Answer:   endpoints.Answer{Names: map[string]string{"access_token": "token", "refresh_token": "refreshToken", "expires_at": "expiresAt"}},
		},
		exchange:    "POST sentry.example/token\n(JSON)\n" + `{"client_id":"id","client_secret":"s3cret","code":"c0de","grant_type":"authorization_code"}`,
		answer:      `201 {"id":"38","token":"a1","refreshToken":"r1","expiresAt":"2050-01-01T00:00:00.000Z","scopes":["org:read"]}`,
		accessToken: "a1", expiry: time.Unix(2524608000, 0),
		refresh:   "POST sentry.example/token\n(JSON)\n" + `{"client_id":"id","client_secret":"s3cret","grant_type":"refresh_token","refresh_token":"r1"}`,
		refreshed: `201 {"token":"a2","refreshToken":"r2","expiresAt":"2050-01-01T00:00:00.000Z"}`, newToken: "a2", refreshToken: "r2",
		extra: `{"id":"38","token":"a1","refreshToken":"r1","expiresAt":"2050-01-01T00:00:00.000Z","scopes":["org:read"]}`,
	},
	{
		name: "Fiserv, lifetime in milliseconds",
		provider: endpoints.Provider{
			Endpoint: endpointOf("fiserv.example", inParams), Answer: endpoints.Answer{LifetimeUnit: time.Millisecond},
		},
		exchange:    "POST fiserv.example/token\n(form)\nclient_id=id&client_secret=s3cret&code=c0de&grant_type=authorization_code",
		answer:      `200 {"access_token":"a1","expires_in":"900000"}`,
		accessToken: "a1", lifetime: 15 * time.Minute,
	},
	{
		name: "Jobber, lifetime that isn't told",
		provider: endpoints.Provider{
			Endpoint: endpointOf("jobber.example", inParams), Answer: endpoints.Answer{DefaultLifetime: time.Hour},
		},
		exchange:    "POST jobber.example/token\n(form)\nclient_id=id&client_secret=s3cret&code=c0de&grant_type=authorization_code",
		answer:      `200 {"access_token":"a1","refresh_token":"r1"}`,
		accessToken: "a1", lifetime: time.Hour, refreshToken: "r1",
	},
	{
		name: "COROS", // its refresh, which answers without a token, can't be said
		provider: endpoints.Provider{
			Endpoint: endpointOf("coros.example", inParams),
			Answer:   endpoints.Answer{Success: map[string]string{"result": "0000"}, Names: map[string]string{"error": "result"}},
		},
		exchange:    "POST coros.example/token\n(form)\nclient_id=id&client_secret=s3cret&code=c0de&grant_type=authorization_code",
		answer:      `200 {"access_token":"a1","refresh_token":"r1","openId":"o1","expires_in":2592000}`,
		accessToken: "a1", lifetime: 2592000 * time.Second, refreshToken: "r1", extra: `{"openId":"o1"}`,
	},
}
