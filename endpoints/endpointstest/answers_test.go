package endpointstest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
)

// TestAnswersByDefinition: what is issued is told in the definition's words.
func TestAnswersByDefinition(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(a *endpoints.Answer)
		want   map[string]any // with "ACCESS" and "REFRESH" for the tokens
	}{
		{"the RFC's", func(*endpoints.Answer) {},
			map[string]any{"access_token": "ACCESS", "refresh_token": "REFRESH", "token_type": "Bearer", "expires_in": 3600.0, "scope": "a b"}},
		{"renamed", func(a *endpoints.Answer) {
			a.Names = map[string]string{"access_token": "token", "refresh_token": "again.token", "scope": "scopes", "token_type": "kind"}
		}, map[string]any{"token": "ACCESS", "again": map[string]any{"token": "REFRESH"}, "kind": "Bearer", "expires_in": 3600.0, "scopes": "a b"}},
		{"nested", func(a *endpoints.Answer) { a.TokenIn = "data.token" }, map[string]any{"data": map[string]any{"token": map[string]any{
			"access_token": "ACCESS", "refresh_token": "REFRESH", "token_type": "Bearer", "expires_in": 3600.0, "scope": "a b"}}}},
		{"milliseconds", func(a *endpoints.Answer) { a.LifetimeUnit = time.Millisecond },
			map[string]any{"access_token": "ACCESS", "refresh_token": "REFRESH", "token_type": "Bearer", "expires_in": 3600000.0, "scope": "a b"}},
		{"documented only", func(a *endpoints.Answer) { a.DefaultLifetime = 2 * time.Hour },
			map[string]any{"access_token": "ACCESS", "refresh_token": "REFRESH", "token_type": "Bearer", "scope": "a b"}},
		{"success", func(a *endpoints.Answer) { a.Success = map[string]string{"status.code": "0"} },
			map[string]any{"access_token": "ACCESS", "refresh_token": "REFRESH", "token_type": "Bearer", "expires_in": 3600.0, "scope": "a b",
				"status": map[string]any{"code": 0.0}}},
		{"refresh with the access token", func(a *endpoints.Answer) { a.Names = map[string]string{"refresh_token": "access_token"} },
			map[string]any{"access_token": "ACCESS", "token_type": "Bearer", "expires_in": 3600.0, "scope": "a b"}},
		{"a time", func(a *endpoints.Answer) {
			a.Names, a.TimeLayout = map[string]string{"expires_at": "until"}, "2006-01-02"
		}, map[string]any{"access_token": "ACCESS", "refresh_token": "REFRESH", "token_type": "Bearer", "scope": "a b",
			"until": time.Now().Add(time.Hour).UTC().Format("2006-01-02")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRaw(t, acme(func(p *endpoints.Provider) { tt.change(&p.Answer) }))
			r.set("$CODE", r.code(rfcQuery).Get("code"))
			a := r.send("POST https://api.acme.example/token\n\n" + exchangeForm)
			require.Equal(t, http.StatusOK, a.status, a.body)
			got := a.members(t)
			assert.Contains(t, got, "account", "something beside the token")
			delete(got, "account")
			assert.Equal(t, tt.want, named(got))
		})
	}
}

// named replaces tokens by what they are.
func named(m map[string]any) map[string]any {
	for name, v := range m {
		switch v := v.(type) {
		case map[string]any:
			named(v)
		case string:
			if strings.HasPrefix(v, "eyJ") {
				m[name] = "ACCESS"
			} else if strings.HasPrefix(v, "v1.") {
				m[name] = "REFRESH"
			}
		}
	}
	return m
}

// TestErrorsByDefinition: an error is one that a rule of the definition is about, if
// there is one that means it.
func TestErrorsByDefinition(t *testing.T) {
	rule := func(r ...endpoints.ErrorRule) func(p *endpoints.Provider) {
		return func(p *endpoints.Provider) { p.Answer.Errors = r }
	}
	apiRule := func(r ...endpoints.ErrorRule) func(p *endpoints.Provider) {
		return func(p *endpoints.Provider) { p.API.Errors = r }
	}
	const (
		badRefresh = "POST https://api.acme.example/token\n\n" + refreshForm + "x"
		badCode    = "POST https://api.acme.example/token\n\n" + exchangeForm
		expired    = "GET https://api.acme.example/v1\nAuthorization: Bearer $ACCESS"
		text       = "The refresh token is invalid or expired"
	)
	for _, tt := range []struct {
		name    string
		change  func(p *endpoints.Provider)
		request string
		status  int
		want    string
	}{
		{"the RFC's", nil, badRefresh, 400, `{"error":"invalid_grant","error_description":"` + text + `"}`},
		{"the RFC's client", nil, strings.Replace(badRefresh, "$SECRET", "guess", 1), 401, `{"error":"invalid_client","error_description":"Client authentication failed"}`},
		{"names", func(p *endpoints.Provider) {
			p.Answer.Names = map[string]string{"error": "fault.code", "error_description": "fault.text"}
		}, badRefresh, 400, `{"fault":{"code":"invalid_grant","text":"` + text + `"}}`},
		{"not a success", func(p *endpoints.Provider) { p.Answer.Success = map[string]string{"ok": "true"} }, badRefresh, 400,
			`{"error":"invalid_grant","error_description":"` + text + `","ok":false}`},
		{"code", rule(endpoints.ErrorRule{Code: "40030", Kind: endpoints.KindLoginRequired}), badRefresh, 400, `{"error":40030,"error_description":"` + text + `"}`},
		{"code and status", rule(endpoints.ErrorRule{Status: 500, Code: "gone", Kind: endpoints.KindLoginRequired}), badRefresh, 500, `{"error":"gone","error_description":"` + text + `"}`},
		{"pattern, elsewhere", rule(endpoints.ErrorRule{In: "errors.field", Code: "refresh_*", Kind: endpoints.KindLoginRequired}), badRefresh, 400,
			`{"error_description":"` + text + `","errors":{"field":"refresh_it"}}`},
		{"status alone", rule(endpoints.ErrorRule{Status: 401, Kind: endpoints.KindLoginRequired}), badRefresh, 401, ""},
		{"behind another rule", rule(
			endpoints.ErrorRule{In: "error", Code: "a*", Kind: endpoints.KindClientRejected},
			endpoints.ErrorRule{Code: "abc", Kind: endpoints.KindLoginRequired},
			endpoints.ErrorRule{Code: "b", Kind: endpoints.KindLoginRequired}), badRefresh, 400, `{"error":"b","error_description":"` + text + `"}`},
		{"of a code", rule(endpoints.ErrorRule{Code: "gone", Kind: endpoints.KindLoginRequired}), badCode, 400,
			`{"error":"gone","error_description":"The authorization code is invalid or expired"}`},
		{"of a code only", rule(
			endpoints.ErrorRule{Code: "gone", Kind: endpoints.KindLoginRequired}, endpoints.ErrorRule{Code: "no_code", Kind: endpoints.KindCodeRejected}), badCode, 400,
			`{"error":"no_code","error_description":"The authorization code is invalid or expired"}`},

		{"the API's", nil, expired, 401, `{"error":"invalid_token","error_description":"The access token expired"}`},
		{"the API's rule", apiRule(endpoints.ErrorRule{Status: 403, In: "err", Code: "Token expired", Kind: endpoints.KindTokenRejected}), expired, 403,
			`{"err":"Token expired","error_description":"The access token expired"}`},
		{"the API's status", apiRule(endpoints.ErrorRule{Status: 203, Kind: endpoints.KindTokenRejected}), expired, 203, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRaw(t, acme(tt.change))
			r.connect()
			r.set("$CODE", "guess")
			if tt.request == expired {
				r.s.Advance(2 * time.Hour)
			}
			a := r.send(tt.request)
			assert.Equal(t, tt.status, a.status)
			assert.Equal(t, tt.want, a.body)
		})
	}
	r := newRaw(t, acme(nil))
	assert.Equal(t, "Bearer", r.send("GET https://api.acme.example/v1").header.Get("WWW-Authenticate"))
	r.set("$ACCESS", "x")
	assert.Equal(t, `Bearer error="invalid_token"`, r.send(expired).header.Get("WWW-Authenticate"))
}

// TestRevokedByDefinition: the API's words for a connection that ended are others than
// those for a token that expired, if the definition has both.
func TestRevokedByDefinition(t *testing.T) {
	p := acme(func(p *endpoints.Provider) {
		p.API.Errors = []endpoints.ErrorRule{
			{Status: 200, Code: "expired", Kind: endpoints.KindTokenRejected}, {Status: 200, Code: "revoked", Kind: endpoints.KindLoginRequired},
		}
		p.Answer.Success = map[string]string{"ok": "true"}
	})
	r := newRaw(t, p)
	token := r.s.Connect(p)
	r.set("$ACCESS", token.AccessToken)
	call := "GET https://api.acme.example/v1\nAuthorization: Bearer $ACCESS"
	assert.Equal(t, true, r.send(call).members(t)["ok"])
	assert.True(t, r.s.Revoke(p, token))
	assert.Equal(t, `{"error":"revoked","error_description":"The access token was revoked","ok":false}`, r.send(call).body)
}

// TestIntrospectionByDefinition answers RFC 7662 until a connection has ended.
func TestIntrospectionByDefinition(t *testing.T) {
	r := newRaw(t, acme(nil))
	r.connect()
	ask := "POST https://api.acme.example/introspect\n\nclient_id=$ID&client_secret=$SECRET&token=$REFRESH"
	told := r.send(ask).members(t)
	assert.Equal(t, true, told["active"])
	assert.Equal(t, "a b", told["scope"])
	r.s.RevokeAll(r.p)
	assert.Equal(t, `{"active":false}`, r.send(ask).body)
}

// TestNoRefreshToken: a policy can do without.
func TestNoRefreshToken(t *testing.T) {
	p := acme(nil)
	s := endpointstest.New(t, p)
	policy := s.Policy(p)
	policy.NoRefreshToken = true
	s.SetPolicy(p, policy)
	assert.Empty(t, s.Connect(p).RefreshToken)
}
