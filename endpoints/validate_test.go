package endpoints_test

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

const insecure = " must be an https URL, or one of http at this machine; InsecureHTTP allows others"

// mistakes are settings that are missing, unknown or contradict each other.
var mistakes = []struct {
	change func(p *endpoints.Provider)
	want   string
}{
	{func(p *endpoints.Provider) { p.Endpoint.TokenURL = "" }, "Endpoint.TokenURL must be an absolute http or https URL"},
	{func(p *endpoints.Provider) { p.Endpoint.TokenURL = "/token" }, "Endpoint.TokenURL must be an absolute http or https URL"},
	{func(p *endpoints.Provider) { p.Endpoint.TokenURL = "https://\x7f/" }, "Endpoint.TokenURL must be an absolute http or https URL"},
	{func(p *endpoints.Provider) { p.Endpoint.AuthURL = "auth.example" }, "Endpoint.AuthURL must be an absolute http or https URL"},
	{func(p *endpoints.Provider) { p.RefreshURL = "ftp://auth.example/" }, "RefreshURL must be an absolute http or https URL"},
	{func(p *endpoints.Provider) { p.RevokeURL = "https:///revoke" }, "RevokeURL must be an absolute http or https URL"},
	{func(p *endpoints.Provider) { p.APIURLs = append(p.APIURLs, "api.example:443") }, "APIURLs must be an absolute http or https URL"},
	{func(p *endpoints.Provider) { p.APIURLs = append(p.APIURLs, "") }, "APIURLs must be an absolute http or https URL"},
	{func(p *endpoints.Provider) { p.Issuer = "auth.example" }, "Issuer must be an absolute http or https URL"},
	{func(p *endpoints.Provider) { p.Issuer = "https://auth.example/?tenant=1" }, "Issuer can't have a query or a fragment"},
	{func(p *endpoints.Provider) { p.Issuer = "https://auth.example/#1" }, "Issuer can't have a query or a fragment"},
	{func(p *endpoints.Provider) { p.Issuer = "http://auth.example" }, "Issuer" + insecure},
	{func(p *endpoints.Provider) { p.Endpoint.AuthURL = "http://auth.example" }, "Endpoint.AuthURL" + insecure},
	{func(p *endpoints.Provider) { p.Endpoint.TokenURL = "http://auth.example" }, "Endpoint.TokenURL" + insecure},
	{func(p *endpoints.Provider) { p.RefreshURL = "http://192.168.0.1" }, "RefreshURL" + insecure},
	{func(p *endpoints.Provider) { p.RevokeURL = "http://localhost.example" }, "RevokeURL" + insecure},
	{func(p *endpoints.Provider) { p.APIURLs = append(p.APIURLs, "http://api.example") }, "APIURLs" + insecure},
	{func(p *endpoints.Provider) { p.Endpoint.AuthStyle = oauth2.AuthStyleAutoDetect }, "Endpoint.AuthStyle must be set: auto-detection would spend a single-use code twice"},
	{func(p *endpoints.Provider) { p.Endpoint.AuthStyle = 3 }, "unknown Endpoint.AuthStyle 3"},
	{func(p *endpoints.Provider) { p.Endpoint.AuthStyle = -1 }, "unknown Endpoint.AuthStyle -1"},
	{func(p *endpoints.Provider) { p.RevokeURL, p.Style.RevokeWithBearer = "", true }, "Style.RevokeWithBearer needs a RevokeURL"},

	{func(p *endpoints.Provider) { p.Style.Body = 3 }, "unknown Style.Body 3"},
	{func(p *endpoints.Provider) { p.Style.Body = -1 }, "unknown Style.Body -1"},
	{func(p *endpoints.Provider) { p.Style.Method = "PUT" }, `Style.Method is neither POST nor GET but "PUT"`},
	{func(p *endpoints.Provider) { p.Style.Method = "GET" }, "Style.Method GET needs Style.Body QueryBody"},
	{func(p *endpoints.Provider) {
		p.Style.Method, p.Style.Body, p.Style.RevokeWithBearer = "GET", endpoints.QueryBody, true
	}, "Style.Method GET and RevokeWithBearer contradict each other"},
	{func(p *endpoints.Provider) { p.Style.LifetimeUnit = -1 }, "Style.LifetimeUnit and DefaultLifetime can't be negative"},
	{func(p *endpoints.Provider) { p.Style.DefaultLifetime = -1 }, "Style.LifetimeUnit and DefaultLifetime can't be negative"},
	{func(p *endpoints.Provider) { p.Style.ExpiresAt, p.Style.LifetimeUnit = "at", time.Millisecond }, "Style.ExpiresAt and LifetimeUnit contradict each other"},
	{func(p *endpoints.Provider) { p.Style.TokenIn, p.Style.ExpiresAt = "data", "data.at" }, "AuthStyle names data.at, which is named without Style.TokenIn"},
	{func(p *endpoints.Provider) {
		p.Style.TokenIn, p.Style.ResponseNames = "data", map[string]string{"access_token": "data.token"}
	}, "AuthStyle names data.token, which is named without Style.TokenIn"},
	{func(p *endpoints.Provider) {
		p.Style.TokenIn, p.Style.ErrorMembers = "data", []string{"error", "data.error"}
	}, "AuthStyle names data.error, which is named without Style.TokenIn"},
	{func(p *endpoints.Provider) { p.Style.SuccessMember = "ok" }, "Style.SuccessMember and SuccessValues need each other"},
	{func(p *endpoints.Provider) { p.Style.SuccessValues = []string{"true"} }, "Style.SuccessMember and SuccessValues need each other"},

	{func(p *endpoints.Provider) { p.Style.RequestNames = map[string]string{"code": ""} }, "an empty name in Style.RequestNames"},
	{func(p *endpoints.Provider) { p.Style.HeaderParams = map[string]string{"": "X"} }, "an empty name in Style.HeaderParams"},
	{func(p *endpoints.Provider) { p.Style.ResponseNames = map[string]string{"access_token": ""} }, "an empty name in Style.ResponseNames"},
	{func(p *endpoints.Provider) { p.Style.ErrorCodes = map[string]string{"": "invalid_grant"} }, "an empty name in Style.ErrorCodes"},
	{func(p *endpoints.Provider) { p.Style.ErrorCodes = map[string]string{"7": "nonsense"} }, `Style.ErrorCodes gives 7 the meaning "nonsense", which is no known code`},
	{func(p *endpoints.Provider) {
		p.Style.Omit, p.Style.RequestNames = []string{"code"}, map[string]string{"code": "ticket"}
	}, "AuthStyle both omits and renames code"},
	{func(p *endpoints.Provider) {
		p.Style.NoPKCE, p.Style.RequestNames = true, map[string]string{"code_verifier": "verifier"}
	}, "AuthStyle both omits and renames code_verifier"},
	{func(p *endpoints.Provider) { p.Style.Omit, p.Style.ScopeParam = []string{"scope"}, "products" }, "AuthStyle both omits and renames scope"},
	{func(p *endpoints.Provider) {
		p.Style.RequestNames = map[string]string{"client_id": "key", "client_secret": "key"}
	}, "Style.RequestNames gives client_id and client_secret the same name"},
	{func(p *endpoints.Provider) { p.Style.RequestNames = map[string]string{"code": "client_id"} }, "Style.RequestNames gives client_id and code the same name"},
	{func(p *endpoints.Provider) {
		p.Style.RequestNames, p.Style.HeaderParams = map[string]string{"code": "ticket"}, map[string]string{"code": "X-Code"}
	}, "AuthStyle both renames code and sends it as a header"},
	{func(p *endpoints.Provider) {
		p.Style.Omit, p.Style.HeaderParams = []string{"code"}, map[string]string{"code": "X-Code"}
	}, "AuthStyle both omits code and sends it as a header"},
	{func(p *endpoints.Provider) {
		p.Style.HeaderParams = map[string]string{"a": "X-Same", "b": "x-same"}
	}, "Style.HeaderParams gives a and b the same header"},

	{func(p *endpoints.Provider) { p.AuthParams = map[string]string{"": "x"} }, `AuthParams can't set the parameter ""`},
	{func(p *endpoints.Provider) { p.AuthParams = map[string]string{"state": "x"} }, `AuthParams can't set the parameter "state"`},
	{func(p *endpoints.Provider) { p.AuthParams = map[string]string{"scope": "x"} }, `AuthParams can't set the parameter "scope"`},
	{func(p *endpoints.Provider) {
		p.Style.ScopeParam, p.AuthParams = "products", map[string]string{"products": "x"}
	}, `AuthParams can't set the parameter "products"`},
	{func(p *endpoints.Provider) { p.ExchangeParams = map[string]string{"grant_type": "password"} }, `ExchangeParams can't set the parameter "grant_type"`},
	{func(p *endpoints.Provider) { p.ExchangeParams = map[string]string{"code": "x"} }, `ExchangeParams can't set the parameter "code"`},
	{func(p *endpoints.Provider) { p.RefreshParams = map[string]string{"grant_type": "x"} }, `RefreshParams can't set the parameter "grant_type"`},
	{func(p *endpoints.Provider) { p.RefreshParams = map[string]string{"client_secret": "x"} }, `RefreshParams can't set the parameter "client_secret"`},
	{func(p *endpoints.Provider) {
		p.Style.OmitAtRefresh, p.RefreshParams = []string{"audience"}, map[string]string{"audience": "x"}
	}, `RefreshParams can't set the parameter "audience"`},
	{func(p *endpoints.Provider) {
		p.Style.Omit, p.ExchangeParams = []string{"audience"}, map[string]string{"audience": "x"}
	}, "ExchangeParams sets audience, which Style omits"},
	{func(p *endpoints.Provider) {
		p.Style.RequestNames, p.ExchangeParams = map[string]string{"client_id": "key"}, map[string]string{"key": "x"}
	}, "ExchangeParams sets key, which is another parameter's name in Style.RequestNames"},
	{func(p *endpoints.Provider) { p.Style.Omit, p.DefaultScopes = []string{"scope"}, []string{"a"} }, "DefaultScopes are set, but Style omits scope"},
}

func TestAMistakeIsReportedBeforeAnythingIsSent(t *testing.T) {
	nothing := roundTripper(func(r *http.Request) (*http.Response, error) {
		t.Errorf("a request was sent to %s", r.URL)
		return nil, io.EOF
	})
	ctx := nothing.context()
	token := &oauth2.Token{AccessToken: "access-token", RefreshToken: refreshToken, Expiry: time.Unix(1, 0)}
	for _, m := range mistakes {
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
			p.Style.Header = map[string]string{"X-Version": "1"} // something to adapt
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
	assert.Empty(t, conf.APIURLs())
	issuer, clientID := conf.Registration()
	assert.Empty(t, issuer+clientID)
	assert.Equal(t, "endpoints.Config(, )", conf.String())
}

func TestTheProvidersDefinedHereAreValid(t *testing.T) {
	for _, p := range []endpoints.Provider{endpoints.Finch, endpoints.Chart, endpoints.TaxRock, endpoints.TaxRockSandbox, rfc} {
		assert.NoError(t, p.Validate(), p.Name)
	}
	swapped := rfc
	swapped.Style.RequestNames = map[string]string{
		"client_id": "client_secret", "client_secret": "client_id", "resource": "audience", "audience": "resource",
	}
	swapped.RefreshParams = map[string]string{"resource": "x"}
	swapped.ExchangeParams = map[string]string{"redirect_uri": "https://fixed.example"}
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
	assert.ErrorContains(t, err, "Endpoint.TokenURL"+insecure, "before anything is sent")
	plain := oauth2.Config{ClientID: "id", Endpoint: p.Endpoint}
	_, err = plain.Exchange(p.Context(context.Background()), "c0de")
	assert.ErrorContains(t, err, "Endpoint.TokenURL"+insecure)
	p.InsecureHTTP = true
	assert.NoError(t, p.Validate())
}

// deepest is a provider that uses every field.
func deepest() endpoints.Provider {
	p := rfc
	p.Issuer, p.InsecureHTTP, p.APIURLs = "https://auth.example/tenant", true, []string{"https://api.example"}
	p.RefreshURL = "https://auth.example/refresh"
	p.AuthParams = map[string]string{"prompt": "consent"}
	p.ExchangeParams = map[string]string{"expiring": "1"}
	p.RefreshParams = map[string]string{"audience": "api"}
	p.DefaultScopes = []string{"a", "b"}
	p.Style = endpoints.AuthStyle{
		Body: endpoints.JSONBody, CredentialsInBoth: true, Omit: []string{"response_type"}, OmitAtRefresh: []string{"grant_type"},
		RequestNames: map[string]string{"client_id": "key"}, ScopeParam: "products", ScopeSeparator: ",",
		Header: map[string]string{"X-Version": "1"}, HeaderParams: map[string]string{"trace": "X-Trace"}, TokenIn: "data",
		ResponseNames: map[string]string{"access_token": "token"}, ExpiresAt: "at", DefaultLifetime: time.Hour,
		SuccessMember: "ok", SuccessValues: []string{"true"}, ErrorMembers: []string{"fault"}, ErrorCodes: map[string]string{"1": "invalid_grant"},
		Request:  func(*http.Request, url.Values) error { return nil },
		Response: func(int, map[string]any) error { return nil },
	}
	return p
}

// withoutHooks returns p without its functions, which can't be compared.
func withoutHooks(p endpoints.Provider) endpoints.Provider {
	p.Style.Request, p.Style.Response = nil, nil
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

// changeEverything writes into each map and slice that p holds.
func changeEverything(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			changeEverything(v.Field(i))
		}
	case reflect.Map:
		for _, name := range slices.Collect(maps.Keys(v.Interface().(map[string]string))) {
			v.SetMapIndex(reflect.ValueOf(name), reflect.ValueOf("changed"))
		}
		v.SetMapIndex(reflect.ValueOf("added"), reflect.ValueOf("added"))
	case reflect.Slice:
		for i := range v.Len() {
			v.Index(i).SetString("changed")
		}
	}
}
