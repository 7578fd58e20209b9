package endpoints_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/pkce"
)

// tenant is a valid provider in which every kind of setting occurs.
func tenant() endpoints.Provider {
	return endpoints.Provider{
		Name:   "T",
		Issuer: "https://auth.example",
		Endpoint: oauth2.Endpoint{
			AuthURL:   "https://auth.example/{org}/authorize",
			TokenURL:  "https://{shop}/token",
			AuthStyle: oauth2.AuthStyleInParams,
		},
		RefreshURL: "https://auth.example/refresh",
		RevokeURL:  "https://auth.example/revoke",
		APIURLs:    []string{"{api}/v1"},
		Vars: map[string][]string{
			"shop": {"*.shops.example.com"},
			"org":  {"*"},
			"api":  {"https://*.api.example.com"},
		},
		Consent:  endpoints.Consent{Params: endpoints.Params{"prompt": {"consent"}}, Scopes: []string{"a"}, ScopeSeparator: ","},
		Callback: endpoints.Callback{Names: map[string]string{"code": "auth_code"}, Keep: []string{"shop", "account"}},
		Style:    endpoints.AuthStyle{Body: endpoints.JSONBody, Params: endpoints.Params{"key": {"{client_id}"}}, Header: map[string]string{"X-Version": "1"}},
		Exchange: endpoints.AuthStyle{Params: endpoints.Params{"kind": {"web"}, "grant_type": nil}},
		Refresh:  endpoints.AuthStyle{Params: endpoints.Params{"account": {"{account}"}}},
		Answer: endpoints.Answer{
			TokenIn: "data",
			Names:   map[string]string{"access_token": "token", "expires_at": "until"},
			Success: map[string]string{"ok": "true"},
			Errors:  []endpoints.ErrorRule{{Code: "17", Kind: endpoints.KindLoginRequired}},
		},
		API: endpoints.API{
			Header: map[string]string{"X-Token": "{access_token}"},
			Errors: []endpoints.ErrorRule{{Status: 403, In: "error.code", Code: "expired", Kind: endpoints.KindTokenRejected}},
		},
	}
}

// unused is told as well if the only URL with a variable has another mistake.
func unused(name string) string {
	return fmt.Sprintf("\nVars[%q] has no effect: nothing refers to {%s}", name, name)
}

var mistakes = []struct {
	change func(p *endpoints.Provider)
	want   string
}{
	// URLs and variables
	{func(p *endpoints.Provider) { p.Endpoint.TokenURL = "" }, "Endpoint.TokenURL is missing" + unused("shop")},
	{func(p *endpoints.Provider) { p.Endpoint.TokenURL = "/token" }, "Endpoint.TokenURL must be an absolute http or https URL" + unused("shop")},
	{func(p *endpoints.Provider) { p.RevokeURL = "http://auth.example/revoke" }, "RevokeURL" + insecure},
	{func(p *endpoints.Provider) { p.APIURLs = []string{"{api}/v1", ""} }, `APIURLs[1] must be an absolute http or https URL`},
	{func(p *endpoints.Provider) { p.RefreshURL = "https://{region}.example/refresh" }, `RefreshURL has {region}, which Vars doesn't declare`},
	{func(p *endpoints.Provider) { p.Vars["region"] = []string{"eu"} }, `Vars["region"] has no effect: nothing refers to {region}`},
	{func(p *endpoints.Provider) { p.Vars["shop"] = []string{"*"} }, `Vars["shop"][0] accepts any host, and the callback names it: anyone can write a callback`},
	{func(p *endpoints.Provider) { p.Vars["shop"] = []string{"shops.example.*"} }, `Vars["shop"][0] must have two fixed labels after its last *, or anyone can have such a host`},
	{func(p *endpoints.Provider) { p.Vars["api"] = []string{"api.example.com"} }, `Vars["api"][0] must begin with https://, as the variable is a whole URL`},
	{func(p *endpoints.Provider) { p.APIURLs = []string{"{api}v1"} }, `APIURLs[0] has to have a / after {api}, which is a whole URL: what follows would be part of its host`},
	{func(p *endpoints.Provider) { p.APIURLs = []string{"{api}.evil.com/v1"} }, `APIURLs[0] has to have a / after {api}, which is a whole URL: what follows would be part of its host`},
	{func(p *endpoints.Provider) { p.Vars["shop"] = []string{"*.shops.example.com", "shop"} }, `Vars["shop"][1] can't stand where {shop} is in a URL`},
	{func(p *endpoints.Provider) { p.Vars["org"] = []string{"*", ".."} }, `Vars["org"][1] can't stand where {org} is in a URL`},
	{func(p *endpoints.Provider) { p.Vars["shop"] = []string{"https://*.shops.example.com"} }, `Vars["shop"][0] can't stand where {shop} is in a URL`},
	{func(p *endpoints.Provider) { p.Vars["shop"] = []string{"*.shops.example.com/x"} }, `Vars["shop"][0] can't stand where {shop} is in a URL`},
	{func(p *endpoints.Provider) {
		p.Endpoint.AuthURL, p.Vars["org"] = "https://{org}.auth.example/authorize", []string{"eu", "eu..x"}
	}, `Vars["org"][1] can't stand where {org} is in a URL`},
	{func(p *endpoints.Provider) { p.Vars["org"] = nil }, `Vars["org"] accepts no value`},
	{func(p *endpoints.Provider) { p.Issuer = "auth.example" }, `Issuer must be an absolute http or https URL`},
	{func(p *endpoints.Provider) { p.Endpoint.AuthStyle = 3 }, `Endpoint.AuthStyle is unknown: 3`},

	// requests
	{func(p *endpoints.Provider) { p.Style.Body = "xml" }, `Style.Body is unknown: "xml" is none of form, json, query`},
	{func(p *endpoints.Provider) { p.Refresh.Method = "PUT" }, `Refresh.Method is unknown: "PUT" is none of POST, GET, DELETE`},
	{func(p *endpoints.Provider) { p.Refresh.Method, p.Refresh.Body = "GET", endpoints.JSONBody }, `Refresh.Body contradicts Method: a GET has no body`},
	{func(p *endpoints.Provider) {
		p.Style.Method, p.Style.Body, p.Refresh.Body = "GET", "", endpoints.FormBody
	}, `Refresh.Body contradicts Method: a GET has no body`},
	{func(p *endpoints.Provider) { p.Style.Auth = "client_secret" }, `Style.Auth is unknown: "client_secret" is none of client_secret_post, client_secret_basic, client_secret_basic_raw, private_key_jwt, client_secret_jwt, none, access_token`},
	{func(p *endpoints.Provider) { p.Refresh.Auth = endpoints.AccessTokenAuth }, `Refresh.Auth can't be AccessTokenAuth: there is no access token yet, or it has expired`},
	{func(p *endpoints.Provider) { p.Revoke.Audience = "x" }, `Revoke.Audience has no effect: the client makes no assertion`},
	{func(p *endpoints.Provider) { p.Introspect.Method = "GET" }, `Introspect has no effect without IntrospectURL`},
	{func(p *endpoints.Provider) { p.Style.Params["grant_type"] = []string{"x"} }, `Style.Params["grant_type"] would give all requests the same grant type`},
	{func(p *endpoints.Provider) { p.Exchange.Params["code"] = []string{"x"} }, `Exchange.Params["code"][0] gives a fixed value to what is different in each request, or has a field of its own`},
	{func(p *endpoints.Provider) { p.Refresh.Params["redirect_uri"] = nil }, `Refresh.Params["redirect_uri"] removes what is never sent`},
	{func(p *endpoints.Provider) { p.Exchange.Params["id"] = []string{"{client-id}"} }, `Exchange.Params["id"][0] has {client-id}, which is neither in Vars nor in Callback.Keep nor one of client_assertion, client_assertion_type, client_id, client_secret, code, code_verifier, grant_type, redirect_uri, state`},
	{func(p *endpoints.Provider) { p.Refresh.Params["old"] = []string{"{code}"} }, `Refresh.Params["old"][0] has {code}, which is neither in Vars nor in Callback.Keep nor one of access_token, client_assertion, client_assertion_type, client_id, client_secret, grant_type, redirect_uri, refresh_token`},
	{func(p *endpoints.Provider) { p.Exchange.Params["kind"] = []string{""} }, `Exchange.Params["kind"][0] is empty, and what is empty is never sent: remove the parameter with nil`},
	{func(p *endpoints.Provider) { p.Style.Header["Accept-Encoding"] = "gzip" }, `Style.Header["Accept-Encoding"] would leave the answer compressed: net/http has its own`},
	{func(p *endpoints.Provider) { p.Refresh.Header = map[string]string{"idempotency-key": "1"} }, `Refresh.Header["idempotency-key"] would have net/http send the request again after a lost answer, when what is in it may be spent`},
	{func(p *endpoints.Provider) { p.API.Header["Transfer-Encoding"] = "chunked" }, `API.Header["Transfer-Encoding"] is about the connection, and not about the request`},
	{func(p *endpoints.Provider) { p.Style.Header["Content-Type"] = "text/plain" }, `Style.Header["Content-Type"] has no effect: the request has its own`},

	// consent page and callback
	{func(p *endpoints.Provider) { p.Consent.ScopeSeparator = " " }, `Consent.ScopeSeparator is written into the URL as it is and can't be " ": a space is %20 or +`},
	{func(p *endpoints.Provider) { p.Consent.PKCE = "s256" }, `Consent.PKCE is unknown: "s256" is none of S256, S256-hex, plain, none`},
	{func(p *endpoints.Provider) { p.Consent.Params["scope"] = nil }, `Consent.Scopes has no effect: Params removes scope`},
	{func(p *endpoints.Provider) { p.Consent.Scopes = []string{"a b"} }, `Consent.Scopes[0] is not a single scope: "a b"`},
	{func(p *endpoints.Provider) { p.Consent.Params["grant_type"] = nil }, `Consent.Params["grant_type"] removes what is never sent`},
	{func(p *endpoints.Provider) { p.Endpoint.AuthURL, p.Vars["org"] = "", nil; delete(p.Vars, "org") }, `Consent has no effect without Endpoint.AuthURL`},
	{func(p *endpoints.Provider) { p.Callback.Names["cod"] = "x" }, `Callback.Names["cod"] is none of the RFC's names: code, state, error, error_description, error_uri, iss`},
	{func(p *endpoints.Provider) { p.Callback.Keep = append(p.Callback.Keep, "code") }, `Callback.Keep[2] can't be "code"`},
	{func(p *endpoints.Provider) {
		p.Callback.Errors = []endpoints.ErrorRule{{Status: 400, Kind: endpoints.KindDenied}}
	}, `Callback.Errors[0].Status has no effect: a callback has none`},
	{func(p *endpoints.Provider) { p.Callback.Iss, p.Issuer = true, "" }, `Callback.Iss has no effect without Issuer`},

	// answers and the endpoints.API
	{func(p *endpoints.Provider) { p.Answer.Names["acces_token"] = "t" }, `Answer.Names["acces_token"] is none of the RFC's names: access_token, token_type, refresh_token, expires_in, expires_at, scope, error, error_description, error_uri`},
	{func(p *endpoints.Provider) { p.Answer.Names["access_token"] = "data.token" }, `Answer.Names["access_token"] is named from TokenIn on: "token"`},
	{func(p *endpoints.Provider) { p.Answer.Names["error"] = "errors[0].code" }, `Answer.Names["error"] can't match: "errors[0].code" is not a path of members with dots`},
	{func(p *endpoints.Provider) { p.Answer.TokenIn = "data..token" }, `Answer.TokenIn can't match: "data..token" is not a path of members with dots`},
	{func(p *endpoints.Provider) { p.Answer.LifetimeUnit = -time.Second }, `Answer.LifetimeUnit is negative`},
	{func(p *endpoints.Provider) { p.Answer.TimeLayout = "dd.MM.yyyy" }, `Answer.TimeLayout is no layout of package time: "dd.MM.yyyy"`},
	{func(p *endpoints.Provider) { p.Answer.Success["ok"] = "" }, `Answer.Success["ok"] is empty`},
	{func(p *endpoints.Provider) { p.Answer.Errors[0].Kind = "" }, `Answer.Errors[0].Kind is missing`},
	{func(p *endpoints.Provider) { p.Answer.Errors[0].Kind = "nonsense" }, `Answer.Errors[0].Kind can't be "nonsense" here`},
	{func(p *endpoints.Provider) { p.Answer.Errors[0].Kind = endpoints.KindTokenRejected }, `Answer.Errors[0].Kind can't be "token_rejected" here`},
	{func(p *endpoints.Provider) {
		p.Answer.Errors[0] = endpoints.ErrorRule{Kind: endpoints.KindLoginRequired}
	}, `Answer.Errors[0] would give every unknown error the same meaning`},
	{func(p *endpoints.Provider) {
		p.Answer.Errors = []endpoints.ErrorRule{{Code: "1*", Kind: endpoints.KindLoginRequired}, {Status: 400, Code: "17", Kind: endpoints.KindRateLimited}}
	}, `Answer.Errors[1] is never reached: Answer.Errors[0] matches before it`},
	{func(p *endpoints.Provider) { p.API.Errors[0].Status = 0 }, `API.Errors[0].Status is missing: every answer of the API would have to be read`},
	{func(p *endpoints.Provider) { p.API.Header["Authorization"] = "Bearer token" }, `API.Header["Authorization"] has no {access_token} in it`},
	{func(p *endpoints.Provider) { p.API.Header["Authorization"] = "Bearer {access_token}" }, `API.Header sends {access_token} more than once`},
	// what only some combinations show
	{func(p *endpoints.Provider) { p.RevokeURL = "https://auth.example/revoke#x" }, `RevokeURL has a fragment, which is never sent`},
	{func(p *endpoints.Provider) { p.Endpoint.AuthURL = "https://u@auth.example/{org}" }, `Endpoint.AuthURL has a user in it`},
	{func(p *endpoints.Provider) { p.Issuer = "https://auth.example/{org}" }, `Issuer can't have a query, a fragment or a variable (RFC 8414, section 2)`},
	{func(p *endpoints.Provider) { p.Endpoint.TokenURL = "https://{client_id}.example/token" }, "Endpoint.TokenURL has {client_id}, which Vars doesn't declare" + unused("shop")},
	{func(p *endpoints.Provider) { p.Endpoint.AuthURL = "https://auth.{org}/authorize" }, `Vars["org"][0] must have two fixed labels after its last *, or anyone can have such a host`},
	{func(p *endpoints.Provider) { p.Endpoint.AuthURL = "https://{org}.example/authorize" }, `Vars["org"][0] must have two fixed labels after its last *, or anyone can have such a host`},
	{func(p *endpoints.Provider) { p.Endpoint.AuthURL = "https://{org}-{shop}.example/authorize" }, `Vars["org"][0] must have two fixed labels after its last *, or anyone can have such a host`},
	{func(p *endpoints.Provider) {
		p.Endpoint.AuthURL, p.Vars["a.b.c"] = "https://{org}.{a.b.c}/authorize", []string{"com"}
	}, `Vars["org"][0] must have two fixed labels after its last *, or anyone can have such a host`},
	{func(p *endpoints.Provider) { p.Vars["api"] = []string{"http://api.example.com"} }, `Vars["api"][0] must begin with https://, as the variable is a whole URL`},
	{func(p *endpoints.Provider) { p.Vars["org"] = []string{"*", "*"} }, `Vars["org"][1] has no effect`},
	{func(p *endpoints.Provider) { p.Vars["org"] = []string{"*", ""} }, `Vars["org"][1] has no effect`},
	{func(p *endpoints.Provider) { p.Vars["code"] = []string{"*"} }, `Vars["code"] is a parameter of the RFC`},
	{func(p *endpoints.Provider) { p.Vars["a b"] = []string{"*"} }, `Vars["a b"] isn't a name of letters, digits, '_', '-' and '.'`},
	{func(p *endpoints.Provider) {
		p.Revoke.Auth, p.Revoke.Body = endpoints.AccessTokenAuth, endpoints.JSONBody
	}, `Revoke.Body has no effect: AccessTokenAuth sends no parameters but those of Params`},
	{func(p *endpoints.Provider) {
		p.Revoke.Auth, p.Revoke.Header = endpoints.AccessTokenAuth, map[string]string{"authorization": "x {client_id}"}
	}, `Revoke.Header["authorization"] contradicts how the client authenticates: access_token has that field`},
	{func(p *endpoints.Provider) {
		p.Refresh.Auth, p.Refresh.Header = endpoints.ClientSecretBasic, map[string]string{"Authorization": "x {client_id}"}
	}, `Refresh.Header["Authorization"] contradicts how the client authenticates: client_secret_basic has that field`},
	{func(p *endpoints.Provider) { p.Style.Audience = "x" }, `Style.Audience has no effect: the client makes no assertion`},
	{func(p *endpoints.Provider) { p.Style.Header["x-version"] = "2" }, `Style.Header["x-version"] is there twice: as "X-Version", too`},
	{func(p *endpoints.Provider) { p.Style.Header["X Version"] = "2" }, `Style.Header["X Version"] is no name of a header field`},
	{func(p *endpoints.Provider) { p.Style.Header[""] = "2" }, `Style.Header[""] has no name`},
	{func(p *endpoints.Provider) { p.Style.Header["X-Version"] = "1\r\nHost: x" }, `Style.Header["X-Version"] has a control character in it`},
	{func(p *endpoints.Provider) { p.Exchange.Params[""] = []string{"x"} }, `Exchange.Params[""] has no name`},
	{func(p *endpoints.Provider) {
		p.Consent.PKCE, p.Exchange.Params["verifier"] = endpoints.NoPKCE, []string{"{code_verifier}"}
	}, `Exchange.Params["verifier"][0] has what Consent.PKCE leaves out`},
	{func(p *endpoints.Provider) { p.Callback.Names["code"] = "code" }, `Callback.Names["code"] has no effect: it is the RFC's name`},
	{func(p *endpoints.Provider) { p.Callback.Keep = append(p.Callback.Keep, "shop") }, `Callback.Keep[2] can't be "shop"`},
	{func(p *endpoints.Provider) {
		p.Callback.Errors = []endpoints.ErrorRule{{Code: "x", Kind: endpoints.KindTokenRejected}}
	}, `Callback.Errors[0].Kind can't be "token_rejected" here`},
	{func(p *endpoints.Provider) { p.Answer.DefaultLifetime = -1 }, `Answer.DefaultLifetime is negative`},
	{func(p *endpoints.Provider) { p.Answer.TimeLayout = "2006"; delete(p.Answer.Names, "expires_at") }, `Answer.TimeLayout has no effect without Names["expires_at"]`},
	{func(p *endpoints.Provider) { p.Answer.Success["fine"] = "1" }, `Answer.Success has more than one member`},
	{func(p *endpoints.Provider) { p.Answer.Success = map[string]string{"a.[0]": "1"} }, `Answer.Success["a.[0]"] can't match: "a.[0]" is not a path of members with dots`},
	{func(p *endpoints.Provider) { p.Answer.Errors[0].In = "a b" }, `Answer.Errors[0].In can't match: "a b" is not a path of members with dots`},
	{func(p *endpoints.Provider) { p.Answer.Errors[0].Status = 42 }, `Answer.Errors[0].Status is no status of an answer: 42`},
	{func(p *endpoints.Provider) {
		p.API.Errors[0] = endpoints.ErrorRule{Status: 200, Kind: endpoints.KindTokenRejected}
	}, `API.Errors[0] would refuse every answer`},
	{func(p *endpoints.Provider) { p.API.Header["Host"] = "x" }, `API.Header["Host"] has no effect: the request has its own`},
	{func(p *endpoints.Provider) { p.API.Header["X-Trace"] = "{random}" }, `API.Header["X-Trace"] has {random}, which is neither in Vars nor in Callback.Keep nor one of access_token, client_id, client_secret, token_type`},
	{func(p *endpoints.Provider) { p.RevokeURL = "https://auth.example/{random}" }, `RevokeURL has {random}, which Vars doesn't declare`},
	{func(p *endpoints.Provider) { p.Vars["random"] = []string{"4"} }, `Vars["random"] can't be declared: it is a new value each time`},
	{func(p *endpoints.Provider) { p.Callback.Keep = append(p.Callback.Keep, "random") }, `Callback.Keep[2] can't be "random"`},
	{func(p *endpoints.Provider) { p.API.Header["X-Old"] = "{refresh_token}" }, `API.Header["X-Old"] has {refresh_token}, which is neither in Vars nor in Callback.Keep nor one of access_token, client_id, client_secret, token_type`},
}

func TestMistakesNameTheirField(t *testing.T) {
	require.NoError(t, tenant().Validate())
	for _, m := range mistakes {
		p := tenant()
		m.change(&p)
		assert.EqualError(t, p.Validate(), "endpoints: T: "+m.want)
	}
}

// Whoever writes a definition needn't run the check once for each mistake.
func TestAllMistakesAreNamedAtOnce(t *testing.T) {
	p := tenant()
	p.Endpoint.AuthURL, p.APIURLs = "https://auth.example/{org}/{org}", []string{"{api}/{org}"}
	p.Issuer, p.RevokeURL, p.RefreshURL = "auth.example", "", "http://auth.example/refresh"
	p.Vars["org"], p.Vars["region"] = []string{"..", "."}, nil
	p.Consent.Scopes, p.Consent.PKCE = []string{"a b", "b"}, "s256"
	p.Callback.Names["cod"], p.Callback.Names["stat"] = "x", "y"
	p.Style.Method, p.Style.Params["grant_type"] = "PUT", []string{"x"}
	p.Refresh.Params["a"], p.Refresh.Params["b"], p.Refresh.Header = []string{"", "{x"}, nil, map[string]string{"Host": "", "a b": "1"}
	p.Revoke.Auth, p.Introspect.Method = endpoints.AccessTokenAuth, "GET"
	p.Answer.LifetimeUnit, p.Answer.TimeLayout = -1, "dd.MM"
	p.Answer.Success = map[string]string{"ok": "", "a b": "1"}
	p.Answer.Errors = []endpoints.ErrorRule{{Code: "17"}, {Code: "17", Status: 42}}
	p.API.Header["Authorization"], p.API.Errors[0].Status = "x", 0
	want := strings.Join([]string{
		`endpoints: T: Vars["org"][0] can't stand where {org} is in a URL`,
		`Vars["org"][1] can't stand where {org} is in a URL`,
		`RefreshURL must be an https URL, or one of http at this machine; InsecureHTTP allows others`,
		`Issuer must be an absolute http or https URL`,
		`Vars["region"] has no effect: nothing refers to {region}`,
		`Consent.PKCE is unknown: "s256" is none of S256, S256-hex, plain, none`,
		`Consent.Scopes[0] is not a single scope: "a b"`,
		`Callback.Names["cod"] is none of the RFC's names: code, state, error, error_description, error_uri, iss`,
		`Callback.Names["stat"] is none of the RFC's names: code, state, error, error_description, error_uri, iss`,
		`Style.Method is unknown: "PUT" is none of POST, GET, DELETE`,
		`Style.Params["grant_type"] would give all requests the same grant type`,
		`Refresh.Params["a"][0] is empty, and what is empty is never sent: remove the parameter with nil`,
		`Refresh.Params["b"] removes what is never sent`,
		`Refresh.Header["Host"] has no effect: the request has its own`,
		`Refresh.Header["a b"] is no name of a header field`,
		`Revoke has no effect without RevokeURL`,
		`Introspect has no effect without IntrospectURL`,
		`Answer.LifetimeUnit is negative`,
		`Answer.TimeLayout is no layout of package time: "dd.MM"`,
		`Answer.Success has more than one member`,
		`Answer.Success["a b"] can't match: "a b" is not a path of members with dots`,
		`Answer.Success["ok"] is empty`,
		`Answer.Errors[0].Kind is missing`,
		`Answer.Errors[1].Kind is missing`,
		`Answer.Errors[1].Status is no status of an answer: 42`,
		`Answer.Errors[1] is never reached: Answer.Errors[0] matches before it`,
		`API.Header["Authorization"] has no {access_token} in it`,
		`API.Errors[0].Status is missing: every answer of the API would have to be read`,
	}, "\n")
	for range 20 { // of maps, too, in the same order
		require.EqualError(t, p.Validate(), want)
	}
}

// Of a program that runs, errors go to a log: a line of it is one error.
func TestErrorsOfAConfigWithMistakesAreOneLine(t *testing.T) {
	p := waysBase()
	p.Refresh.Params = endpoints.Params{"grant-type": nil}
	for _, c := range []struct{ method, want string }{
		{"", `endpoints: x: Refresh.Params["grant-type"] removes what is never sent`},
		{"DELETE", `endpoints: x: Refresh.Params["grant-type"] removes what is never sent (Provider.Validate names 1 more)`},
	} {
		p.Introspect.Method = c.method
		conf := p.Config(oauth2.Config{ClientID: "id"})
		_, err := conf.Exchange(t.Context(), "c0de")
		assert.EqualError(t, err, c.want)
		_, err = new(pkce.Session).Authorize(t.Context(), conf)
		assert.EqualError(t, err, "pkce: can't make the consent page's URL: "+c.want)
		plain := &oauth2.Config{ClientID: "id", Endpoint: p.Endpoint}
		_, err = plain.Exchange(p.Context(t.Context()), "c0de")
		assert.ErrorContains(t, err, ": "+c.want)
		assert.NotContains(t, err.Error(), "\n")
	}
}
