package endpoints_test

import (
	"context"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

const insecure = " must be an https URL, or one of http at this machine; InsecureHTTP allows others"

// plainMistakes are settings of a provider that has no variables: a plain *oauth2.Config
// hears of them as well.
var plainMistakes = []struct {
	change func(p *endpoints.Provider)
	want   string
}{
	{func(p *endpoints.Provider) { p.Endpoint.TokenURL = "" }, "Endpoint.TokenURL is missing"},
	{func(p *endpoints.Provider) { p.Endpoint.TokenURL = "/token" }, "Endpoint.TokenURL must be an absolute http or https URL"},
	{func(p *endpoints.Provider) { p.Endpoint.TokenURL = "https://\x7f/" }, "Endpoint.TokenURL must be an absolute http or https URL"},
	{func(p *endpoints.Provider) { p.Endpoint.AuthURL = "auth.example" }, "Endpoint.AuthURL must be an absolute http or https URL"},
	{func(p *endpoints.Provider) { p.RefreshURL = "ftp://auth.example/" }, "RefreshURL must be an absolute http or https URL"},
	{func(p *endpoints.Provider) { p.RevokeURL = "https:///revoke" }, "RevokeURL must be an absolute http or https URL"},
	{func(p *endpoints.Provider) { p.APIURLs = append(p.APIURLs, "api.example:443") }, "APIURLs[1] must be an absolute http or https URL"},
	{func(p *endpoints.Provider) { p.APIURLs = append(p.APIURLs, "") }, "APIURLs[1] must be an absolute http or https URL"},
	{func(p *endpoints.Provider) { p.Issuer = "auth.example" }, "Issuer must be an absolute http or https URL"},
	{func(p *endpoints.Provider) { p.Issuer = "https://auth.example/?tenant=1" }, "Issuer can't have a query, a fragment or a variable (RFC 8414, section 2)"},
	{func(p *endpoints.Provider) { p.Issuer = "https://auth.example/#1" }, "Issuer can't have a query, a fragment or a variable (RFC 8414, section 2)"},
	{func(p *endpoints.Provider) { p.Issuer = "http://auth.example" }, "Issuer" + insecure},
	{func(p *endpoints.Provider) { p.Endpoint.AuthURL = "http://auth.example" }, "Endpoint.AuthURL" + insecure},
	{func(p *endpoints.Provider) { p.Endpoint.TokenURL = "http://auth.example" }, "Endpoint.TokenURL" + insecure},
	{func(p *endpoints.Provider) { p.Endpoint.TokenURL = "https://user:key@auth.example" }, "Endpoint.TokenURL has a user in it"},
	{func(p *endpoints.Provider) { p.RefreshURL = "http://192.168.0.1" }, "RefreshURL" + insecure},
	{func(p *endpoints.Provider) { p.RevokeURL = "http://localhost.example" }, "RevokeURL" + insecure},
	{func(p *endpoints.Provider) { p.APIURLs = append(p.APIURLs, "http://api.example") }, "APIURLs[1]" + insecure},
	{func(p *endpoints.Provider) { p.Endpoint.AuthStyle = 3 }, "Endpoint.AuthStyle is unknown: 3"},
	{func(p *endpoints.Provider) { p.Endpoint.AuthStyle = -1 }, "Endpoint.AuthStyle is unknown: -1"},
	{func(p *endpoints.Provider) { p.RevokeURL, p.Revoke.Auth = "", endpoints.AccessTokenAuth }, "Revoke has no effect without RevokeURL"},
	{func(p *endpoints.Provider) { p.Style.Body = "xml" }, `Style.Body is unknown: "xml" is none of form, json, query`},
	{func(p *endpoints.Provider) { p.Style.Method = "PUT" }, `Style.Method is unknown: "PUT" is none of POST, GET, DELETE`},
	{func(p *endpoints.Provider) { p.Style.Method, p.Style.Body = "GET", endpoints.JSONBody }, "Style.Body contradicts Method: a GET has no body"},
	{func(p *endpoints.Provider) {
		p.Answer.TokenIn, p.Answer.Names = "data", map[string]string{"expires_at": "data.at"}
	}, `Answer.Names["expires_at"] is named from TokenIn on: "at"`},
	{func(p *endpoints.Provider) { p.Answer.Names = map[string]string{"access_token": ""} }, `Answer.Names["access_token"] can't match: "" is not a path of members with dots`},
	{func(p *endpoints.Provider) { p.Exchange.Params = endpoints.Params{"code": {"x"}} }, `Exchange.Params["code"][0] gives a fixed value to what is different in each request, or has a field of its own`},
	{func(p *endpoints.Provider) { p.Refresh.Params = endpoints.Params{"client_secret": {"x"}} }, `Refresh.Params["client_secret"][0] gives a fixed value to what is different in each request, or has a field of its own`},
	{func(p *endpoints.Provider) { p.Style.Params = endpoints.Params{"scope": {"x"}} }, `Style.Params["scope"][0] gives a fixed value to what is different in each request, or has a field of its own`},
	{func(p *endpoints.Provider) { p.Consent.Params = endpoints.Params{"scope": {"x"}} }, `Consent.Params["scope"][0] gives a fixed value to what is different in each request, or has a field of its own`},
	{func(p *endpoints.Provider) { p.Consent.Params = endpoints.Params{"state": {"x"}} }, `Consent.Params["state"][0] gives a fixed value to what is different in each request, or has a field of its own`},
	{func(p *endpoints.Provider) { p.Style.Header = map[string]string{"X-Same": "a", "x-same": "b"} }, `Style.Header["x-same"] is there twice: as "X-Same", too`},
}

func TestAMistakeIsReportedBeforeAnythingIsSent(t *testing.T) {
	nothing := roundTripper(func(r *http.Request) (*http.Response, error) {
		t.Errorf("a request was sent to %s", r.URL)
		return nil, io.EOF
	})
	ctx := nothing.context()
	token := &oauth2.Token{AccessToken: "access-token", RefreshToken: refreshToken, Expiry: time.Unix(1, 0)}
	for _, m := range plainMistakes {
		t.Run(m.want, func(t *testing.T) {
			p := rfc
			m.change(&p)
			want := "endpoints: RFC: " + m.want
			assert.EqualError(t, p.Validate(), want)

			conf := p.Config(oauth2.Config{ClientID: "id"})
			assertIsMistake := func(err error) {
				t.Helper()
				assert.ErrorContains(t, err, want)
				assert.Equal(t, endpoints.KindUnknown, endpoints.KindOf(err))
			}
			_, err := conf.Exchange(ctx, code)
			assertIsMistake(err)
			_, err = conf.TokenSource(ctx, token).Token()
			assertIsMistake(err)
			_, err = conf.Client(ctx, token).Get("https://api.example/v1")
			assertIsMistake(err)
			assertIsMistake(conf.Revoke(ctx, token))
			assert.Empty(t, conf.AuthCodeURL("state"))

			assert.Empty(t, p.AuthCodeURL("https://auth.example?client_id=id"))

			if strings.HasPrefix(m.want, "Endpoint.TokenURL") {
				return // a plain Config has it too, and x/oauth2 complains
			}
			plain := &oauth2.Config{ClientID: "id", Endpoint: p.Endpoint}
			_, err = plain.Exchange(p.Context(ctx), code)
			assertIsMistake(err)
			_, err = plain.TokenSource(p.Context(ctx), token).Token()
			assertIsMistake(err)
		})
	}
}

func TestScopesOfAProviderWithoutScopesAreAMistake(t *testing.T) {
	conf := endpoints.Chart.Config(oauth2.Config{ClientID: "id", Scopes: []string{"a"}})
	_, err := conf.Exchange(context.Background(), code)
	assert.EqualError(t, err, "endpoints: Chart: this provider knows no scopes, leave oauth2.Config.Scopes empty")
	assert.Empty(t, conf.AuthCodeURL("state"))
}

func TestZeroConfigIsAMistake(t *testing.T) {
	var conf endpoints.Config
	const want = "endpoints: a Config is made by Provider.Config"
	_, err := conf.Exchange(context.Background(), code)
	assert.EqualError(t, err, want)
	_, err = conf.TokenSource(context.Background(), nil).Token()
	assert.EqualError(t, err, want)
	assert.EqualError(t, conf.Revoke(context.Background(), &oauth2.Token{AccessToken: "x"}), want)
	_, err = conf.Client(context.Background(), nil).Get("https://api.example/")
	assert.ErrorContains(t, err, want)
	assert.Empty(t, conf.AuthCodeURL("state"))
	_, err = conf.APIURLs(nil)
	assert.EqualError(t, err, want)
	_, err = conf.Introspect(context.Background(), &oauth2.Token{AccessToken: "x"})
	assert.EqualError(t, err, want)
	issuer, clientID := conf.Registration()
	assert.Empty(t, issuer+clientID)
	assert.Equal(t, "endpoints.Config(, )", conf.String())
}

func TestTheProvidersDefinedHereAreValid(t *testing.T) {
	for _, p := range []endpoints.Provider{endpoints.Finch, endpoints.Chart, endpoints.TaxRock, endpoints.TaxRockSandbox, rfc} {
		assert.NoError(t, p.Validate(), p.Name)
	}
	swapped := rfc
	swapped.Style.Params = endpoints.Params{
		"client_id": {"{client_secret}"}, "client_secret": {"{client_id}"}, "resource": {"x"}, "audience": {"y"},
	}
	assert.NoError(t, swapped.Validate())
}

func TestPlainHTTPIsForThisMachineOrAllowed(t *testing.T) {
	at := func(u string) endpoints.Provider {
		p := rfc
		p.Endpoint.AuthURL, p.Endpoint.TokenURL, p.RefreshURL, p.RevokeURL, p.APIURLs, p.Issuer = u, u, u, u, []string{u}, u
		return p
	}
	for _, u := range []string{"http://localhost:8080", "http://127.0.0.1/x", "http://[::1]:1"} {
		assert.NoError(t, at(u).Validate(), u)
	}
	p := at("http://auth.example")
	assert.Error(t, p.Validate())
	_, err := p.Config(oauth2.Config{ClientID: "id"}).Exchange(context.Background(), "c0de")
	assert.ErrorContains(t, err, "Endpoint.AuthURL"+insecure, "before anything is sent")
	plain := oauth2.Config{ClientID: "id", Endpoint: p.Endpoint}
	_, err = plain.Exchange(p.Context(context.Background()), "c0de")
	assert.ErrorContains(t, err, "Endpoint.AuthURL"+insecure)
	p.InsecureHTTP = true
	assert.NoError(t, p.Validate())
}

// deepest is a provider that uses every field.
func deepest() endpoints.Provider {
	p := rfc
	p.Issuer, p.InsecureHTTP, p.APIURLs = "https://auth.example/tenant", true, []string{"https://api.example"}
	p.RefreshURL = "https://auth.example/refresh"
	p.Vars = map[string][]string{"trace": {"", "7"}}
	p.Consent = endpoints.Consent{
		Params: endpoints.Params{"prompt": {"consent"}, "products": {"{scope}"}, "response_type": nil}, Scopes: []string{"a", "b"}, ScopeSeparator: ",",
	}
	p.Callback = endpoints.Callback{
		Names: map[string]string{"code": "auth_code"}, Keep: []string{"account"},
		Errors: []endpoints.ErrorRule{{In: "cancel", Code: "1", Kind: endpoints.KindDenied}},
	}
	p.Style = endpoints.AuthStyle{
		Body: endpoints.JSONBody, Params: endpoints.Params{"key": {"{client_id}"}, "client_secret": {"{client_secret}"}},
		Header: map[string]string{"X-Version": "1"},
	}
	p.Exchange = endpoints.AuthStyle{Params: endpoints.Params{"expiring": {"1"}}, Header: map[string]string{"X-Trace": "{trace}"}}
	p.Refresh = endpoints.AuthStyle{Params: endpoints.Params{"grant_type": nil, "audience": {"api", "other"}}}
	p.Answer = endpoints.Answer{
		TokenIn: "data", Names: map[string]string{"access_token": "token", "expires_at": "at"}, DefaultLifetime: time.Hour,
		Success: map[string]string{"ok": "true"}, Errors: []endpoints.ErrorRule{{Code: "1", Kind: endpoints.KindLoginRequired}},
	}
	p.API = endpoints.API{
		Header: map[string]string{"X-Token": "{access_token}"}, Errors: []endpoints.ErrorRule{{Status: 403, Code: "2", Kind: endpoints.KindTokenRejected}},
	}
	p.Request = func(*endpoints.Request) error { return nil }
	p.Response = func(*endpoints.Response) error { return nil }
	return p
}

// withoutHooks returns p without its functions, which can't be compared.
func withoutHooks(p endpoints.Provider) endpoints.Provider {
	p.Request, p.Response = nil, nil
	return p
}

func useEverything(t *testing.T, ctx context.Context, conf client) []string {
	t.Helper()
	var urls []string
	for range 2 {
		_, err := conf.Exchange(ctx, "c0de", oauth2.SetAuthURLParam("trace", "7"))
		require.NoError(t, err)
		_, err = refresh(ctx, conf, "old")
		require.NoError(t, err)
		urls = append(urls, conf.AuthCodeURL("state", oauth2.SetAuthURLParam("prompt", "")))
	}
	return urls
}

func TestUseDoesNotChangeAProvider(t *testing.T) {
	ok := answerJSON(200, `{"ok":true,"data":{"token":"issued-token","refresh_token":"new"}}`)
	for _, way := range ways {
		p := deepest()
		require.NoError(t, p.Validate())
		ctx, conf := way.use(answering(ok).context(), p, oauth2.Config{ClientID: "id", ClientSecret: "s"})
		useEverything(t, ctx, conf)
		p.AuthCodeURL("https://auth.example?scope=c")
		require.NoError(t, p.Config(oauth2.Config{ClientID: "id"}).Revoke(ctx, &oauth2.Token{AccessToken: "x"}))
		assert.Equal(t, withoutHooks(deepest()), withoutHooks(p))
	}
}

func TestConfigKeepsNoReferenceToWhatItWasMadeFrom(t *testing.T) {
	ok := answerJSON(200, `{"ok":true,"data":{"token":"issued-token"}}`)
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			p := deepest()
			scopes := []string{"x", "y"}
			net := newInternet(t, ok)
			c := oauth2.Config{ClientID: "id", ClientSecret: "s"}
			if way.name == "Provider.Config" {
				c.Scopes = scopes
			}
			ctx, conf := way.use(net.context(), p, c)
			urls := useEverything(t, ctx, conf)
			before := net.requests()

			scopes[0] = "changed"
			changeEverything(reflect.ValueOf(&p).Elem())
			assert.Equal(t, urls, useEverything(t, ctx, conf))
			assert.Equal(t, before, net.requests()[len(before):])
		})
	}
}

// changeEverything writes into each map and slice that v holds.
func changeEverything(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			changeEverything(v.Field(i))
		}
	case reflect.Map:
		for entries := v.MapRange(); entries.Next(); {
			changeEverything(entries.Value())
			if v.Type().Elem().Kind() == reflect.String {
				v.SetMapIndex(entries.Key(), reflect.ValueOf("changed"))
			}
		}
		if v.IsNil() {
			return
		}
		v.SetMapIndex(reflect.ValueOf("added"), reflect.Zero(v.Type().Elem()))
	case reflect.Slice:
		for i := range v.Len() {
			if v.Type().Elem().Kind() == reflect.String {
				v.Index(i).SetString("changed")
				continue
			}
			v.Index(i).SetZero()
		}
	}
}
