package loopback

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/pkce"
)

func TestLogin(t *testing.T) {
	server := endpointstest.New(t)
	c := server.Config(endpoints.TaxRock, "http://127.0.0.1/callback")
	config := server.Provider(endpoints.TaxRock).Config(c)
	var body []byte
	login := Login{Config: config, Program: "Tea <Tool>", OpenBrowser: func(ctx context.Context, u string) error {
		back, err := endpointstest.Approve(ctx, nil, u)
		require.NoError(t, err)
		resp, err := http.Get(back.String())
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err = io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, 200, resp.StatusCode)
		return nil
	}}
	begun := time.Now()
	token, err := login.Token(t.Context())
	require.NoError(t, err)
	t.Log(time.Since(begun), token.Valid())
	t.Logf("%s", body)
	login.OpenBrowser = func(ctx context.Context, u string) error {
		back, err := endpointstest.Deny(ctx, nil, u)
		require.NoError(t, err)
		resp, err := http.Get(back.String())
		require.NoError(t, err)
		resp.Body.Close()
		return nil
	}
	_, err = login.Token(t.Context())
	require.ErrorIs(t, err, pkce.ErrDenied)
	t.Log(err)
	_ = url.Values{}
	_ = strings.ToLower
}
