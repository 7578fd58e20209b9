package endpoints_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/chart"
)

const (
	clientID     = "id-of-the-client"
	clientSecret = `se"cret+/&=<é>` // what needs escaping in JSON, in a form or in a URL
	code         = "code/with+specials=="
	verifier     = "verifier-verifier-verifier-verifier-verifier"
	callback     = "https://app.example/callback?a=1&b=2"
	refreshToken = "v1.refresh/token+=="
)

// embedded are the two ways to leave redirect_uri out of an exchange.
var embedded = []struct {
	name     string
	redirect string
	opts     []oauth2.AuthCodeOption
}{
	{"without a RedirectURL", "", nil},
	{"with an empty redirect_uri", callback, []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("redirect_uri", "")}},
}

func TestExchangeIsSentAsTheProviderDocumentsIt(t *testing.T) {
	type exchange struct {
		name     string
		provider endpoints.Provider
		redirect string
		opts     []oauth2.AuthCodeOption
		want     string
	}
	tests := []exchange{
		{"Finch, redirect flow", endpoints.Finch, callback, nil, `POST /auth/token HTTP/1.1
Host: api.tryfinch.com
Accept: application/json
Accept-Encoding: gzip
Content-Length: 151
Content-Type: application/json
Finch-Api-Version: 2020-09-17
User-Agent: Go-http-client/1.1

{"client_id":"id-of-the-client","client_secret":"se\"cret+/&=<é>","code":"code/with+specials==","redirect_uri":"https://app.example/callback?a=1&b=2"}`},

		{"Chart, redirect flow", endpoints.Chart, callback, nil, `POST /auth/token HTTP/1.1
Host: api.trychartapi.com
Accept: application/json
Accept-Encoding: gzip
Content-Length: 151
Content-Type: application/json
User-Agent: Go-http-client/1.1

{"client_id":"id-of-the-client","client_secret":"se\"cret+/&=<é>","code":"code/with+specials==","redirect_uri":"https://app.example/callback?a=1&b=2"}`},

		{"Chart, redirect flow, asynchronous", endpoints.Chart, callback, []oauth2.AuthCodeOption{chart.Async}, `POST /auth/token HTTP/1.1
Host: api.trychartapi.com
Accept: application/json
Accept-Encoding: gzip
Content-Length: 151
Content-Type: application/json
User-Agent: Go-http-client/1.1
X-Chart-Async: true

{"client_id":"id-of-the-client","client_secret":"se\"cret+/&=<é>","code":"code/with+specials==","redirect_uri":"https://app.example/callback?a=1&b=2"}`},

		{"Chart, embedded flow, asynchronous", endpoints.Chart, "", []oauth2.AuthCodeOption{chart.Async}, `POST /auth/token HTTP/1.1
Host: api.trychartapi.com
Accept: application/json
Accept-Encoding: gzip
Content-Length: 97
Content-Type: application/json
User-Agent: Go-http-client/1.1
X-Chart-Async: true

{"client_id":"id-of-the-client","client_secret":"se\"cret+/&=<é>","code":"code/with+specials=="}`},

		{"TaxRock", endpoints.TaxRock, callback, []oauth2.AuthCodeOption{oauth2.VerifierOption(verifier)}, `POST /oauth/token HTTP/1.1
Host: login.taxrock.com
Accept: application/json
Accept-Encoding: gzip
Content-Length: 248
Content-Type: application/json
User-Agent: Go-http-client/1.1

{"client_id":"id-of-the-client","client_secret":"se\"cret+/&=<é>","code":"code/with+specials==","code_verifier":"verifier-verifier-verifier-verifier-verifier","grant_type":"authorization_code","redirect_uri":"https://app.example/callback?a=1&b=2"}`},

		{"TaxRock's sandbox", endpoints.TaxRockSandbox, callback, []oauth2.AuthCodeOption{oauth2.VerifierOption(verifier)}, `POST /oauth/token HTTP/1.1
Host: login-demo.taxrock.com
Accept: application/json
Accept-Encoding: gzip
Content-Length: 248
Content-Type: application/json
User-Agent: Go-http-client/1.1

{"client_id":"id-of-the-client","client_secret":"se\"cret+/&=<é>","code":"code/with+specials==","code_verifier":"verifier-verifier-verifier-verifier-verifier","grant_type":"authorization_code","redirect_uri":"https://app.example/callback?a=1&b=2"}`},
	}
	for _, e := range embedded {
		tests = append(tests,
			exchange{"Finch, embedded flow " + e.name, endpoints.Finch, e.redirect, e.opts, `POST /auth/token HTTP/1.1
Host: api.tryfinch.com
Accept: application/json
Accept-Encoding: gzip
Content-Length: 97
Content-Type: application/json
Finch-Api-Version: 2020-09-17
User-Agent: Go-http-client/1.1

{"client_id":"id-of-the-client","client_secret":"se\"cret+/&=<é>","code":"code/with+specials=="}`},

			exchange{"Chart, embedded flow " + e.name, endpoints.Chart, e.redirect, e.opts, `POST /auth/token HTTP/1.1
Host: api.trychartapi.com
Accept: application/json
Accept-Encoding: gzip
Content-Length: 97
Content-Type: application/json
User-Agent: Go-http-client/1.1

{"client_id":"id-of-the-client","client_secret":"se\"cret+/&=<é>","code":"code/with+specials=="}`})
	}
	for _, test := range tests {
		for _, way := range ways {
			t.Run(test.name+"/"+way.name, func(t *testing.T) {
				net := newInternet(t, answerJSON(200, `{"access_token":"issued-token"}`))
				ctx, conf := way.use(net.context(), test.provider, oauth2.Config{
					ClientID: clientID, ClientSecret: clientSecret, RedirectURL: test.redirect,
				})
				token, err := conf.Exchange(ctx, code, test.opts...)
				require.NoError(t, err)
				assert.Equal(t, test.want, net.only(t))
				assert.True(t, token.AccessToken == "issued-token", "the token that was issued")
				assert.True(t, token.Expiry.IsZero(), "a token without expires_in lives until it is revoked")
			})
		}
	}
}

func TestRefreshIsSentAsTheProviderDocumentsIt(t *testing.T) {
	for _, test := range []struct {
		name     string
		provider endpoints.Provider
		want     string
	}{
		{"TaxRock", endpoints.TaxRock, `POST /oauth/token HTTP/1.1
Host: login.taxrock.com
Accept: application/json
Accept-Encoding: gzip
Content-Length: 180
Content-Type: application/json
User-Agent: Go-http-client/1.1

{"audience":"https://delegate.api.taxrock.com","client_id":"id-of-the-client","client_secret":"se\"cret+/&=<é>","grant_type":"refresh_token","refresh_token":"v1.refresh/token+=="}`},
		{"TaxRock's sandbox, for the production audience", endpoints.TaxRockSandbox, `POST /oauth/token HTTP/1.1
Host: login-demo.taxrock.com
Accept: application/json
Accept-Encoding: gzip
Content-Length: 180
Content-Type: application/json
User-Agent: Go-http-client/1.1

{"audience":"https://delegate.api.taxrock.com","client_id":"id-of-the-client","client_secret":"se\"cret+/&=<é>","grant_type":"refresh_token","refresh_token":"v1.refresh/token+=="}`},
	} {
		for _, way := range ways {
			t.Run(test.name+"/"+way.name, func(t *testing.T) {
				net := newInternet(t, answerJSON(200, `{"access_token":"fresh-token","expires_in":3600,"token_type":"Bearer"}`))
				ctx, conf := way.use(net.context(), test.provider, oauth2.Config{
					ClientID: clientID, ClientSecret: clientSecret, RedirectURL: callback,
				})
				token, err := refresh(ctx, conf, refreshToken)
				require.NoError(t, err)
				assert.Equal(t, test.want, net.only(t))
				assert.True(t, token.AccessToken == "fresh-token", "the token that was issued")
				assert.True(t, token.RefreshToken == refreshToken, "the old refresh token is kept, because none was sent")
			})
		}
	}
}

func TestAnOptionWinsOverTheProvidersParameter(t *testing.T) {
	p := rfc
	p.Style.Body = endpoints.JSONBody
	p.Exchange.Params = endpoints.Params{"audience": {"default"}, "expiring": {"1"}}
	for _, test := range []struct {
		opts []oauth2.AuthCodeOption
		want string
	}{
		{nil, `{"audience":"default","client_id":"id","code":"c0de","expiring":"1","grant_type":"authorization_code"}`},
		{
			[]oauth2.AuthCodeOption{oauth2.SetAuthURLParam("audience", "mine"), oauth2.SetAuthURLParam("expiring", "")},
			`{"audience":"mine","client_id":"id","code":"c0de","grant_type":"authorization_code"}`,
		},
	} {
		for _, way := range ways {
			net := newInternet(t, answerJSON(200, `{"access_token":"issued-token"}`))
			ctx, conf := way.use(net.context(), p, oauth2.Config{ClientID: "id"})
			_, err := conf.Exchange(ctx, "c0de", test.opts...)
			require.NoError(t, err)
			_, body, _ := strings.Cut(net.only(t), "\n\n")
			assert.Equal(t, test.want, body)
		}
	}
}

func TestAParameterThatOccursTwiceIsAnArray(t *testing.T) {
	p := rfc
	p.Style.Body = endpoints.JSONBody
	p.Exchange.Params = endpoints.Params{"resource": {"a", "b"}}
	net := newInternet(t, answerJSON(200, `{"access_token":"issued-token"}`))
	_, err := p.Config(oauth2.Config{ClientID: "id"}).Exchange(net.context(), "c0de")
	require.NoError(t, err)
	_, body, _ := strings.Cut(net.only(t), "\n\n")
	assert.Equal(t, `{"client_id":"id","code":"c0de","grant_type":"authorization_code","resource":["a","b"]}`, body)
}

func TestPublicClientSendsNoSecret(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			net := newInternet(t, answerJSON(200, `{"access_token":"issued-token"}`))
			ctx, conf := way.use(net.context(), rfc, oauth2.Config{ClientID: clientID})
			_, err := conf.Exchange(ctx, "c0de", oauth2.VerifierOption(verifier))
			require.NoError(t, err)
			assert.Equal(t, `POST /token HTTP/1.1
Host: auth.example
Accept: application/json
Accept-Encoding: gzip
Content-Length: 125
Content-Type: application/x-www-form-urlencoded
User-Agent: Go-http-client/1.1

client_id=id-of-the-client&code=c0de&code_verifier=verifier-verifier-verifier-verifier-verifier&grant_type=authorization_code`, net.only(t))
		})
	}
}
