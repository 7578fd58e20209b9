package clients

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// finchSDK makes the requests of Finch's SDK for Go, github.com/Finch-API/finch-api-go/v2, as it
// makes them when it has an option.WithHTTPClient: with its header fields, and its retries of
// errors, of 408, 409, 429 and of 5xx. Most of its methods send the access token, of which it
// knows none; those of connect/sessions send the client's credentials; and those that don't say,
// AccessTokens.New and Client.Execute among them, send the credentials if it knows no token.
type finchSDK struct {
	client     *http.Client
	url        string
	id, secret string
	sent       int
}

// call makes a call whose body, unless it is nil, is JSON, and returns the answer.
func (s *finchSDK) call(ctx context.Context, method, path string, body any, credentials bool) (*http.Response, error) {
	var content []byte
	if body != nil {
		content, _ = json.Marshal(body)
	}
	for retry := 0; ; retry++ {
		r, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(content))
		if err != nil {
			return nil, err
		}
		if body != nil {
			r.Header.Set("Content-Type", "application/json")
		}
		for name, value := range map[string]string{
			"Accept": "application/json", "User-Agent": "Finch/Go 2.4.0", "Finch-API-Version": "2020-09-17",
			"X-Stainless-Lang": "go", "X-Stainless-Package-Version": "2.4.0", "X-Stainless-OS": "Linux", "X-Stainless-Arch": "x64",
			"X-Stainless-Runtime": "go", "X-Stainless-Runtime-Version": "go1.26.0", "X-Stainless-Retry-Count": strconv.Itoa(retry),
		} {
			r.Header.Set(name, value)
		}
		if credentials {
			r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(s.id+":"+s.secret)))
		}
		s.sent++
		resp, err := s.client.Do(r)
		passing := err != nil || resp.StatusCode == 408 || resp.StatusCode == 409 || resp.StatusCode == 429 || resp.StatusCode >= 500
		if !passing || retry == 2 || ctx.Err() != nil {
			return resp, err
		}
		if err == nil {
			resp.Body.Close()
		}
		time.Sleep(time.Millisecond) // half a second, in the SDK
	}
}

// answer returns the status and the JSON of an answer.
func answer(t *testing.T, resp *http.Response, err error) (int, map[string]any) {
	t.Helper()
	require.NoError(t, err)
	defer resp.Body.Close()
	var object map[string]any
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(body, &object), string(body))
	return resp.StatusCode, object
}

// finchWorld is an application at Finch, and its SDK with a connection.
func finchWorld(t *testing.T) (*endpointstest.Server, *endpoints.Config, *tokensource.Manager, *finchSDK) {
	server := endpointstest.New(t, endpoints.Finch)
	provider := server.Provider(endpoints.Finch)
	client := server.Config(endpoints.Finch, "https://app.example/callback")
	client.Scopes = []string{"company", "directory"}
	config := provider.Config(client)
	keys, err := storage.NewKeyset(storage.NewKey())
	require.NoError(t, err)
	m := &tokensource.Manager{Config: config, Store: storage.Encrypt(new(storage.Memory), keys)}
	sdk := &finchSDK{client: m.Client("finch/42"), url: strings.TrimSuffix(provider.APIURLs[0], "/"), id: client.ClientID, secret: client.ClientSecret}
	return server, config, m, sdk
}

func TestFinchSDK(t *testing.T) {
	server, config, m, sdk := finchWorld(t)
	ctx := t.Context()

	// The credentials go out as they are, though nobody is connected yet.
	session := map[string]any{"customer_id": "42", "customer_name": "Acme", "products": []string{"company"}, "redirect_uri": "https://app.example/callback"}
	resp, err := sdk.call(ctx, "POST", "/connect/sessions", session, true)
	status, begun := answer(t, resp, err)
	require.Equal(t, http.StatusCreated, status, begun)
	connect, err := url.Parse(begun["connect_url"].(string))
	require.NoError(t, err)
	state := connect.Query()
	state.Set("state", "a-state")
	connect.RawQuery = state.Encode()
	callback, err := endpointstest.Approve(ctx, http.DefaultClient, connect.String())
	require.NoError(t, err)
	token, err := config.Exchange(ctx, callback.Query().Get("code"))
	require.NoError(t, err)

	// Nor is a call made without a token, however often it is tried.
	_, err = sdk.call(ctx, "GET", "/employer/company", nil, false)
	requireLogin(t, err)
	assert.Equal(t, 2+2, sdk.sent, "the SDK tries it three times")

	require.NoError(t, m.Save(ctx, "finch/42", token))
	for _, path := range []string{"/employer/company", "/introspect"} {
		resp, err = sdk.call(ctx, "GET", path, nil, false)
		status, object := answer(t, resp, err)
		assert.Equal(t, http.StatusOK, status, object)
	}
	resp, err = sdk.call(ctx, "POST", "/connect/sessions/reauthenticate", map[string]any{"connection_id": token.Extra("connection_id"), "redirect_uri": "https://app.example/callback"}, true)
	status, begun = answer(t, resp, err)
	require.Equal(t, http.StatusCreated, status, begun)
	assert.Empty(t, server.Stats(endpoints.Finch).Rejected)

	// The employer has to reconnect: the answer says so, and the next call.
	server.Revoke(endpoints.Finch, token)
	resp, err = sdk.call(ctx, "GET", "/employer/company", nil, false)
	status, object := answer(t, resp, err)
	assert.Equal(t, http.StatusUnauthorized, status)
	assert.Equal(t, "reauthenticate_user", object["finch_code"])
	before := server.Stats(endpoints.Finch)
	_, err = sdk.call(ctx, "GET", "/employer/company", nil, false)
	requireLogin(t, err)
	assert.Equal(t, before, server.Stats(endpoints.Finch), "something was sent")
	resp, err = sdk.call(ctx, "POST", "/connect/sessions", session, true)
	status, _ = answer(t, resp, err)
	assert.Equal(t, http.StatusCreated, status, "the credentials still do")
}

// TestFinchSDKAtTheTokenEndpoint: AccessTokens.New sends the client's credentials twice, in the
// body and in the Authorization. A user's token isn't put in their place.
func TestFinchSDKAtTheTokenEndpoint(t *testing.T) {
	server, config, m, sdk := finchWorld(t)
	ctx := t.Context()
	require.NoError(t, m.Save(ctx, "finch/42", server.Connect(endpoints.Finch)))
	var seen []string
	m.Base = roundTripper(func(r *http.Request) (*http.Response, error) {
		seen = append(seen, r.Header.Get("Authorization"))
		return http.DefaultTransport.RoundTrip(r)
	})
	callback, err := endpointstest.Approve(ctx, http.DefaultClient, config.AuthCodeURL("a-state"))
	require.NoError(t, err)
	body := map[string]any{"client_id": sdk.id, "client_secret": sdk.secret, "code": callback.Query().Get("code"), "redirect_uri": "https://app.example/callback"}
	resp, err := sdk.call(ctx, "POST", "/auth/token", body, true)
	status, object := answer(t, resp, err)
	require.Equal(t, http.StatusOK, status, object)
	require.Len(t, seen, 1)
	assert.Contains(t, seen[0], "Basic ")

	token := (&oauth2.Token{AccessToken: object["access_token"].(string)}).WithExtra(object)
	require.NoError(t, m.Save(ctx, "finch/43", token), "what the SDK has got can be kept")
	sdk.client = m.Client("finch/43")
	resp, err = sdk.call(ctx, "GET", "/employer/company", nil, false)
	status, _ = answer(t, resp, err)
	assert.Equal(t, http.StatusOK, status)
	require.NoError(t, m.Disconnect(ctx, "finch/43"))
	_, err = sdk.call(ctx, "GET", "/employer/company", nil, false)
	requireLogin(t, err)
}

// TestFinchSDKOlderExchange: GetAccessToken, the older method, sends no Authorization, and so
// isn't for a connection's client.
func TestFinchSDKOlderExchange(t *testing.T) {
	_, config, m, sdk := finchWorld(t)
	callback, err := endpointstest.Approve(t.Context(), http.DefaultClient, config.AuthCodeURL("a-state"))
	require.NoError(t, err)
	body := map[string]any{"client_id": sdk.id, "client_secret": sdk.secret, "code": callback.Query().Get("code"), "redirect_uri": "https://app.example/callback"}
	_, err = sdk.call(t.Context(), "POST", "/auth/token", body, false)
	requireLogin(t, err)
	sdk.client = &http.Client{Transport: m.Base}
	resp, err := sdk.call(t.Context(), "POST", "/auth/token", body, false)
	status, object := answer(t, resp, err)
	assert.Equal(t, http.StatusOK, status, object)
}
