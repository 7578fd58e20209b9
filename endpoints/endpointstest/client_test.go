package endpointstest_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
)

// TestClientCredentials: x/oauth2's own two-legged client, under TaxRock's context.
func TestClientCredentials(t *testing.T) {
	p := endpoints.TaxRock
	s := endpointstest.New(t)
	client := s.Config(p, "")
	conf := clientcredentials.Config{
		ClientID: client.ClientID, ClientSecret: client.ClientSecret, TokenURL: client.Endpoint.TokenURL, AuthStyle: client.Endpoint.AuthStyle,
		EndpointParams: url.Values{"audience": p.Refresh.Params["audience"]},
	}
	ctx := s.Provider(p).Context(t.Context())
	code := func() string {
		_, err := conf.Token(ctx)
		var failed *oauth2.RetrieveError
		require.ErrorAs(t, err, &failed)
		return failed.ErrorCode
	}
	assert.Equal(t, "unsupported_grant_type", code(), "unless a test wants it")

	policy := s.Policy(p)
	policy.ClientCredentials = true
	s.SetPolicy(p, policy)
	first, err := conf.Token(ctx)
	require.NoError(t, err)
	assert.Empty(t, first.RefreshToken)
	assert.WithinDuration(t, time.Now().Add(time.Hour), first.Expiry, 10*time.Second)
	assert.Equal(t, "read:client-accounts", first.Extra("scope"))
	again, err := conf.Token(ctx)
	require.NoError(t, err)
	assert.NotEqual(t, first.AccessToken, again.AccessToken)
	assert.Equal(t, http.StatusOK, get(t, s, p, "/client-accounts", first.AccessToken).status)
	s.Advance(time.Hour)
	assert.Equal(t, http.StatusUnauthorized, get(t, s, p, "/client-accounts", first.AccessToken).status)

	for _, scopes := range [][]string{{"offline_access"}, {"read:everything"}} {
		conf.Scopes = scopes
		assert.Equal(t, "invalid_request", code())
	}
	conf.Scopes = []string{"read:client-accounts"}
	_, err = conf.Token(ctx)
	require.NoError(t, err)
	conf.EndpointParams = url.Values{"audience": {"https://elsewhere.example"}}
	assert.Equal(t, "access_denied", code())
	conf.ClientSecret = "wrong"
	assert.Equal(t, "access_denied", code())
	stats := s.Stats(p)
	assert.Equal(t, 8, stats.ClientRequests)
	assert.Equal(t, 3, stats.ClientTokens)
}
