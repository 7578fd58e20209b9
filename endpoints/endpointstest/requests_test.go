package endpointstest_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

const (
	exchangeForm = "grant_type=authorization_code&client_id=$ID&client_secret=$SECRET&code=$CODE&redirect_uri=$CB&code_verifier=$VERIFIER"
	refreshForm  = "grant_type=refresh_token&client_id=$ID&client_secret=$SECRET&refresh_token=$REFRESH"
	basicForm    = "grant_type=authorization_code&code=$CODE&redirect_uri=$CB&code_verifier=$VERIFIER"
	badSecret    = "wrong client: client_secret"
)

// TestRequestsByDefinition: a request is taken if it is as the definition says, and
// refused, for a reason that names what is wrong, if it isn't.
func TestRequestsByDefinition(t *testing.T) {
	style := func(s endpoints.AuthStyle) func(p *endpoints.Provider) {
		return func(p *endpoints.Provider) { p.Style = s }
	}
	params := func(name string, values ...string) func(p *endpoints.Provider) {
		return style(endpoints.AuthStyle{Params: endpoints.Params{name: values}})
	}
	inHeader := func(p *endpoints.Provider) { p.Endpoint.AuthStyle = oauth2.AuthStyleInHeader }
	shop := func(p *endpoints.Provider) {
		p.Endpoint.TokenURL = "https://{shop}.acme.example/token"
		p.Vars = map[string][]string{"shop": {"tea", "coffee"}}
		p.Callback.Keep = []string{"shop"}
	}
	for _, tt := range []struct {
		name    string
		change  func(p *endpoints.Provider)
		request string
		want    string // why it is refused
	}{
		{"form", nil, "POST https://api.acme.example/token\n\n" + exchangeForm, ""},
		{"JSON for a form", nil, "POST https://api.acme.example/token\nContent-Type: application/json\n\n{}",
			`wrong content type: it is "application/json": not application/x-www-form-urlencoded`},
		{"GET", nil, "GET https://api.acme.example/token?" + exchangeForm, "method not allowed"},
		{"in the query", nil, "POST https://api.acme.example/token?x=1\n\n" + exchangeForm, "malformed: unexpected query string"},
		{"unknown", nil, "POST https://api.acme.example/token\n\n" + exchangeForm + "&scope=a", `malformed: unexpected field "scope"`},
		{"twice", nil, "POST https://api.acme.example/token\n\n" + exchangeForm + "&code=$CODE", `malformed: repeated field "code"`},
		{"empty", nil, "POST https://api.acme.example/token\n\n" + strings.Replace(exchangeForm, "$CODE", "", 1), "malformed: field code is empty"},
		{"no verifier", nil, "POST https://api.acme.example/token\n\n" + strings.Replace(exchangeForm, "&code_verifier=$VERIFIER", "", 1), "malformed: missing field code_verifier"},
		{"other verifier", nil, "POST https://api.acme.example/token\n\n" + exchangeForm + "x", "wrong code_verifier"},
		{"other redirect", nil, "POST https://api.acme.example/token\n\n" + strings.Replace(exchangeForm, "$CB", "$CB2", 1), "wrong redirect_uri: redirect_uri is not that of the authorization"},
		{"other code", nil, "POST https://api.acme.example/token\n\n" + strings.Replace(exchangeForm, "$CODE", "x$CODE", 1), "wrong code: unknown, spent or long expired"},
		{"other secret", nil, "POST https://api.acme.example/token\n\n" + strings.Replace(exchangeForm, "$SECRET", "guess", 1), badSecret},
		{"other grant", nil, "POST https://api.acme.example/token\n\n" + strings.Replace(exchangeForm, "authorization_code", "password", 1), `wrong grant type: "password"`},
		{"Basic beside the form", nil, "POST https://api.acme.example/token\nAuthorization: Basic eDp5\n\n" + exchangeForm,
			"malformed: unexpected header Authorization: the client's id and secret go into the body"},

		{"JSON", style(endpoints.AuthStyle{Body: endpoints.JSONBody}), "POST https://api.acme.example/token\nContent-Type: application/json\n\n" +
			`{"grant_type":"authorization_code","client_id":"$ID","client_secret":"$RAWSECRET","code":"$CODE","redirect_uri":"` + callback + `","code_verifier":"$VERIFIER"}`, ""},
		{"query", style(endpoints.AuthStyle{Method: "GET"}), "GET https://api.acme.example/token?" + exchangeForm, ""},
		{"POST for GET", style(endpoints.AuthStyle{Method: "GET"}), "POST https://api.acme.example/token?" + exchangeForm, "method not allowed"},
		{"query by POST", style(endpoints.AuthStyle{Body: endpoints.QueryBody}), "POST https://api.acme.example/token?" + exchangeForm, ""},

		{"Basic", inHeader, "POST https://api.acme.example/token\nAuthorization: Basic $BASIC\n\n" + basicForm, ""},
		{"Basic, not encoded", inHeader, "POST https://api.acme.example/token\nAuthorization: Basic $RAWBASIC\n\n" + basicForm, badSecret},
		{"no Basic", inHeader, "POST https://api.acme.example/token\n\n" + basicForm, "wrong client: not one header Authorization"},
		{"Basic and the form", inHeader, "POST https://api.acme.example/token\nAuthorization: Basic $BASIC\n\n" + exchangeForm, `malformed: unexpected field "client_id"`},
		{"raw Basic", style(endpoints.AuthStyle{Auth: endpoints.ClientSecretBasicRaw}), "POST https://api.acme.example/token\nAuthorization: Basic $RAWBASIC\n\n" + basicForm, ""},
		{"raw Basic, encoded", style(endpoints.AuthStyle{Auth: endpoints.ClientSecretBasicRaw}), "POST https://api.acme.example/token\nAuthorization: Basic $BASIC\n\n" + basicForm, badSecret},
		{"public", style(endpoints.AuthStyle{Auth: endpoints.PublicClient}), "POST https://api.acme.example/token\n\n" + basicForm + "&client_id=$ID", ""},
		{"secret of a public client", style(endpoints.AuthStyle{Auth: endpoints.PublicClient}), "POST https://api.acme.example/token\n\n" + exchangeForm, `malformed: unexpected field "client_secret"`},

		{"renamed", params("client_key", "{client_id}"), "POST https://api.acme.example/token\n\n" + strings.Replace(exchangeForm, "client_id", "client_key", 1), ""},
		{"its own name", params("client_key", "{client_id}"), "POST https://api.acme.example/token\n\n" + exchangeForm, `malformed: unexpected field "client_id"`},
		{"fixed", params("type", "web"), "POST https://api.acme.example/token\n\n" + exchangeForm + "&type=web", ""},
		{"fixed, another", params("type", "web"), "POST https://api.acme.example/token\n\n" + exchangeForm + "&type=app", "malformed: type must be web"},
		{"another audience", params("audience", "urn:a"), "POST https://api.acme.example/token\n\n" + exchangeForm + "&audience=urn:b", "wrong audience: audience"},
		{"two in order", params("resource", "urn:a", "urn:b"), "POST https://api.acme.example/token\n\n" + exchangeForm + "&resource=urn:a&resource=urn:b", ""},
		{"of a refresh only", params("old", "{refresh_token}"), "POST https://api.acme.example/token\n\n" + exchangeForm, ""},
		{"no grant type", func(p *endpoints.Provider) { p.Exchange.Params = endpoints.Params{"grant_type": nil} },
			"POST https://api.acme.example/token\n\n" + strings.Replace(exchangeForm, "grant_type=authorization_code&", "", 1), ""},
		{"header", style(endpoints.AuthStyle{Header: map[string]string{"X-Version": "2"}}), "POST https://api.acme.example/token\nX-Version: 2\n\n" + exchangeForm, ""},
		{"no header", style(endpoints.AuthStyle{Header: map[string]string{"X-Version": "2"}}), "POST https://api.acme.example/token\n\n" + exchangeForm, "malformed: header X-Version must be 2"},
		{"secret in a header", style(endpoints.AuthStyle{Header: map[string]string{"Authorization": "Bearer {client_secret}"}}),
			"POST https://api.acme.example/token\nAuthorization: Bearer $RAWSECRET\n\n" + strings.Replace(exchangeForm, "&client_secret=$SECRET", "", 1), ""},

		{"refresh", nil, "POST https://api.acme.example/token\n\n" + refreshForm, ""},
		{"other refresh token", nil, "POST https://api.acme.example/token\n\n" + refreshForm + "x", "wrong refresh token: unknown"},
		{"access token for it", nil, "POST https://api.acme.example/token\n\n" + strings.Replace(refreshForm, "$REFRESH", "$ACCESS", 1), "wrong refresh token: unknown"},
		{"patches one after the other", func(p *endpoints.Provider) {
			p.Style.Params = endpoints.Params{"secret": {"{client_secret}"}}
			p.Refresh.Params = endpoints.Params{"secret": nil}
		}, "POST https://api.acme.example/token\n\n" + strings.Replace(refreshForm, "&client_secret=$SECRET", "", 1), ""},
		{"access token as refresh token", func(p *endpoints.Provider) {
			p.RefreshURL = "https://other.acme.example/again"
			p.Refresh = endpoints.AuthStyle{Method: "GET", Params: endpoints.Params{"client_id": nil, "client_secret": nil, "access_token": {"{refresh_token}"}}}
			p.Answer.Names = map[string]string{"refresh_token": "access_token"}
		}, "GET https://other.acme.example/again?grant_type=refresh_token&access_token=$ACCESS", ""},

		{"revocation", nil, "POST https://api.acme.example/revoke\n\nclient_id=$ID&client_secret=$SECRET&token=$REFRESH", ""},
		{"revocation of the access token", nil, "POST https://api.acme.example/revoke\n\nclient_id=$ID&client_secret=$SECRET&token=$ACCESS", "not a refresh token"},
		{"access token to revoke", func(p *endpoints.Provider) { p.Revoke.Params = endpoints.Params{"token": {"{access_token}"}} },
			"POST https://api.acme.example/revoke\n\nclient_id=$ID&client_secret=$SECRET&token=$ACCESS", ""},
		{"revocation as the API", func(p *endpoints.Provider) {
			p.Revoke.Auth, p.API.Header = endpoints.AccessTokenAuth, map[string]string{"X-Token": "{access_token}"}
		}, "POST https://api.acme.example/revoke\nX-Token: $ACCESS", ""},
		{"revocation as the API, with a body", func(p *endpoints.Provider) { p.Revoke.Auth = endpoints.AccessTokenAuth },
			"POST https://api.acme.example/revoke\nAuthorization: Bearer $ACCESS\n\ntoken=x", "malformed: the body must be empty"},
		{"introspection", nil, "POST https://api.acme.example/introspect\n\nclient_id=$ID&client_secret=$SECRET&token=$REFRESH", ""},
		{"id in the URL", func(p *endpoints.Provider) { p.IntrospectURL = "https://api.acme.example/apps/{client_id}/token" },
			"POST https://api.acme.example/apps/other/token\n\nclient_id=$ID&client_secret=$SECRET&token=$REFRESH", "malformed: client_id isn't the one of the URL"},

		{"API", nil, "GET https://api.acme.example/v1/things/1?x=y\nAuthorization: Bearer $ACCESS", ""},
		{"API, no token", nil, "GET https://api.acme.example/v1", "missing access token"},
		{"API, a longer name", nil, "GET https://api.acme.example/v1x\nAuthorization: Bearer $ACCESS", "no such path"},
		{"API, elsewhere", nil, "GET https://api.acme.example/v2\nAuthorization: Bearer $ACCESS", "no such path"},
		{"API's own header", func(p *endpoints.Provider) { p.API.Header = map[string]string{"Authorization": "Token {access_token}"} },
			"GET https://api.acme.example/v1\nAuthorization: Token $ACCESS", ""},
		{"Bearer for it", func(p *endpoints.Provider) { p.API.Header = map[string]string{"Authorization": "Token {access_token}"} },
			"GET https://api.acme.example/v1\nAuthorization: Bearer $ACCESS", "missing access token: not one Authorization header as the API takes it"},
		{"API's version", func(p *endpoints.Provider) { p.API.Header = map[string]string{"X-Version": "2"} },
			"GET https://api.acme.example/v1\nAuthorization: Bearer $ACCESS", "malformed: header X-Version must be 2"},

		{"variable", shop, "POST https://$SHOP.acme.example/token\n\n" + exchangeForm, ""},
		{"another account's", shop, "POST https://tea.acme.example/token\n\n" + exchangeForm, "wrong code: of another account"},
		{"another account's introspection", func(p *endpoints.Provider) { shop(p); p.IntrospectURL = "https://{shop}.acme.example/introspect" },
			"POST https://tea.acme.example/introspect\n\nclient_id=$ID&client_secret=$SECRET&token=$REFRESH", ""},
		{"no such variable", func(p *endpoints.Provider) {
			p.Endpoint.TokenURL, p.Vars = "https://api.acme.example/{region}/token", map[string][]string{"region": {"eu"}}
		}, "POST https://api.acme.example/us/token\n\n" + exchangeForm, "no such path"},
		{"no such value", func(p *endpoints.Provider) {
			p.Style.Params, p.Vars = endpoints.Params{"region": {"{region}"}}, map[string][]string{"region": {"eu"}}
		}, "POST https://api.acme.example/token\n\n" + exchangeForm + "&region=us", "malformed: region has a value that isn't accepted"},
		{"another account's refresh", shop, "POST https://tea.acme.example/token\n\n" + refreshForm, "wrong refresh token: of another account"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRaw(t, acme(tt.change))
			c := r.s.Config(r.p, callback)
			r.set("$CB2", r.fill("$CB")+"2")
			r.set("$BASIC", base64.StdEncoding.EncodeToString([]byte(r.fill("$ID:$SECRET"))))
			r.set("$RAWBASIC", base64.StdEncoding.EncodeToString([]byte(c.ClientID+":"+c.ClientSecret)))
			r.connect()
			reply := r.code(rfcQuery)
			r.set("$CODE", reply.Get("code"))
			r.set("$SHOP", reply.Get("shop"))
			a := r.send(tt.request)
			assert.Equal(t, tt.want, r.refused())
			assert.Equal(t, tt.want == "", a.status == http.StatusOK, "%d %s", a.status, a.body)
			if tt.name == "another account's introspection" {
				assert.Equal(t, false, a.members(t)["active"])
			}
		})
	}
}
