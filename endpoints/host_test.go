package endpoints_test

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// Chart's reference names another host than its guide.
const otherChart = "https://api.trychart.com"

const exchangeAtOtherChart = `POST /auth/token HTTP/1.1
Host: api.trychart.com
Accept: application/json
Accept-Encoding: gzip
Content-Length: 32
Content-Type: application/json
User-Agent: Go-http-client/1.1

{"client_id":"id","code":"c0de"}`

func TestHostCanBeOverriddenInACopyOfTheProvider(t *testing.T) {
	p := endpoints.Chart
	p.Endpoint.TokenURL = otherChart + "/auth/token"
	p.RevokeURL = otherChart + "/disconnect"
	p.APIURLs = []string{otherChart}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			net := newInternet(t, answerJSON(200, `{"access_token":"issued-token"}`))
			ctx, conf := way.use(net.context(), p, oauth2.Config{ClientID: "id"})
			token, err := conf.Exchange(ctx, "c0de")
			require.NoError(t, err)
			resp, err := conf.Client(ctx, token).Get(otherChart + "/introspect")
			require.NoError(t, err)
			resp.Body.Close()
			require.NoError(t, p.Config(oauth2.Config{}).Revoke(ctx, token))
			assert.Equal(t, []string{exchangeAtOtherChart, `GET /introspect HTTP/1.1
Host: api.trychart.com
Accept-Encoding: gzip
Authorization: Bearer issued-token
User-Agent: Go-http-client/1.1

`, `POST /disconnect HTTP/1.1
Host: api.trychart.com
Accept: application/json
Accept-Encoding: gzip
Authorization: Bearer issued-token
Content-Length: 0
User-Agent: Go-http-client/1.1

`}, net.requests())
		})
	}
	assert.Equal(t, "https://api.trychartapi.com/auth/token", endpoints.Chart.Endpoint.TokenURL, "the original")
}

func TestHostCanBeOverriddenInTheConfig(t *testing.T) {
	net := newInternet(t, answerJSON(200, `{"access_token":"issued-token"}`))
	conf := endpoints.Chart.Config(oauth2.Config{ClientID: "id", Endpoint: oauth2.Endpoint{
		AuthURL:  "https://connect.elsewhere.example/",
		TokenURL: otherChart + "/auth/token",
	}})
	_, err := conf.Exchange(net.context(), "c0de")
	require.NoError(t, err)
	assert.Equal(t, exchangeAtOtherChart, net.only(t))
	assert.Equal(t, "https://connect.elsewhere.example/?client_id=id&state=s", conf.AuthCodeURL("s"))
	urls, err := conf.APIURLs(&oauth2.Token{AccessToken: "issued-token"})
	require.NoError(t, err)
	assert.Equal(t, []string{"https://api.trychartapi.com"}, urls, "where the API is, the endpoint doesn't say")
}

func TestRegistrationNamesTheIssuerAndTheClient(t *testing.T) {
	issuer := rfc
	issuer.Issuer = "https://auth.example/tenant"
	elsewhere := oauth2.Endpoint{TokenURL: "https://staging.example:8443/token"}
	sameOrigin := oauth2.Endpoint{TokenURL: "https://AUTH.example:443/other"}
	for _, test := range []struct {
		provider endpoints.Provider
		endpoint oauth2.Endpoint
		issuer   string
	}{
		{endpoints.Finch, oauth2.Endpoint{}, "https://api.tryfinch.com"},
		{endpoints.Finch, elsewhere, "https://staging.example:8443"},
		{rfc, sameOrigin, "https://auth.example"},
		{issuer, oauth2.Endpoint{}, "https://auth.example/tenant"},
		{issuer, sameOrigin, "https://auth.example/tenant"},
		{issuer, elsewhere, "https://staging.example:8443"}, // whose issuer isn't that
	} {
		got, id := test.provider.Config(oauth2.Config{ClientID: "id", Endpoint: test.endpoint}).Registration()
		assert.Equal(t, test.issuer, got)
		assert.Equal(t, "id", id)
	}
}

func TestHostCanBeOverriddenByATransport(t *testing.T) {
	net := newInternet(t, answerJSON(200, `{"access_token":"issued-token"}`))
	for _, way := range ways {
		redirected := roundTripper(func(r *http.Request) (*http.Response, error) {
			r = r.Clone(r.Context())
			r.URL.Host, r.Host = "api.trychart.com", ""
			return net.client.Transport.RoundTrip(r)
		})
		ctx, conf := way.use(redirected.context(), endpoints.Chart, oauth2.Config{ClientID: "id"})
		_, err := conf.Exchange(ctx, "c0de")
		require.NoError(t, err)
	}
	assert.Equal(t, []string{exchangeAtOtherChart, exchangeAtOtherChart}, net.requests())
}

func TestAuthStyleCanBeOverriddenInTheConfig(t *testing.T) {
	net := newInternet(t, answerJSON(200, `{"access_token":"issued-token"}`))
	p := rfc
	p.Endpoint.AuthStyle = oauth2.AuthStyleAutoDetect
	conf := p.Config(oauth2.Config{ClientID: "id", ClientSecret: "s", Endpoint: oauth2.Endpoint{AuthStyle: oauth2.AuthStyleInHeader}})
	_, err := conf.Exchange(net.context(), "c0de")
	require.NoError(t, err)
	assert.Contains(t, net.only(t), "\nAuthorization: Basic aWQ6cw==\n")
}

func TestRefreshURLIsUsedForRefreshAndNothingElse(t *testing.T) {
	p := rfc
	p.RefreshURL = "https://refresh.example:8443/v2/refresh?tenant=a%2Fb"
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			net := newInternet(t, answerJSON(200, `{"access_token":"issued-token"}`))
			ctx, conf := way.use(net.context(), p, oauth2.Config{ClientID: "id"})
			_, err := conf.Exchange(ctx, "c0de")
			require.NoError(t, err)
			_, err = refresh(ctx, conf, "old")
			require.NoError(t, err)
			assert.Equal(t, []string{`POST /token HTTP/1.1
Host: auth.example
Accept: application/json
Accept-Encoding: gzip
Content-Length: 52
Content-Type: application/x-www-form-urlencoded
User-Agent: Go-http-client/1.1

client_id=id&code=c0de&grant_type=authorization_code`, `POST /v2/refresh?tenant=a%2Fb HTTP/1.1
Host: refresh.example:8443
Accept: application/json
Accept-Encoding: gzip
Content-Length: 55
Content-Type: application/x-www-form-urlencoded
User-Agent: Go-http-client/1.1

client_id=id&grant_type=refresh_token&refresh_token=old`}, net.requests())
		})
	}
}

func TestTokenURLKeepsItsQuery(t *testing.T) {
	for _, body := range []endpoints.BodyFormat{endpoints.FormBody, endpoints.JSONBody, endpoints.QueryBody} {
		net := newInternet(t, answerJSON(200, `{"access_token":"issued-token"}`))
		p := rfc
		p.Endpoint.TokenURL = "https://auth.example:/token?tenant=a%2Fb&x="
		p.Style.Body = body
		_, err := p.Config(oauth2.Config{ClientID: "id"}).Exchange(net.context(), "c0de")
		require.NoError(t, err)
		line, _, _ := strings.Cut(net.only(t), "\n")
		want := "POST /token?tenant=a%2Fb&x= HTTP/1.1"
		if body == endpoints.QueryBody {
			want = "POST /token?tenant=a%2Fb&x=&client_id=id&code=c0de&grant_type=authorization_code HTTP/1.1"
		}
		assert.Equal(t, want, line)
	}
}

// The client's jar puts cookies in before the adapter says where the request goes.
func TestCookiesOfTheTokenURLStayWithIt(t *testing.T) {
	p := rfc
	p.RefreshURL = "https://refresh.example/token"
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	for _, host := range []string{"https://auth.example", "https://refresh.example"} {
		u, err := url.Parse(host)
		require.NoError(t, err)
		jar.SetCookies(u, []*http.Cookie{{Name: "session", Value: u.Host}})
	}
	seen := make(map[string]string)
	ctx := answering(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen[r.URL.Host] = r.Header.Get("Cookie")
		io.WriteString(w, `{"access_token":"a1"}`)
	})).context()
	client := *ctx.Value(oauth2.HTTPClient).(*http.Client)
	client.Jar = jar
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &client)
	plain := oauth2.Config{ClientID: "id", Endpoint: p.Endpoint}
	_, err = plain.Exchange(p.Context(ctx), "c0de")
	require.NoError(t, err)
	_, err = refresh(p.Context(ctx), &plain, "r1")
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"auth.example": "session=auth.example", "refresh.example": ""}, seen)
	_, err = refresh(ctx, p.Config(plain), "r1")
	require.NoError(t, err)
	assert.Equal(t, "session=refresh.example", seen["refresh.example"])

	for host, want := range map[string]string{"auth.example": "own=1; session=auth.example", "other.example": "own=1"} {
		p.Request = func(r *endpoints.Request) error {
			r.HTTP.URL.Host = host
			r.HTTP.AddCookie(&http.Cookie{Name: "own", Value: "1"})
			return nil
		}
		_, err = p.Config(plain).Exchange(ctx, "c0de")
		require.NoError(t, err)
		assert.Equal(t, want, seen[host], "a hook's and the jar's")
	}
}
