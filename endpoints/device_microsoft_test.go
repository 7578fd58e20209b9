package endpoints_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// microsoft is Microsoft's identity platform for a public client.
//
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-device-code
var microsoft = endpoints.Provider{
	Name: "Microsoft",
	Endpoint: oauth2.Endpoint{
		AuthURL:       "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize",
		DeviceAuthURL: "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/devicecode",
		TokenURL:      "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
	},
	Vars:   map[string][]string{"tenant": {"common", "organizations", "consumers", "*-*-*-*-*", "*.onmicrosoft.com"}},
	Style:  endpoints.AuthStyle{Auth: endpoints.PublicClient},
	Answer: endpoints.Answer{Errors: []endpoints.ErrorRule{{Code: "authorization_declined", Kind: endpoints.KindDenied}}},
}

// The requests and answers of the page above.
func TestMicrosoftsDeviceGrantWithATenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &polling{start: time.Now(), answers: []string{
			`200 {"user_code": "FJC3W8J4Q", "device_code": "GMMhmHCXhWEzkobqIHGG_EnNYYsAkukHspeYUk9E8", ` +
				`"verification_uri": "https://microsoft.com/devicelogin", "expires_in": 900, "interval": 5, "message": "To sign in, use a web browser"}`,
			`400 {"error": "authorization_pending", "error_description": "AADSTS70016: OAuth 2.0 device flow error.", "error_codes": [70016]}`,
			`200 {"token_type": "Bearer", "scope": "User.Read profile openid email", "expires_in": 3599, "access_token": "eyJ0eXAiOiJKV1Qi", ` +
				`"refresh_token": "AwABAAAAvPM1KaPlrEqdFSBzjqfTGAMxZGUT", "id_token": "eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0"}`,
			`200 {"token_type": "Bearer", "expires_in": 3599, "access_token": "access-2", "refresh_token": "refresh-2"}`,
		}}
		ctx := context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: p})
		conf := microsoft.Config(oauth2.Config{
			ClientID: "535fb089-9ff3-47b6-9bfb-4f1264799865", Scopes: []string{"user.read", "openid", "profile"},
		})
		tenant := oauth2.SetAuthURLParam("tenant", "contoso.onmicrosoft.com")

		da, err := conf.DeviceAuth(ctx, tenant)
		require.NoError(t, err)
		assert.Equal(t, &oauth2.DeviceAuthResponse{
			DeviceCode: "GMMhmHCXhWEzkobqIHGG_EnNYYsAkukHspeYUk9E8", UserCode: "FJC3W8J4Q",
			VerificationURI: "https://microsoft.com/devicelogin", Expiry: time.Now().Add(15 * time.Minute), Interval: 5,
		}, da)
		token, err := conf.DeviceAccessToken(ctx, da, tenant)
		require.NoError(t, err)
		assert.Equal(t, "contoso.onmicrosoft.com", token.Extra("tenant"))
		assert.Equal(t, "User.Read profile openid email", token.Extra("scope"))

		keys, err := storage.NewKeyset(storage.NewKey())
		require.NoError(t, err)
		m := &tokensource.Manager{
			Config: conf, Store: storage.Encrypt(new(storage.Memory), keys),
			RequestContext: func(c context.Context) context.Context {
				return context.WithValue(c, oauth2.HTTPClient, ctx.Value(oauth2.HTTPClient))
			},
		}
		require.NoError(t, m.Save(ctx, "jane", token))
		time.Sleep(time.Hour) // of the bubble's clock
		refreshed, err := m.Source("jane").Token()
		require.NoError(t, err)
		assert.Equal(t, "access-2", refreshed.AccessToken)

		assert.Equal(t, []string{
			"client_id=535fb089-9ff3-47b6-9bfb-4f1264799865&scope=user.read+openid+profile",
			"client_id=535fb089-9ff3-47b6-9bfb-4f1264799865&device_code=GMMhmHCXhWEzkobqIHGG_EnNYYsAkukHspeYUk9E8&grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code",
			"client_id=535fb089-9ff3-47b6-9bfb-4f1264799865&device_code=GMMhmHCXhWEzkobqIHGG_EnNYYsAkukHspeYUk9E8&grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code",
			"client_id=535fb089-9ff3-47b6-9bfb-4f1264799865&grant_type=refresh_token&refresh_token=AwABAAAAvPM1KaPlrEqdFSBzjqfTGAMxZGUT",
		}, p.sent)
		const base = "https://login.microsoftonline.com/contoso.onmicrosoft.com/oauth2/v2.0/"
		assert.Equal(t, []string{base + "devicecode", base + "token", base + "token", base + "token"}, p.urls)
	})
}

func TestMicrosoftsDeviceGrantThatTheUserDeclines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &polling{start: time.Now(), answers: []string{`400 {"error": "authorization_declined"}`}}
		ctx := context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: p})
		conf := microsoft.Config(oauth2.Config{ClientID: "id"})
		_, err := conf.DeviceAccessToken(ctx, &oauth2.DeviceAuthResponse{DeviceCode: "d"})
		assert.Equal(t, endpoints.KindDenied, endpoints.KindOf(err))

		for _, hostile := range []string{"a/b", "a@b", "..", "evil.com"} {
			_, err := conf.DeviceAuth(ctx, oauth2.SetAuthURLParam("tenant", hostile))
			assert.ErrorContains(t, err, "tenant isn't accepted")
			_, err = conf.DeviceAccessToken(ctx, &oauth2.DeviceAuthResponse{DeviceCode: "d"}, oauth2.SetAuthURLParam("tenant", hostile))
			assert.ErrorContains(t, err, "tenant isn't accepted")
		}
		assert.Len(t, p.sent, 1)
	})
}
