package endpoints

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/assertion"
)

// Shopline is the Admin API of one store of https://www.shopline.com, whose handle, the
// first part of its domain, is the variable "handle". Access tokens last ten hours. There
// are no refresh tokens: a refresh names the store, and the old access token lives for five
// more minutes. Token requests are signed with the app secret; the program has to check the
// sign of the callback.
//
// https://developer.shopline.com/docs/apps/api-instructions-for-use/app-authorization
var Shopline = Provider{
	Name: "Shopline",
	Endpoint: oauth2.Endpoint{
		AuthURL:  "https://{handle}.myshopline.com/admin/oauth-web/#/oauth/authorize?",
		TokenURL: "https://{handle}.myshopline.com/admin/oauth/token/create",
	},
	RefreshURL: "https://{handle}.myshopline.com/admin/oauth/token/refresh",
	APIURLs:    []string{"https://{handle}.myshopline.com/admin/openapi"},
	Vars:       map[string][]string{"handle": {"*"}},
	Consent: Consent{
		Params: Params{
			"appKey":       {"{client_id}"},
			"responseType": {"{response_type}"},
			"redirectUri":  {"{redirect_uri}"},
			"customField":  {"{state}"},
		},
		ScopeSeparator: ",",
		PKCE:           NoPKCE,
	},
	Callback: Callback{Names: map[string]string{"state": "customField"}},
	Style: AuthStyle{
		Body:   JSONBody,
		Auth:   PublicClient,
		Params: Params{"grant_type": nil, "redirect_uri": nil, "refresh_token": nil},
		Header: map[string]string{"appkey": "{client_id}"},
	},
	Answer: Answer{
		TokenIn: "data",
		Names: map[string]string{
			"access_token": "accessToken", "refresh_token": "accessToken", "expires_at": "expireTime",
			"error": "i18nCode", "error_description": "message",
		},
		Success: map[string]string{"i18nCode": "SUCCESS"},
		Errors: []ErrorRule{
			{Code: "OAUTH_CODE_INVALID", Kind: KindCodeRejected},
			{Code: "STORE_NOT_INSTALL_APP", Kind: KindLoginRequired},
			{Code: "REQUEST_FREQUENTLY", Kind: KindRateLimited},
		},
	},
	Request: signShopline,
}

// signShopline signs the body and the time in milliseconds.
//
// https://developer.shopline.com/docs/apps/api-instructions-for-use/generate-and-verify-signatures
func signShopline(r *Request) error {
	var body []byte
	if r.Params.Has("code") {
		var err error
		if body, err = json.Marshal(map[string]string{"code": r.Params.Get("code")}); err != nil {
			return fmt.Errorf("the code has no JSON form: %w", err)
		}
	}
	timestamp := strconv.FormatInt(time.Now().UnixMilli(), 10)
	secret := []byte(r.Value("client_secret"))
	if err := assertion.CheckMACKey(secret); err != nil {
		return fmt.Errorf("the signature of a request: %w", err)
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	mac.Write([]byte(timestamp))
	r.HTTP.Header.Set("Content-Type", "application/json")
	r.HTTP.Header.Set("timestamp", timestamp)
	r.HTTP.Header.Set("sign", hex.EncodeToString(mac.Sum(nil)))
	r.HTTP.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}
