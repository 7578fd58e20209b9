package endpoints_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/chart"
)

func TestAuthCodeURLIsWhatTheProviderDocuments(t *testing.T) {
	challenge := oauth2.S256ChallengeOption("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") // RFC 7636, appendix B
	param := oauth2.SetAuthURLParam
	for _, test := range []struct {
		name     string
		provider endpoints.Provider
		redirect string
		scopes   []string
		opts     []oauth2.AuthCodeOption
		want     string
	}{
		{
			"Finch, redirect flow", endpoints.Finch, callback, []string{"company", "pay_statement"}, nil,
			"https://connect.tryfinch.com/authorize?client_id=id-of-the-client&products=company+pay_statement&redirect_uri=https%3A%2F%2Fapp.example%2Fcallback%3Fa%3D1%26b%3D2&state=st%26te",
		},
		{
			"Finch, embedded flow in the sandbox", endpoints.Finch, "", []string{"company"},
			[]oauth2.AuthCodeOption{param("sandbox", "finch"), param("payroll_provider", "gusto")},
			"https://connect.tryfinch.com/authorize?client_id=id-of-the-client&payroll_provider=gusto&products=company&sandbox=finch&state=st%26te",
		},
		{
			"Finch, without PKCE even if asked", endpoints.Finch, "", []string{"company"}, []oauth2.AuthCodeOption{challenge},
			"https://connect.tryfinch.com/authorize?client_id=id-of-the-client&products=company&state=st%26te",
		},
		{
			"Chart, redirect flow", endpoints.Chart, callback, nil, nil,
			"https://connect.trychart.com?client_id=id-of-the-client&redirect_uri=https%3A%2F%2Fapp.example%2Fcallback%3Fa%3D1%26b%3D2&state=st%26te",
		},
		{
			"Chart, embedded flow", endpoints.Chart, "", nil, nil,
			"https://connect.trychart.com?client_id=id-of-the-client&state=st%26te",
		},
		{
			"Chart, whose option of the exchange has no place in a URL", endpoints.Chart, "", nil, []oauth2.AuthCodeOption{chart.Async},
			"https://connect.trychart.com?client_id=id-of-the-client&state=st%26te",
		},
		{
			"TaxRock, with its default scopes", endpoints.TaxRock, callback, nil, []oauth2.AuthCodeOption{challenge},
			"https://login.taxrock.com/authorize?audience=https%3A%2F%2Fdelegate.api.taxrock.com&client_id=id-of-the-client&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&redirect_uri=https%3A%2F%2Fapp.example%2Fcallback%3Fa%3D1%26b%3D2&response_type=code&scope=offline_access+read%3Aclient-accounts&state=st%26te",
		},
		{
			"TaxRock's sandbox, with scopes of one's own, for the production audience", endpoints.TaxRockSandbox, callback, []string{"read:client-accounts"}, []oauth2.AuthCodeOption{challenge},
			"https://login-demo.taxrock.com/authorize?audience=https%3A%2F%2Fdelegate.api.taxrock.com&client_id=id-of-the-client&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256&redirect_uri=https%3A%2F%2Fapp.example%2Fcallback%3Fa%3D1%26b%3D2&response_type=code&scope=read%3Aclient-accounts&state=st%26te",
		},
		{
			"an option overrides the provider's parameter, and an empty one removes one", endpoints.TaxRock, callback, nil,
			[]oauth2.AuthCodeOption{param("audience", "https://other.example"), param("scope", "")},
			"https://login.taxrock.com/authorize?audience=https%3A%2F%2Fother.example&client_id=id-of-the-client&redirect_uri=https%3A%2F%2Fapp.example%2Fcallback%3Fa%3D1%26b%3D2&response_type=code&state=st%26te",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			conf := test.provider.Config(oauth2.Config{
				ClientID: clientID, ClientSecret: clientSecret, RedirectURL: test.redirect, Scopes: test.scopes,
			})
			assert.Equal(t, test.want, conf.AuthCodeURL("st&te", test.opts...))
			assert.Equal(t, test.want, conf.AuthCodeURL("st&te", test.opts...), "the second time")

			plain := &oauth2.Config{ClientID: clientID, RedirectURL: test.redirect, Scopes: test.scopes, Endpoint: test.provider.Endpoint}
			assert.Equal(t, test.want, test.provider.AuthCodeURL(plain.AuthCodeURL("st&te", test.opts...)), "the plain way")
		})
	}
}

// TestAuthCodeURLOfAPlainConfigWithoutAnURL has what isn't the URL of a consent page.
func TestAuthCodeURLOfAPlainConfigWithoutAnURL(t *testing.T) {
	assert.Empty(t, endpoints.Finch.AuthCodeURL(""))
	assert.Empty(t, endpoints.Finch.AuthCodeURL("https://auth.example/?a=%zz"))
	p := endpoints.Finch
	p.Style.Method = "PUT" // a mistake
	assert.Empty(t, p.AuthCodeURL("https://auth.example/?client_id=x"))
	assert.Equal(t, "https://auth.example/consent?client_id=x&products=a+b",
		endpoints.Finch.AuthCodeURL("https://auth.example/consent?client_id=x&response_type=code&scope=a+b"), "an AuthURL of the Config's own")
}

func TestAuthURLKeepsItsOwnQueryAndFragment(t *testing.T) {
	for authURL, want := range map[string]string{
		"https://auth.example":              "https://auth.example?client_id=id&response_type=code&state=s",
		"https://auth.example/a?x=%2F;y&z=": "https://auth.example/a?x=%2F;y&z=&client_id=id&response_type=code&state=s",
		"https://auth.example/a#redirect":   "https://auth.example/a?client_id=id&response_type=code&state=s#redirect",
		"https://auth.example/a?x=1#here":   "https://auth.example/a?x=1&client_id=id&response_type=code&state=s#here",
	} {
		p := rfc
		p.Endpoint.AuthURL = authURL
		assert.Equal(t, want, p.Config(oauth2.Config{ClientID: "id"}).AuthCodeURL("s"))
		plain := &oauth2.Config{ClientID: "id", Endpoint: p.Endpoint}
		assert.Equal(t, want, p.AuthCodeURL(plain.AuthCodeURL("s")), "the plain way")
	}
}

func TestAuthCodeURLIsEmptyWithoutAnAuthURL(t *testing.T) {
	p := rfc
	p.Endpoint.AuthURL = ""
	assert.Empty(t, p.Config(oauth2.Config{ClientID: "id"}).AuthCodeURL("s"))
}

// What an option says of the redirect URI goes for the provider's name for it as well: an
// embedded flow sends none.
func TestARenamedRedirectURIFollowsTheOption(t *testing.T) {
	p := waysBase()
	p.Style.Params = endpoints.Params{"back": {"{redirect_uri}"}}
	p.Consent.Params = p.Style.Params
	conf := p.Config(oauth2.Config{ClientID: "id", RedirectURL: "https://app.example/cb"})
	for _, test := range []struct {
		opts []oauth2.AuthCodeOption
		want string
	}{
		{nil, "https://app.example/cb"},
		{[]oauth2.AuthCodeOption{oauth2.SetAuthURLParam("redirect_uri", "")}, ""},
		{[]oauth2.AuthCodeOption{oauth2.SetAuthURLParam("redirect_uri", "https://other.example/cb")}, "https://other.example/cb"},
	} {
		u, err := url.Parse(conf.AuthCodeURL("st", test.opts...))
		require.NoError(t, err)
		assert.Equal(t, test.want, u.Query().Get("back"))
		var sent []string
		_, err = conf.Exchange(answering(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			sent = append(sent, r.FormValue("back"))
			io.WriteString(w, `{"access_token":"a1"}`)
		})).context(), "c0de", test.opts...)
		require.NoError(t, err)
		assert.Equal(t, []string{test.want}, sent)
	}
}

// Naver wants the state at the token endpoint as well.
func TestTheStateGoesWithTheCodeWhereTheDefinitionSaysSo(t *testing.T) {
	p := waysBase()
	for want, params := range map[string]endpoints.Params{
		"":                     nil,
		"state=st":             {"state": {"{state}"}},
		"login=st":             {"login": {"{state}"}},
		"login=st st&state=st": {"login": {"{state} {state}"}, "state": {"{state}"}},
	} {
		p.Exchange.Params = params
		require.NoError(t, p.Validate())
		conf := p.Config(oauth2.Config{ClientID: "id"})
		rfc, again := conf.ReadCallback(url.Values{"code": {"c0de"}, "state": {"st"}})
		assert.Equal(t, "st", rfc.Get("state"))
		var opts []oauth2.AuthCodeOption
		for name, v := range again {
			opts = append(opts, oauth2.SetAuthURLParam(name, v))
		}
		var sent url.Values
		token, err := conf.Exchange(answering(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			require.NoError(t, r.ParseForm())
			sent = r.PostForm
			io.WriteString(w, `{"access_token":"a1"}`)
		})).context(), "c0de", opts...)
		require.NoError(t, err)
		assert.Nil(t, token.Extra("state"), "it isn't kept")
		for _, name := range []string{"grant_type", "client_id", "code"} {
			sent.Del(name)
		}
		assert.Equal(t, strings.ReplaceAll(want, " ", "+"), sent.Encode())
	}
}
