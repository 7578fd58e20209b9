package endpoints_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// variables are declared in the ways there are.
var variables = map[string][]string{
	"shop":   {"*.myshopify.com"},
	"sub":    {"*"},
	"host":   {"*"},
	"server": {"https://accounts.zoho.com", "https://accounts.zoho.eu"},
	"api":    {"https://*.my.salesforce.com", "*"},
	"org":    {"*"},
	"region": {"us", "eu"},
	"domain": {"com", "co.uk", "*.test.com", "*"},
	"tld":    {"nl", "co.uk"},
	"stars":  {"*-*-*-*-*-*-*-*.example.com"},
}

// attempts are values of variables in URLs, and what becomes of the URL: "" if the
// value isn't accepted.
var attempts = []struct{ template, name, value, want string }{
	{"https://{shop}/token", "shop", "tea.myshopify.com", "https://tea.myshopify.com/token"},
	{"https://{shop}/token", "shop", "tea.myshopify.com.evil.com", ""},
	{"https://{shop}/token", "shop", "evil.com/.myshopify.com", ""},
	{"https://{shop}/token", "shop", "a.b.myshopify.com", ""},
	{"https://{shop}/token", "shop", "evil.com#.myshopify.com", ""},
	{"https://{shop}/token", "shop", "evil.com?.myshopify.com", ""},
	{"https://{shop}/token", "shop", "evil.com\\.myshopify.com", ""},
	{"https://{shop}/token", "shop", "evil.com%2f.myshopify.com", ""},
	{"https://{shop}/token", "shop", "tea.myshopify.com\n", ""},
	{"https://{shop}/token", "shop", ".myshopify.com", ""},
	{"https://{stars}/token", "stars", "a-b-c-d-e-f-g-h.example.com", "https://a-b-c-d-e-f-g-h.example.com/token"},
	{"https://{stars}/token", "stars", "a-b-c-d-e-f-g.example.com", ""},
	{"https://{stars}/token", "stars", "a-b-c-d-e-f-g-h.i.example.com", ""},
	{"https://{stars}/token", "stars", "a-b-c-d-e-f-g-h\u00e9.example.com", ""},
	{"https://{stars}/token", "stars", strings.Repeat("-", 1000), ""}, // there are 10¹⁹ ways to divide it
	{"https://{sub}.zendesk.com/token", "sub", "acme", "https://acme.zendesk.com/token"},
	{"https://{sub}.zendesk.com/token", "sub", "evil.com/", ""},
	{"https://{sub}.zendesk.com/token", "sub", "a@b", ""},
	{"https://{sub}.zendesk.com/token", "sub", "evil.com:443/x?", ""},
	{"https://{sub}.zendesk.com/token", "sub", "a.b", ""},
	{"https://{sub}.zendesk.com/token", "sub", "a\r\nb", ""},
	{"https://{sub}.zendesk.com/token", "sub", "{org}", ""},
	{"https://login.{domain}.zone.example/token", "domain", "co.uk", "https://login.co.uk.zone.example/token"},
	{"https://login.{domain}.zone.example/token", "domain", "a.test.com", "https://login.a.test.com.zone.example/token"},
	{"https://login.{domain}.zone.example/token", "domain", "nl", "https://login.nl.zone.example/token"},
	{"https://login.{domain}.zone.example/token", "domain", "co.nl", ""},
	{"https://login.{domain}.zone.example/token", "domain", "a.b.test.com", ""},
	{"https://start.example.{tld}/token", "tld", "co.uk", "https://start.example.co.uk/token"},
	{"https://start.example.{tld}/token", "tld", "", "https://start.example.nl/token"},
	{"https://start.example.{tld}/token", "tld", "co.uk.evil.com", ""},
	{"https://{host}/token", "host", "git.example.org", "https://git.example.org/token"},
	{"https://{host}/token", "host", "git.example.org:8443", "https://git.example.org:8443/token"},
	{"https://{host}/token", "host", "a@git.example.org", ""},
	{"https://{host}/token", "host", "git.example.org/x", ""},
	{"https://{host}/token", "host", "localhost", ""},
	{"{server}/oauth/v2/token", "server", "https://accounts.zoho.eu", "https://accounts.zoho.eu/oauth/v2/token"},
	{"{server}/oauth/v2/token", "server", "https://accounts.zoho.evil.com", ""},
	{"{server}/oauth/v2/token", "server", "http://accounts.zoho.eu", ""},
	{"{api}/services", "api", "https://acme.my.salesforce.com", "https://acme.my.salesforce.com/services"},
	{"{api}/services", "api", "https://rest9.example.com/rest-services/e999/", "https://rest9.example.com/rest-services/e999/services"},
	{"{api}/services", "api", "https://a@b.example.com", ""},
	{"{api}/services", "api", "https://b.example.com/../x", ""},
	{"{api}/services", "api", "https://b.example.com?x=", ""},
	{"{api}/services", "api", "javascript:alert(1)", ""},
	{"https://login.example.com/{org}/token", "org", "contoso.onmicrosoft.com", "https://login.example.com/contoso.onmicrosoft.com/token"},
	{"https://login.example.com/{org}/token", "org", "../evil", ""},
	{"https://login.example.com/{org}/token", "org", `x\..\evil`, ""},
	{"https://login.example.com/{org}/token", "org", "a/.b", ""},
	{"https://login.example.com/{org}/token", "org", "evil.com/", ""},
	{"https://login.example.com/{org}/token", "org", "a@b", ""},
	{"https://login.example.com/{org}/token", "org", "a%2fb", ""},
	{"https://login.example.com/{org}/token", "org", "a?b", ""},
	{"https://login.example.com/{org}/token", "org", "München 1", "https://login.example.com/M%C3%BCnchen%201/token"},
	{"https://login.example.com/{org}/token", "org", "..", ""},
	{"https://login.example.com/token?key={org}", "org", "a&b=c", "https://login.example.com/token?key=a%26b%3Dc"},
	{"https://login.example.com/{region}/token", "region", "eu", "https://login.example.com/eu/token"},
	{"https://login.example.com/{region}/token", "region", "", "https://login.example.com/us/token"},
	{"https://login.example.com/{region}/token", "region", "cn", ""},
	{"https://{shop}/token", "shop", "", ""},
}

// Whoever gives a variable its value, a callback, a store or an option, can't change the
// URL around it, and nothing is sent where he wants it.
func TestVariablesCannotChangeAURL(t *testing.T) {
	for _, a := range attempts {
		t.Run(a.template+" "+a.value, func(t *testing.T) {
			p := waysBase()
			p.Endpoint.TokenURL, p.RevokeURL, p.APIURLs = a.template, a.template, []string{a.template}
			p.Vars = map[string][]string{a.name: variables[a.name]}
			require.NoError(t, p.Validate())
			conf := p.Config(oauth2.Config{ClientID: "id", ClientSecret: "s3cret"})
			token := &oauth2.Token{AccessToken: "a0", RefreshToken: "r0", Expiry: time.Unix(1, 0)}
			token = token.WithExtra(map[string]any{a.name: a.value})

			var urls []string
			ctx := roundTripper(func(r *http.Request) (*http.Response, error) {
				urls = append(urls, r.URL.String())
				return nil, io.ErrUnexpectedEOF
			}).context()
			_, err := conf.Exchange(ctx, "c0de", oauth2.SetAuthURLParam(a.name, a.value))
			failures := []error{err}
			_, err = conf.TokenSource(ctx, token).Token()
			failures = append(failures, err, conf.Revoke(ctx, token))
			apis, apiErr := conf.APIURLs(token)
			if a.want != "" {
				assert.Equal(t, []string{a.want, a.want, a.want}, urls)
				assert.Equal(t, []string{a.want}, apis)
				return
			}
			assert.Empty(t, urls, "something was sent")
			for _, err := range append(failures, apiErr) {
				assert.ErrorContains(t, err, a.name)
				assert.Equal(t, endpoints.KindUnknown, endpoints.KindOf(err))
				if text, _, _ := strings.Cut(err.Error(), "it takes"); a.value != "" { // what the definition has
					assert.NotContains(t, text, a.value, "it may be hostile")
				}
			}
		})
	}
}

func TestAVariableIsCheckedWhereverItStands(t *testing.T) {
	p := waysBase()
	p.Vars = map[string][]string{"region": {"us", "eu"}, "trace": {"", "on"}}
	p.Callback.Keep = []string{"account"}
	p.Consent.Params = endpoints.Params{"region": {"{region}"}}
	p.Style.Params = endpoints.Params{"region": {"{region}"}}
	p.Style.Header = map[string]string{"X-Trace": "{trace}", "X-Account": "{account}"}
	p.API.Header = map[string]string{"X-Region": "{region}", "X-Account": "{account}"}
	require.NoError(t, p.Validate())
	conf := p.Config(oauth2.Config{ClientID: "id", Scopes: []string{"a"}})
	option := oauth2.SetAuthURLParam

	for _, opt := range []oauth2.AuthCodeOption{option("region", "cn"), option("trace", "off"), option("account", "a\r\nHost: evil")} {
		_, err := conf.Exchange(roundTripper(func(*http.Request) (*http.Response, error) { panic("sent") }).context(), "c0de", opt)
		assert.ErrorContains(t, err, "isn't accepted")
	}
	_, _, err := conf.Authorize(t.Context(), "s", "", option("region", "cn"))
	assert.EqualError(t, err, "endpoints: x: the value of the variable region isn't accepted: it takes us, eu")
	assert.Empty(t, conf.AuthCodeURL("s", option("region", "cn")))
	assert.Equal(t, "https://a.example/authorize?client_id=id&region=us&response_type=code&scope=a&state=s", conf.AuthCodeURL("s"))
	consent, again, err := conf.Authorize(t.Context(), "s", "", option("region", "eu"), option("prompt", "none"))
	require.NoError(t, err)
	assert.Equal(t, "https://a.example/authorize?client_id=id&prompt=none&region=eu&response_type=code&scope=a&state=s", consent)
	assert.Equal(t, map[string]string{"region": "eu"}, again)

	token := (&oauth2.Token{AccessToken: "a0"}).WithExtra(map[string]any{"region": "cn", "account": "x\ny"})
	assert.Equal(t, http.Header{"Authorization": {"Bearer a0"}}, conf.APIHeader(token), "what isn't accepted is left out")
	token = (&oauth2.Token{AccessToken: "a0"}).WithExtra(map[string]any{"account": 7.0})
	assert.Equal(t, http.Header{"Authorization": {"Bearer a0"}, "X-Region": {"us"}, "X-Account": {"7"}}, conf.APIHeader(token))
	assert.Empty(t, conf.APIHeader(nil))
}

func TestWhatNeedsAVariableWithoutAValueIsLeftOut(t *testing.T) {
	p := waysBase()
	p.Vars = map[string][]string{"trace": {"", "on"}}
	p.Consent.Params = endpoints.Params{"trace": {"t-{trace}"}, "both": {"t-{trace}", "b"}}
	p.Style.Params = endpoints.Params{"trace": {"t-{trace}"}, "both": {"t-{trace}", "b"}}
	p.Style.Header = map[string]string{"X-Trace": "t-{trace}"}
	p.API.Header = map[string]string{"X-Trace": "t-{trace}"}
	require.NoError(t, p.Validate())
	conf := p.Config(oauth2.Config{ClientID: "id"})
	assert.Equal(t, "https://a.example/authorize?both=b&client_id=id&response_type=code&state=s", conf.AuthCodeURL("s"))
	var header http.Header
	var form url.Values
	_, err := conf.Exchange(answering(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.NoError(t, r.ParseForm())
		header, form = r.Header, r.PostForm
		io.WriteString(w, `{"access_token":"a1"}`)
	})).context(), "c0de")
	require.NoError(t, err)
	assert.NotContains(t, header, "X-Trace")
	assert.NotContains(t, form, "trace")
	assert.Equal(t, []string{"b"}, form["both"])
	assert.NotContains(t, conf.APIHeader(&oauth2.Token{AccessToken: "a0"}), "X-Trace")
}

func TestAnAPIKeyCanBeTheClients(t *testing.T) {
	p := waysBase()
	p.API.Header = map[string]string{"X-Api-Key": "{client_id}:{client_secret}"}
	require.NoError(t, p.Validate())
	h := p.Config(oauth2.Config{ClientID: "id", ClientSecret: "s3cret"}).APIHeader(&oauth2.Token{AccessToken: "a0"})
	assert.Equal(t, http.Header{"Authorization": {"Bearer a0"}, "X-Api-Key": {"id:s3cret"}}, h)
}

// What an exchange used is kept beside the token, refresh after refresh, and an answer
// can move the account.
func TestVariablesAreKeptBesideTheToken(t *testing.T) {
	p := waysBase()
	p.Endpoint.TokenURL, p.APIURLs = "https://{shop}/token", []string{"{instance_url}/v1"}
	p.Vars = map[string][]string{"shop": {"*.shops.example"}, "instance_url": {"https://*.api.example"}, "once": {"", "yes"}}
	p.Exchange.Params = endpoints.Params{"once": {"{once}"}}
	p.Callback.Keep = []string{"account"}
	require.NoError(t, p.Validate())
	answers := map[string]string{
		"c0de": `{"access_token":"a1","refresh_token":"r1","instance_url":"https://eu.api.example","shop":{"name":"Tea"}}`,
		"r1":   `{"access_token":"a2","refresh_token":"r2"}`,
		"r2":   `{"access_token":"a3","refresh_token":"r3","instance_url":"https://us.api.example","shop":"evil.example"}`,
		"r3":   `{"access_token":"a4","shop":"coffee.shops.example"}`,
	}
	var hosts []string
	ctx := answering(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hosts = append(hosts, r.URL.Host)
		io.WriteString(w, answers[r.FormValue("code")+r.FormValue("refresh_token")])
	})).context()
	conf := p.Config(oauth2.Config{ClientID: "id"})
	token, err := conf.Exchange(ctx, "c0de", oauth2.SetAuthURLParam("shop", "tea.shops.example"),
		oauth2.SetAuthURLParam("account", "A1"), oauth2.SetAuthURLParam("once", "yes"))
	require.NoError(t, err)
	for i, want := range []struct{ shop, api string }{
		{"tea.shops.example", "https://eu.api.example/v1"}, {"tea.shops.example", "https://eu.api.example/v1"},
		{"tea.shops.example", "https://us.api.example/v1"}, {"coffee.shops.example", "https://us.api.example/v1"},
	} {
		assert.Equal(t, want.shop, token.Extra("shop"), i)
		assert.Equal(t, "A1", token.Extra("account"), i)
		assert.Nil(t, token.Extra("once"), i)
		urls, err := conf.APIURLs(token)
		require.NoError(t, err)
		assert.Equal(t, []string{want.api}, urls)
		if i < 3 {
			token.Expiry = time.Unix(1, 0)
			token, err = conf.TokenSource(ctx, token).Token()
			require.NoError(t, err)
		}
	}
	assert.Equal(t, []string{"tea.shops.example", "tea.shops.example", "tea.shops.example", "tea.shops.example"}, hosts)
	registered, clientID := conf.Registration()
	assert.Equal(t, "https://{shop} id", registered+" "+clientID)
}

// Shopify calls back for tea-house.myshopify.com, however its owner has written that.
func TestCaseOfAHostDoesNotMatter(t *testing.T) {
	p := waysBase()
	p.Endpoint.AuthURL = "https://{shop}/authorize"
	p.RefreshURL, p.RevokeURL = "https://{region}.a.example/token", "https://a.example/{org}/revoke"
	p.Vars = map[string][]string{"shop": {"*.myshopify.com"}, "region": {"EU", "US"}, "org": {"*"}}
	p.Callback.Keep = []string{"shop", "org"}
	conf := p.Config(oauth2.Config{ClientID: "id"})
	typed := map[string]string{"shop": "Tea-House.MyShopify.com", "region": "EU", "org": "ACME"}
	var opts []oauth2.AuthCodeOption
	for name, v := range typed {
		opts = append(opts, oauth2.SetAuthURLParam(name, v))
	}
	consent, begun, err := conf.Authorize(t.Context(), "st", "", opts...)
	require.NoError(t, err)
	assert.Equal(t, "https://tea-house.myshopify.com/authorize", strings.Split(consent, "?")[0])
	assert.Equal(t, map[string]string{"shop": "tea-house.myshopify.com", "region": "EU", "org": "ACME"}, begun)
	_, called := conf.ReadCallback(url.Values{"code": {"c"}, "shop": {"TEA-house.myshopify.com"}, "org": {"ACME"}})
	assert.Equal(t, map[string]string{"shop": "tea-house.myshopify.com", "org": "ACME"}, called)
	_, _, err = conf.Authorize(t.Context(), "st", "", oauth2.SetAuthURLParam("shop", "tea\u212a.myshopify.com"))
	assert.ErrorContains(t, err, "isn't accepted")
}

func TestTheAnswersValueOfAVariableGoesBeforeItsDefault(t *testing.T) {
	p := waysBase()
	p.Vars, p.APIURLs = map[string][]string{"region": {"us", "eu"}}, []string{"https://{region}.api.example"}
	conf := p.Config(oauth2.Config{ClientID: "id"})
	for sent, want := range map[string]string{
		`null`: "https://us.api.example", `{}`: "https://us.api.example", `""`: "https://us.api.example",
		`"eu"`: "https://eu.api.example", `["eu"]`: "https://eu.api.example",
		`"cn"`: "", `7`: "", `["cn"]`: "", // not where another account is
	} {
		token, err := conf.Exchange(answering(answerJSON(200, `{"access_token":"a1","region":`+sent+`}`)).context(), "c0de")
		require.NoError(t, err, sent)
		urls, err := conf.APIURLs(token)
		if want == "" {
			assert.ErrorContains(t, err, "the value of the variable region isn't accepted", sent)
			continue
		}
		require.NoError(t, err, sent)
		assert.Equal(t, []string{want}, urls, sent)
	}
}

// Each token goes to its own API, also when a refresh moves it.
func TestClientFollowsTheVariablesOfItsToken(t *testing.T) {
	p := waysBase()
	p.APIURLs, p.Vars = []string{"{instance_url}"}, map[string][]string{"instance_url": {"https://*.api.example"}}
	p.API.Header = map[string]string{"Authorization": "Token {access_token}", "X-Version": "7"}
	net := newInternet(t, answerJSON(200, `{"access_token":"a2","expires_in":3600,"instance_url":"https://us.api.example"}`))
	conf := p.Config(oauth2.Config{ClientID: "id"})
	token := func(expiry time.Time) *oauth2.Token {
		t := &oauth2.Token{AccessToken: "a1", RefreshToken: "r1", Expiry: expiry}
		return t.WithExtra(map[string]any{"instance_url": "https://eu.api.example"})
	}
	get := func(c *http.Client, url string) error {
		resp, err := c.Get(url)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	client := conf.Client(net.context(), token(time.Time{}))
	require.NoError(t, get(client, "https://eu.api.example/x"))
	assert.ErrorContains(t, get(client, "https://us.api.example/x"), "the token is for https://eu.api.example and is not sent to https://us.api.example")

	client = conf.Client(net.context(), token(time.Unix(1, 0)))
	assert.ErrorContains(t, get(client, "https://eu.api.example/y"), "the token is for https://us.api.example and is not sent to https://eu.api.example")
	require.NoError(t, get(client, "https://us.api.example/y"))
	assert.Equal(t, []string{
		"eu.api.example/x Token a1", "a.example/token", "us.api.example/y Token a2",
	}, bearers(net.requests()))
	assert.Contains(t, net.requests()[2], "\nX-Version: 7\n")
	r, err := http.NewRequest("GET", "https://us.api.example/z", nil)
	require.NoError(t, err)
	r.Header.Set("X-Version", "8")
	resp, err := client.Do(r)
	require.NoError(t, err)
	resp.Body.Close()
	assert.Contains(t, net.requests()[3], "\nX-Version: 8\n", "what the request says itself")

	client = conf.Client(net.context(), &oauth2.Token{AccessToken: "a1"})
	assert.ErrorContains(t, get(client, "https://eu.api.example/"), "APIURLs: the variable instance_url, which is in {instance_url}, has no value: give it with oauth2.SetAuthURLParam")
}

// A plain *oauth2.Config has no variables.
func TestVariablesOfAPlainConfigAreAMistake(t *testing.T) {
	ctx := roundTripper(func(*http.Request) (*http.Response, error) { panic("sent") }).context()
	p := waysBase()
	p.Endpoint.TokenURL, p.Vars = "https://{shop}/token", map[string][]string{"shop": {"*.shops.example"}}
	conf := &oauth2.Config{ClientID: "id", Endpoint: oauth2.Endpoint{TokenURL: "https://tea.shops.example/token"}}
	_, err := conf.Exchange(p.Context(ctx), "c0de")
	assert.ErrorContains(t, err, "endpoints: x: https://{shop}/token has the variable shop, which a plain *oauth2.Config doesn't have: use Provider.Config")
	assert.Equal(t, endpoints.KindUnknown, endpoints.KindOf(err))

	p = waysBase()
	p.Callback.Keep, p.Refresh.Params = []string{"account"}, endpoints.Params{"account": {"{account}"}}
	conf = &oauth2.Config{ClientID: "id", Endpoint: p.Endpoint}
	_, err = refresh(p.Context(ctx), conf, "r0")
	assert.ErrorContains(t, err, "endpoints: x: a refresh needs the variable account, which a plain *oauth2.Config doesn't have: use Provider.Config")
	net := newInternet(t, answerJSON(200, `{"access_token":"a1"}`))
	_, err = conf.Exchange(p.Context(net.context()), "c0de")
	assert.NoError(t, err, "an exchange needs none")

	p = waysBase()
	p.Style.Auth = endpoints.PrivateKeyJWT
	_, err = conf.Exchange(p.Context(ctx), "c0de")
	assert.ErrorContains(t, err, "a plain *oauth2.Config has no key for private_key_jwt: use Provider.Config")
}

func TestAHostMayHaveVariablesBesideEachOther(t *testing.T) {
	p := waysBase()
	p.APIURLs = []string{"https://{service}-{environment}.pay.example"}
	p.Vars = map[string][]string{"service": {"*"}, "environment": {"live", "test"}}
	require.NoError(t, p.Validate())

	token := (&oauth2.Token{AccessToken: "a0"}).WithExtra(map[string]any{"service": "kyc"})
	urls, err := p.Config(oauth2.Config{ClientID: "id"}).APIURLs(token)
	require.NoError(t, err)
	assert.Equal(t, []string{"https://kyc-live.pay.example"}, urls)
}
