package endpointstest_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
)

// tenants is a provider with a host for each tenant, another that the answer names, and
// an API at a third that is a whole URL.
var tenants = endpoints.Provider{
	Name: "Tenants",
	Endpoint: oauth2.Endpoint{
		AuthURL: "https://{shop}/authorize", TokenURL: "https://{region}.tenants.example/token/{shop}",
	},
	APIURLs:  []string{"{instance_url}/api"},
	Vars:     map[string][]string{"shop": {"*.shops.example"}, "region": {"eu", "us"}, "instance_url": {"https://*.tenants.example/x", "https://*.tenants.example"}},
	Callback: endpoints.Callback{Keep: []string{"region"}},
}

func TestProviderWithVariables(t *testing.T) {
	s := endpointstest.New(t, tenants)
	here := s.Provider(tenants)
	assert.Regexp(t, `^http://127\.0\.0\.1:\d+/\{shop\}/authorize$`, here.Endpoint.AuthURL)
	assert.Regexp(t, `^http://127\.0\.0\.1:\d+/\{region\}/token/\{shop\}$`, here.Endpoint.TokenURL)
	assert.Regexp(t, `^http://127\.0\.0\.1:\d+/\{instance_url\}/api$`, here.APIURLs[0])
	assert.Equal(t, here, s.Provider(here), "again")
	require.NoError(t, here.Validate())
	assert.Equal(t, tenants.Vars, here.Vars)
}

// TestClientReachesOnlyProviders by their names, and loopback addresses.
func TestClientReachesOnlyProviders(t *testing.T) {
	own := httptest.NewServer(http.NotFoundHandler())
	defer own.Close()
	s := endpointstest.New(t, tenants)
	client := s.Client()
	defer client.CloseIdleConnections()
	for url, reached := range map[string]bool{
		own.URL: true, "https://tea.shops.example/authorize": true, "http://tea.shops.example/authorize": true,
		"https://eu.tenants.example/": true, "https://acme.tenants.example/x/api": true,
		"https://shops.example/": false, "https://tea.shops.example.org/": false, "https://example.com/": false,
	} {
		resp, err := client.Get(url)
		assert.Equal(t, reached, err == nil, "%s: %v", url, err)
		if err == nil {
			resp.Body.Close()
			assert.Equal(t, url, resp.Request.URL.String(), "what was asked for")
		}
	}
}

// A program that traces requests wraps the transport of all.
func TestClientWhereTheDefaultTransportIsWrapped(t *testing.T) {
	server, usual := endpointstest.New(t, endpoints.GitHub), http.DefaultTransport
	http.DefaultTransport = struct{ http.RoundTripper }{usual}
	defer func() { http.DefaultTransport = usual }()
	resp, err := server.Client().Get(endpoints.GitHub.Endpoint.AuthURL)
	require.NoError(t, err)
	assert.NoError(t, resp.Body.Close())
}

// TestClientIsLikeTheDefaultTransport in its limits, but for its protocol.
func TestClientIsLikeTheDefaultTransport(t *testing.T) {
	usual := http.DefaultTransport
	defer func() { http.DefaultTransport = usual }()
	limited := usual.(*http.Transport).Clone()
	limited.ResponseHeaderTimeout = time.Millisecond
	limited.Protocols = new(http.Protocols)
	limited.Protocols.SetUnencryptedHTTP2(true)
	http.DefaultTransport = limited
	s := endpointstest.New(t, tenants)
	s.Fail(tenants, endpointstest.Fault{On: endpointstest.API, AnswerDelay: time.Second})
	_, err := s.Client().Get("https://acme.tenants.example/x/api")
	assert.ErrorContains(t, err, "timeout awaiting response headers")
}

// TestClientMeetsFaults: connections that are cut, and those of a server that is closed.
func TestClientMeetsFaults(t *testing.T) {
	s := endpointstest.New(t, tenants)
	client := s.Client()
	get := func() (string, error) {
		resp, err := client.Get("https://acme.tenants.example/x/api")
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return string(body), err
	}
	want, err := get()
	require.NoError(t, err)
	for trouble, cut := range map[endpointstest.Trouble]error{endpointstest.LostAnswer: io.EOF, endpointstest.BrokenAnswer: io.ErrUnexpectedEOF} {
		client.CloseIdleConnections() // net/http would send the request again
		s.Fail(tenants, endpointstest.Fault{On: endpointstest.API, Trouble: trouble, Times: 1})
		_, err = get()
		assert.ErrorIs(t, err, cut)
	}
	s.Fail(tenants, endpointstest.Fault{On: endpointstest.API, RequestDelay: time.Hour, AnswerDelay: time.Hour})
	before := s.Stats(tenants).Faulted
	closed := make(chan bool)
	go func() {
		defer close(closed)
		assert.Eventually(t, func() bool { return s.Stats(tenants).Faulted > before }, 10*time.Second, time.Millisecond)
		s.Close()
	}()
	body, err := get()
	require.NoError(t, err)
	assert.Equal(t, want, body, "without the delays")
	<-closed
	_, err = get()
	assert.ErrorIs(t, err, net.ErrClosed)
}

// TestTwoTenants: two connections of one client with hosts of their own, each with
// rotation, and no token is good at the other's.
func TestTwoTenants(t *testing.T) {
	s := endpointstest.New(t, tenants)
	policy := s.Policy(tenants)
	policy.Rotate = true
	s.SetPolicy(tenants, policy)
	client := s.Client()
	defer client.CloseIdleConnections()
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, client)
	oauth := s.Config(tenants, callback)
	oauth.Endpoint = tenants.Endpoint
	conf := tenants.Config(oauth)
	connect := func(shop, region string) *oauth2.Token {
		s.SetVars(tenants, map[string]string{"region": region})
		page, again, err := conf.Authorize(ctx, "st", verifier, oauth2.SetAuthURLParam("shop", shop))
		require.NoError(t, err)
		u, err := endpointstest.Approve(ctx, client, page)
		require.NoError(t, err)
		rfc, kept := conf.ReadCallback(u.Query())
		opts := []oauth2.AuthCodeOption{oauth2.VerifierOption(verifier)}
		for _, m := range []map[string]string{again, kept} {
			for name, v := range m {
				opts = append(opts, oauth2.SetAuthURLParam(name, v))
			}
		}
		token, err := conf.Exchange(ctx, rfc.Get("code"), opts...)
		require.NoError(t, err)
		assert.Equal(t, region, token.Extra("region"))
		return token
	}
	call := func(t *testing.T, token *oauth2.Token, api string) int {
		r, err := http.NewRequestWithContext(ctx, "GET", api, nil)
		require.NoError(t, err)
		r.Header = conf.APIHeader(token)
		resp, err := client.Do(r)
		require.NoError(t, err)
		resp.Body.Close()
		return resp.StatusCode
	}
	tea, coffee := connect("tea.shops.example", "us"), connect("coffee.shops.example", "eu")
	for range 3 {
		for _, token := range []**oauth2.Token{&tea, &coffee} {
			(*token).Expiry = time.Unix(1, 0)
			next, err := conf.TokenSource(ctx, *token).Token()
			require.NoError(t, err)
			require.NotEqual(t, (*token).RefreshToken, next.RefreshToken)
			*token = next
		}
	}
	teaAPI, err := conf.APIURLs(tea)
	require.NoError(t, err)
	coffeeAPI, err := conf.APIURLs(coffee)
	require.NoError(t, err)
	assert.NotEqual(t, teaAPI, coffeeAPI)
	assert.Equal(t, http.StatusOK, call(t, tea, teaAPI[0]))
	assert.Equal(t, http.StatusUnauthorized, call(t, tea, coffeeAPI[0]))
	assert.Equal(t, http.StatusOK, call(t, coffee, coffeeAPI[0]))
	assert.Equal(t, 6, s.Stats(tenants).Refreshed)
	assert.Equal(t, map[string]int{"dead access token: of another account": 1}, s.Stats(tenants).Rejected)
}

// TestParametersInTheFragment: Approve is a browser whose page reads them.
func TestParametersInTheFragment(t *testing.T) {
	p := acme(func(p *endpoints.Provider) { p.Endpoint.AuthURL = "https://www.acme.example/#/oauth/authorize?" })
	r := newRaw(t, p)
	u, err := endpointstest.Approve(t.Context(), r.client, r.fill("https://www.acme.example/#/oauth/authorize?"+rfcQuery))
	require.NoError(t, err)
	assert.Equal(t, "st", u.Query().Get("state"))
	assert.NotEmpty(t, u.Query().Get("code"))
	assert.Empty(t, r.refused())
}
