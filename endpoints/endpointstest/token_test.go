package endpointstest_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
)

// TestTokenResponse has every documented member, and no other.
func TestTokenResponse(t *testing.T) {
	s := endpointstest.New(t)

	finch := connected(t, s, endpoints.Finch)
	assert.Regexp(t, `^[0-9a-f-]{36}$`, finch["access_token"])
	for _, id := range []string{"access_token", "connection_id", "account_id", "company_id", "entity_ids"} {
		require.Contains(t, finch, id)
		delete(finch, id)
	}
	assert.Equal(t, map[string]any{
		"token_type": "bearer", "client_type": "sandbox", "connection_type": "provider", "provider_id": "gusto",
		"products": []any{"company", "directory"}, "customer_id": nil, "customer_name": nil,
	}, finch)

	chart := connected(t, s, endpoints.Chart)
	assert.Len(t, chart, 3)
	assert.NotEmpty(t, chart["account_id"])
	assert.NotEmpty(t, chart["access_token"])
	assert.Equal(t, "turbotax", chart["provider_id"])

	for _, p := range []endpoints.Provider{endpoints.TaxRock, endpoints.TaxRockSandbox} {
		taxRock := connected(t, s, p)
		assert.Regexp(t, `^eyJ[\w-]+\.[\w-]+\.[\w-]+$`, taxRock["access_token"])
		assert.Regexp(t, `^v1\.[\w-]+$`, taxRock["refresh_token"])
		again := post(t, s, p, refresh(s, p, taxRock["refresh_token"].(string))).members(t)
		assert.NotEqual(t, taxRock["access_token"], again["access_token"])
		for _, m := range []map[string]any{taxRock, again} {
			delete(m, "access_token")
			assert.Equal(t, 3600.0, m["expires_in"])
			assert.Equal(t, "Bearer", m["token_type"])
			assert.Equal(t, "offline_access read:client-accounts", m["scope"])
		}
		assert.Len(t, taxRock, 4)
		assert.Len(t, again, 3, "a refresh doesn't send the refresh token again")
	}
}

func TestAccessTokenIsAJWT(t *testing.T) {
	s := endpointstest.New(t)
	claims := func() map[string]any {
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(s.Connect(endpoints.TaxRock).AccessToken, ".")[1])
		require.NoError(t, err)
		return answer{body: string(payload)}.members(t)
	}
	m := claims()
	assert.NotEqual(t, m["jti"], claims()["jti"], "no two are the same, however fast they come")
	assert.Equal(t, audience, m["aud"])
	assert.Equal(t, s.Config(endpoints.TaxRock, "").ClientID, m["azp"])
	assert.InDelta(t, float64(time.Now().Add(time.Hour).Unix()), m["exp"], 30)
}

// TestTokenRequestIsStrict changes one thing in a good token request at a time.
func TestTokenRequestIsStrict(t *testing.T) {
	t.Parallel() // in the end, net/http waits half a second with a connection whose body was too large
	const (
		finchBad   = `{"code":400,"message":"Failed to validate request: WHAT","name":"bad_request","finch_code":"invalid_request"}`
		finchGrant = `{"statusCode":400,"status":400,"code":400,"message":"Invalid grant: WHAT","name":"invalid_grant"}`
		finchID    = `{"code":401,"message":"The provided application credentials were incorrect","name":"invalid_client"}`
		chartBad   = `{"code":400,"name":"bad_request","message":"Failed to validate request: WHAT"}`
		chartGrant = `{"code":400,"name":"invalid_grant","message":"Invalid grant: WHAT"}`
		chartID    = `{"code":401,"name":"invalid_client","message":"The provided application credentials were incorrect"}`
		rockBad    = `{"error":"invalid_request","error_description":"The request is malformed: WHAT"}`
		rockID     = `{"error":"access_denied","error_description":"Unauthorized"}`
	)
	type change = map[string]any
	type kase struct {
		name    string
		fields  change      // changes to the body
		header  http.Header // changes to the header
		body    string      // instead of it all
		query   string
		refresh bool // of a refresh
		embed   bool // of a code of the embedded flow
		spends  bool // the code, since there is nothing else wrong
		status  int
		want    string // with WHAT for what
		what    string
	}
	// What is the same at every provider, in its own words.
	common := func(bad, id string) []kase {
		var cases []kase
		for _, name := range []string{"client_id", "client_secret", "code"} {
			cases = append(cases,
				kase{name: name + " missing", fields: change{name: nil}, status: 400, want: bad, what: "missing field " + name},
				kase{name: name + " empty", fields: change{name: ""}, status: 400, want: bad, what: "field " + name + " is empty"},
				kase{name: name + " number", fields: change{name: 7}, status: 400, want: bad, what: `field \"` + name + `\" is not a string`},
				kase{name: name + " null", body: `{"` + name + `":null}`, status: 400, want: bad, what: `field \"` + name + `\" is not a string`},
				kase{name: name + " twice", body: `{"` + name + `":"a","` + name + `":"b"}`, status: 400, want: bad, what: `repeated field \"` + name + `\"`})
		}
		return append(cases,
			kase{name: "redirect_uri empty", fields: change{"redirect_uri": ""}, status: 400, want: bad, what: "field redirect_uri is empty"},
			kase{name: "unexpected", fields: change{"scope": "x"}, status: 400, want: bad, what: `unexpected field \"scope\"`},
			kase{name: "not an object", body: `["code"]`, status: 400, want: bad, what: "the body is not a JSON object"},
			kase{name: "empty", body: " ", status: 400, want: bad, what: "the body is not a JSON object"},
			kase{name: "cut short", body: `{"code":"x"`, status: 400, want: bad, what: "the body is not a JSON object"},
			kase{name: "two objects", body: `{"code":"x"}{}`, status: 400, want: bad, what: "the body is not a JSON object"},
			kase{name: "query string", query: "?code=x", status: 400, want: bad, what: "unexpected query string"},
			kase{name: "too large", fields: change{"code": strings.Repeat("x", 2<<20)}, status: 400, want: bad, what: "the body is too large or can't be read"},
			kase{name: "basic auth", header: http.Header{"Authorization": {"Basic eDp5"}}, status: 400, want: bad, what: "unexpected header Authorization: the client's id and secret go into the body"},
			kase{name: "wrong id", fields: change{"client_id": "someone"}, status: 401, want: id},
			kase{name: "wrong secret", fields: change{"client_secret": "guess"}, status: 401, want: id},
		)
	}
	tests := map[string][]kase{
		"Finch": append(common(finchBad, finchID),
			kase{name: "grant_type", fields: change{"grant_type": "authorization_code"}, status: 400, want: finchBad, what: `unexpected field \"grant_type\"`},
			kase{name: "code_verifier", fields: change{"code_verifier": verifier}, status: 400, want: finchBad, what: `unexpected field \"code_verifier\"`},
			kase{name: "no version", header: http.Header{"Finch-Api-Version": nil}, status: 400, want: finchBad, what: "header Finch-API-Version must be 2020-09-17"},
			kase{name: "other version", header: http.Header{"Finch-Api-Version": {"2019-01-01"}}, status: 400, want: finchBad, what: "header Finch-API-Version must be 2020-09-17"},
			kase{name: "unknown code", fields: change{"code": "guess"}, status: 400, want: finchGrant, what: "authorization code is invalid"},
			kase{name: "redirect_uri missing", spends: true, fields: change{"redirect_uri": nil}, status: 400, want: finchGrant, what: "redirect_uri is missing"},
			kase{name: "redirect_uri other", spends: true, fields: change{"redirect_uri": callback + "/"}, status: 400, want: finchGrant, what: "redirect_uri is not that of the authorization"},
			kase{name: "redirect_uri in the embedded flow", embed: true, spends: true, status: 400, want: finchGrant, what: "redirect_uri must not be sent in the embedded flow"},
			kase{name: "a form", header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, status: 415,
				want: `{"code":415,"message":"Content-Type must be application/json: it is \"application/x-www-form-urlencoded\"","name":"bad_request","finch_code":"invalid_request"}`},
		),
		"Chart": append(common(chartBad, chartID),
			kase{name: "grant_type", fields: change{"grant_type": "authorization_code"}, status: 400, want: chartBad, what: `unexpected field \"grant_type\"`},
			kase{name: "async false", header: http.Header{"X-Chart-Async": {"false"}}, status: 400, want: chartBad, what: "header x-chart-async must be true or absent"},
			kase{name: "async twice", header: http.Header{"X-Chart-Async": {"true", "true"}}, status: 400, want: chartBad, what: "header x-chart-async must be true or absent"},
			kase{name: "async empty", header: http.Header{"X-Chart-Async": {""}}, status: 400, want: chartBad, what: "header x-chart-async must be true or absent"},
			kase{name: "unknown code", fields: change{"code": "guess"}, status: 400, want: chartGrant, what: "authorization code is invalid"},
			kase{name: "redirect_uri missing", spends: true, fields: change{"redirect_uri": nil}, status: 400, want: chartGrant, what: "redirect_uri is missing"},
			kase{name: "redirect_uri other", spends: true, fields: change{"redirect_uri": "http://localhost"}, status: 400, want: chartGrant, what: "redirect_uri is not that of the authorization"},
			kase{name: "redirect_uri in the embedded flow", embed: true, spends: true, status: 400, want: chartGrant, what: "redirect_uri must not be sent in the embedded flow"},
			kase{name: "text", header: http.Header{"Content-Type": {"text/plain"}}, status: 415,
				want: `{"code":415,"name":"bad_request","message":"Content-Type must be application/json: it is \"text/plain\""}`},
		),
		"TaxRock": append(common(rockBad, rockID),
			kase{name: "no grant_type", fields: change{"grant_type": nil}, status: 400, want: rockBad, what: "missing field grant_type"},
			kase{name: "other grant_type", fields: change{"grant_type": "password"}, status: 403, want: `{"error":"unsupported_grant_type","error_description":"Unsupported grant type: \"password\""}`},
			kase{name: "no verifier", fields: change{"code_verifier": nil}, status: 400, want: rockBad, what: "missing field code_verifier"},
			kase{name: "other verifier", spends: true, fields: change{"code_verifier": strings.Repeat("x", 43)}, status: 403, want: `{"error":"invalid_grant","error_description":"Failed to verify code verifier"}`},
			kase{name: "audience at the exchange", fields: change{"audience": audience}, status: 400, want: rockBad, what: `unexpected field \"audience\"`},
			kase{name: "redirect_uri missing", spends: true, fields: change{"redirect_uri": nil}, status: 400, want: rockBad, what: "missing field redirect_uri"},
			kase{name: "redirect_uri other", spends: true, fields: change{"redirect_uri": "http://localhost"}, status: 403,
				want: `{"error":"unauthorized_client","error_description":"The redirect URI is wrong: redirect_uri is not that of the authorization"}`},
			kase{name: "unknown code", fields: change{"code": "guess"}, status: 403, want: `{"error":"invalid_grant","error_description":"Invalid authorization code"}`},
			kase{name: "no content type", header: http.Header{"Content-Type": nil}, status: 415,
				want: `{"error":"invalid_request","error_description":"Content-Type must be application/json: it is \"\""}`},

			kase{name: "refresh without audience", refresh: true, fields: change{"audience": nil}, status: 400, want: rockBad, what: "missing field audience"},
			kase{name: "refresh for the sandbox's host", refresh: true, fields: change{"audience": "https://delegate-demo.api.taxrock.com"}, status: 403,
				want: `{"error":"access_denied","error_description":"Service not found: audience"}`},
			kase{name: "refresh with scope", refresh: true, fields: change{"scope": "offline_access"}, status: 400, want: rockBad, what: `unexpected field \"scope\"`},
			kase{name: "refresh with a wrong secret", refresh: true, fields: change{"client_secret": "guess"}, status: 401, want: rockID},
			kase{name: "refresh with nonsense", refresh: true, fields: change{"refresh_token": "v1.guess"}, status: 403, want: `{"error":"invalid_grant","error_description":"Unknown or invalid refresh token."}`},
		),
	}
	for name, cases := range tests {
		p := all[name]
		s := endpointstest.New(t, p)
		code := newCode(t, s, p, false)
		for _, tt := range cases {
			if testing.Short() && tt.name == "too large" {
				continue // net/http waits for the rest
			}
			t.Run(name+"/"+tt.name, func(t *testing.T) {
				sent := code
				if tt.spends {
					sent = newCode(t, s, p, tt.embed)
				}
				fields := with(exchange(s, p), change{"code": sent})
				if tt.refresh {
					fields = refresh(s, p, s.Connect(p).RefreshToken)
				}
				body := []byte(tt.body)
				if tt.body == "" {
					body = marshal(t, with(fields, tt.fields))
				}
				header := tokenHeader(p)
				for name, values := range tt.header {
					header[name] = values
				}
				before := s.Stats(p)
				a := send(t, http.MethodPost, s.Provider(p).Endpoint.TokenURL+tt.query, header, body)
				assert.Equal(t, tt.status, a.status)
				assert.Equal(t, strings.ReplaceAll(tt.want, "WHAT", tt.what), a.body)
				assert.Equal(t, "application/json; charset=utf-8", a.header.Get("Content-Type"))
				assert.Equal(t, "no-store", a.header.Get("Cache-Control"))

				after := s.Stats(p)
				assert.Equal(t, before.Exchanged, after.Exchanged)
				assert.Equal(t, before.Refreshed, after.Refreshed)
				assert.Equal(t, rejections(before)+1, rejections(after))
				for reason := range after.Rejected {
					assert.NotContains(t, reason, s.Config(p, "").ClientSecret)
				}
			})
		}
		// Nothing of all this kept a good request from working, or has spent the code.
		assert.Equal(t, http.StatusOK, post(t, s, p, with(exchange(s, p), change{"code": code})).status)
	}
}

// TestShortVerifier: a verifier has 43 characters at least (RFC 7636, section 4.1),
// even if its hash is right.
func TestShortVerifier(t *testing.T) {
	p := endpoints.TaxRock
	s := endpointstest.New(t)
	q := query(s, p)
	q.Set("code_challenge", oauth2.S256ChallengeFromVerifier("short"))
	u, err := endpointstest.Approve(t.Context(), nil, consentURL(s, p, q))
	require.NoError(t, err)
	a := post(t, s, p, with(exchange(s, p), map[string]any{"code": u.Query().Get("code"), "code_verifier": "short"}))
	assert.Equal(t, `{"error":"invalid_grant","error_description":"Failed to verify code verifier"}`, a.body)
}

func TestOtherMethodsAndPaths(t *testing.T) {
	s := endpointstest.New(t)
	for name, p := range all {
		here := s.Provider(p)
		for _, tt := range []struct{ method, url, allow string }{
			{"GET", here.Endpoint.TokenURL, "POST"},
			{"PUT", here.Endpoint.TokenURL, "POST"},
			{"GET", here.RevokeURL, "POST"},
			{"DELETE", here.Endpoint.AuthURL, "GET, POST"},
			{"POST", here.APIURLs[0] + apiPath[p.Name], "GET"},
		} {
			a := send(t, tt.method, tt.url, nil, nil)
			assert.Equal(t, http.StatusMethodNotAllowed, a.status, "%s %s %s", name, tt.method, tt.url)
			assert.Equal(t, tt.allow, a.header.Get("Allow"))
		}
		for _, url := range []string{here.APIURLs[0] + "/nothing", here.Endpoint.TokenURL + "/", here.Endpoint.AuthURL + "/nothing"} {
			a := send(t, "GET", url, nil, nil)
			assert.Equal(t, http.StatusNotFound, a.status, url)
			assert.NotEmpty(t, a.members(t))
		}
	}
}

func TestCodesAreSingleUseAndExpire(t *testing.T) {
	for name, lifetime := range map[string]time.Duration{"Finch": 10 * time.Minute, "Chart": 10 * time.Minute, "TaxRock": time.Minute} {
		t.Run(name, func(t *testing.T) {
			p := all[name]
			s := endpointstest.New(t)
			invalid := http.StatusBadRequest
			if name == "TaxRock" {
				invalid = http.StatusForbidden
			}
			fields := with(exchange(s, p), map[string]any{"code": newCode(t, s, p, false)})
			s.Advance(lifetime - 5*time.Second)
			assert.Equal(t, http.StatusOK, post(t, s, p, fields).status, "just in time")
			assert.Equal(t, invalid, post(t, s, p, fields).status, "second use")

			fields["code"] = newCode(t, s, p, false)
			s.Advance(lifetime)
			assert.Equal(t, invalid, post(t, s, p, fields).status, "too late")
			assert.Equal(t, map[string]int{"wrong code: unknown, spent or long expired": 1, "wrong code: expired": 1}, s.Stats(p).Rejected)

			fields["code"] = newCode(t, s, p, false)
			wrong := with(fields, map[string]any{"redirect_uri": "http://localhost/other"})
			assert.NotEqual(t, http.StatusOK, post(t, s, p, wrong).status)
			assert.Equal(t, invalid, post(t, s, p, fields).status, "a code that was tried is spent")
		})
	}
}

func TestCredentialsAreGoodAtOneProvider(t *testing.T) {
	s := endpointstest.New(t)
	for name, p := range all {
		for other, o := range all {
			if name == other {
				continue
			}
			fields := with(exchange(s, p), map[string]any{"code": newCode(t, s, p, false)})
			c := s.Config(o, callback)
			fields["client_id"], fields["client_secret"] = c.ClientID, c.ClientSecret
			assert.Equal(t, http.StatusUnauthorized, post(t, s, p, fields).status, "%s's client at %s", other, name)

			a := get(t, s, p, apiPath[p.Name], s.Connect(o).AccessToken)
			assert.Equal(t, http.StatusUnauthorized, a.status, "%s's token at %s", other, name)
			if p.Name == "TaxRock" && o.Name == "TaxRock" {
				a := post(t, s, p, refresh(s, p, s.Connect(o).RefreshToken))
				assert.Equal(t, http.StatusForbidden, a.status, "%s's refresh token at %s", other, name)
			}
		}
	}
}

func TestRevokeEndpoint(t *testing.T) {
	p := endpoints.TaxRock
	s := endpointstest.New(t)
	c := s.Config(p, callback)
	token := s.Connect(p)
	for _, tt := range []struct {
		name, body, want string
		status           int
	}{
		{"no token", `{"client_id":"$ID","client_secret":"$SECRET"}`, `{"error":"invalid_request","error_description":"The request is malformed: missing field token"}`, 400},
		{"a hint", `{"client_id":"$ID","client_secret":"$SECRET","token":"x","token_type_hint":"refresh_token"}`,
			`{"error":"invalid_request","error_description":"The request is malformed: unexpected field \"token_type_hint\""}`, 400},
		{"not JSON", `token=x`, `{"error":"invalid_request","error_description":"The request is malformed: the body is not a JSON object"}`, 400},
		{"wrong secret", `{"client_id":"$ID","client_secret":"guess","token":"x"}`, `{"error":"access_denied","error_description":"Unauthorized"}`, 401},
		{"access token", `{"client_id":"$ID","client_secret":"$SECRET","token":"` + token.AccessToken + `"}`,
			`{"error":"unsupported_token_type","error_description":"Only refresh tokens can be revoked"}`, 400},
		{"unknown token", `{"client_id":"$ID","client_secret":"$SECRET","token":"x"}`, "", 200},
	} {
		a := send(t, http.MethodPost, s.Provider(p).RevokeURL, jsonHeader(), []byte(fill(tt.body, c)))
		assert.Equal(t, tt.status, a.status, tt.name)
		assert.Equal(t, tt.want, a.body, tt.name)
	}
	a := send(t, http.MethodPost, s.Provider(p).RevokeURL, http.Header{"Content-Type": {"text/plain"}}, nil)
	assert.Equal(t, http.StatusUnsupportedMediaType, a.status)
	assert.Equal(t, http.StatusOK, get(t, s, p, "/client-accounts", token.AccessToken).status, "alive until now")

	body := fill(`{"client_id":"$ID","client_secret":"$SECRET","token":"`+token.RefreshToken+`"}`, c)
	a = send(t, http.MethodPost, s.Provider(p).RevokeURL, jsonHeader(), []byte(body))
	assert.Equal(t, http.StatusOK, a.status)
	assert.Empty(t, a.body)
	assert.Equal(t, http.StatusUnauthorized, get(t, s, p, "/client-accounts", token.AccessToken).status)
	assert.Equal(t, http.StatusForbidden, post(t, s, p, refresh(s, p, token.RefreshToken)).status)
	assert.Equal(t, 1, s.Stats(p).Revoked)
}

// TestFinchTakesCredentialsTwice, as its SDKs send them, and no others.
func TestFinchTakesCredentialsTwice(t *testing.T) {
	for name, test := range map[string]struct {
		p      endpoints.Provider
		basic  func(id, secret string) string
		status int
	}{
		"Finch":          {endpoints.Finch, func(id, secret string) string { return id + ":" + secret }, http.StatusOK},
		"another secret": {endpoints.Finch, func(id, secret string) string { return id + ":guess" }, http.StatusBadRequest},
		"Chart":          {endpoints.Chart, func(id, secret string) string { return id + ":" + secret }, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			s := endpointstest.New(t, test.p)
			c := s.Config(test.p, callback)
			u, err := endpointstest.Approve(t.Context(), http.DefaultClient, c.Endpoint.AuthURL+"?"+query(s, test.p).Encode())
			require.NoError(t, err)
			header := tokenHeader(test.p)
			header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(test.basic(c.ClientID, c.ClientSecret))))
			body, err := json.Marshal(map[string]string{"client_id": c.ClientID, "client_secret": c.ClientSecret, "code": u.Query().Get("code"), "redirect_uri": callback})
			require.NoError(t, err)
			assert.Equal(t, test.status, send(t, http.MethodPost, c.Endpoint.TokenURL, header, body).status)
		})
	}
}
