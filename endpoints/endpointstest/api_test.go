package endpointstest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
)

func TestIntrospect(t *testing.T) {
	s := endpointstest.New(t)
	finch := connected(t, s, endpoints.Finch)
	m := get(t, s, endpoints.Finch, "/introspect", finch["access_token"].(string)).members(t)
	for _, name := range []string{"connection_id", "account_id", "company_id", "products", "provider_id", "connection_type", "client_type"} {
		assert.Equal(t, finch[name], m[name], name)
	}
	assert.Equal(t, "connected", m["connection_status"].(map[string]any)["status"])
	assert.Equal(t, s.Config(endpoints.Finch, "").ClientID, m["client_id"])

	chart := connected(t, s, endpoints.Chart)
	m = get(t, s, endpoints.Chart, "/introspect", chart["access_token"].(string)).members(t)
	assert.Equal(t, chart["account_id"], m["taxpayer_id"])
	assert.Equal(t, "turbotax", m["provider_id"])
}

func TestAPIRefusals(t *testing.T) {
	s := endpointstest.New(t)
	finch, chart, rock := endpoints.Finch, endpoints.Chart, endpoints.TaxRock
	for _, tt := range []struct {
		name, want string
		p          endpoints.Provider
		path       string
		auth       []string
		status     int
	}{
		{"finch missing", `{"code":401,"message":"The access_token is missing from the header","name":"unauthorized_request"}`, finch, "/introspect", nil, 401},
		{"finch basic", `{"code":401,"message":"The access_token is missing from the header","name":"unauthorized_request"}`, finch, "/introspect", []string{"Basic eDp5"}, 401},
		{"finch twice", `{"code":401,"message":"The access_token is missing from the header","name":"unauthorized_request"}`, finch, "/introspect",
			[]string{"Bearer " + s.Connect(finch).AccessToken, "Bearer x"}, 401},
		{"finch dead", `{"code":401,"message":"The access_token is incorrect","name":"invalid_token"}`, finch, "/employer/company", []string{"Bearer x"}, 401},
		{"finch scope", `{"code":403,"message":"The requested product was not granted: company","name":"insufficient_scope"}`, finch, "/employer/company",
			[]string{"Bearer " + s.Connect(finch, "directory").AccessToken}, 403},
		{"chart missing", `{"code":401,"name":"unauthorized_request","message":"The access_token is missing from the header"}`, chart, "/introspect", nil, 401},
		{"chart dead", `{"code":401,"name":"invalid_token","message":"The access_token is incorrect"}`, chart, "/tax-payer", []string{"Bearer x"}, 401},
		{"taxrock missing", "", rock, "/client-accounts", nil, 401},
		{"taxrock dead", "", rock, "/client-accounts", []string{"Bearer x"}, 401},
		{"taxrock scope", `{"error":"insufficient_scope","message":"The access token lacks a scope: read:client-accounts"}`, rock, "/client-accounts",
			[]string{"Bearer " + s.Connect(rock, "offline_access").AccessToken}, 403},
	} {
		before := s.Stats(tt.p)
		a := send(t, http.MethodGet, s.Provider(tt.p).APIURLs[0]+tt.path, http.Header{"Authorization": tt.auth}, nil)
		assert.Equal(t, tt.status, a.status, tt.name)
		assert.Equal(t, tt.want, a.body, tt.name)
		if tt.p.Name == "TaxRock" && a.status == 401 {
			assert.Equal(t, "Bearer", a.header.Get("WWW-Authenticate"))
		}
		assert.Equal(t, before.APIRefused+1, s.Stats(tt.p).APIRefused)
		assert.Equal(t, before.APIAnswered, s.Stats(tt.p).APIAnswered)
	}
}

func TestLookUpByEIN(t *testing.T) {
	p := endpoints.TaxRock
	s := endpointstest.New(t)
	header := jsonHeader("Authorization", "Bearer "+s.Connect(p).AccessToken)
	url := s.Provider(p).APIURLs[0] + "/client-accounts/lookup/ein"
	a := send(t, http.MethodPost, url, header, []byte(`{"businessEin":"11-1111111"}`))
	assert.Equal(t, http.StatusOK, a.status)
	assert.Equal(t, "Acme Holdings", a.members(t)["result"].(map[string]any)["clientAccountName"])
	a = send(t, http.MethodPost, url, header, []byte(`{}`))
	assert.Equal(t, http.StatusBadRequest, a.status)
	assert.Equal(t, `{"error":"invalid_request","message":"The request is malformed: businessEin is missing or malformed"}`, a.body)
}

func TestDisconnect(t *testing.T) {
	s := endpointstest.New(t)
	for _, p := range []endpoints.Provider{endpoints.Finch, endpoints.Chart} {
		token, other := s.Connect(p), s.Connect(p)
		url := s.Provider(p).RevokeURL
		require.True(t, strings.HasSuffix(url, "/disconnect"))
		header := http.Header{"Authorization": {"Bearer " + token.AccessToken}}
		a := send(t, http.MethodPost, url, header, []byte(`{}`))
		assert.Equal(t, http.StatusBadRequest, a.status, "a body")
		a = send(t, http.MethodPost, url, nil, nil)
		assert.Equal(t, http.StatusUnauthorized, a.status, "no token")

		a = send(t, http.MethodPost, url, header, nil)
		assert.Equal(t, http.StatusOK, a.status)
		assert.Equal(t, `{"status":"success"}`, a.body)
		a = send(t, http.MethodPost, url, header, nil)
		assert.Equal(t, http.StatusUnauthorized, a.status, "for good")
		assert.Equal(t, "invalid_token", get(t, s, p, "/introspect", token.AccessToken).members(t)["name"])
		assert.Equal(t, http.StatusOK, get(t, s, p, "/introspect", other.AccessToken).status)
		assert.Equal(t, 1, s.Stats(p).Revoked)
	}
}

func TestRevokedByTheProvider(t *testing.T) {
	s := endpointstest.New(t)
	for name, p := range all {
		t.Run(name, func(t *testing.T) {
			one, two, three := s.Connect(p), s.Connect(p), s.Connect(p)
			path := apiPath[p.Name]
			assert.True(t, s.Revoke(p, one))
			assert.False(t, s.Revoke(p, one), "it is gone")
			a := get(t, s, p, path, one.AccessToken)
			assert.Equal(t, http.StatusUnauthorized, a.status)
			switch p.Name {
			case "Finch":
				assert.Equal(t, `{"code":401,"message":"Please reauthenticate user","name":"authentication_error","finch_code":"reauthenticate_user"}`, a.body)
			case "Chart":
				assert.Equal(t, `{"code":401,"name":"authentication_error","message":"Please reauthenticate user"}`, a.body)
			case "TaxRock":
				assert.Empty(t, a.body)
				assert.Equal(t, unknownRefreshToken, post(t, s, p, refresh(s, p, one.RefreshToken)).body)
				// The access token alone is enough to tell which connection is meant.
				assert.True(t, s.Revoke(p, three))
				four := s.Connect(p)
				four.RefreshToken = ""
				assert.True(t, s.Revoke(p, four))
			}
			assert.Equal(t, http.StatusOK, get(t, s, p, path, two.AccessToken).status)
			s.RevokeAll(p)
			assert.Equal(t, http.StatusUnauthorized, get(t, s, p, path, two.AccessToken).status)
			assert.Equal(t, http.StatusOK, get(t, s, p, path, s.Connect(p).AccessToken).status, "connected again")
		})
	}
}
