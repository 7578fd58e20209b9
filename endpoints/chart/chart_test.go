package chart_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/chart"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

const (
	secret = "chart-secret-x/y+z"
	id     = "550e8400-e29b-41d4-a716-446655440000"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answered asks for the token of a taxpayer where Chart answers so.
func answered(taxpayer string, status int, body string) (token *oauth2.Token, requests []string, err error) {
	base := roundTripper(func(r *http.Request) (*http.Response, error) {
		dump, err := httputil.DumpRequestOut(r, true)
		if err != nil {
			return nil, err
		}
		requests = append(requests, strings.ReplaceAll(string(dump), "\r\n", "\n"))
		if status == 0 {
			return nil, errors.New("reset, after " + secret)
		}
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Location", "https://evil.example/")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
		return w.Result(), nil
	})
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: base})
	conf := endpoints.Chart.Config(oauth2.Config{ClientID: "chart-id", ClientSecret: secret})
	token, err = chart.RecoverToken(ctx, conf, taxpayer)
	return token, requests, err
}

func TestTokenIsAskedForAsChartDocumentsIt(t *testing.T) {
	// https://developer.trychart.com/api-reference/management/access_token
	token, requests, err := answered(id, 200, `{
  "access_token": "access-1",
  "taxpayer_id": "`+id+`",
  "name": "Jane Doe",
  "metadata": {"a": 1},
  "provider_id": "irs-tax-pro",
  "created_at": "2023-11-07T05:31:56Z",
  "status": "TAX_AUTHORIZATION_SUBMITTED"
}`)
	require.NoError(t, err)
	assert.Equal(t, []string{`GET /auth/tax-payer/550e8400-e29b-41d4-a716-446655440000/token HTTP/1.1
Host: api.trychartapi.com
User-Agent: Go-http-client/1.1
Accept: application/json
Authorization: Basic Y2hhcnQtaWQ6Y2hhcnQtc2VjcmV0LXgveSt6
Accept-Encoding: gzip

`}, requests)
	assert.Equal(t, "access-1", token.AccessToken)
	assert.True(t, token.Expiry.IsZero())
	assert.Equal(t, "TAX_AUTHORIZATION_SUBMITTED", token.Extra("status"))
	assert.Equal(t, map[string]any{"a": 1.}, token.Extra("metadata"))
	var told chart.Connection
	require.NoError(t, endpoints.Metadata(token, &told))
	assert.Equal(t, chart.Connection{AccountID: id, ProviderID: "irs-tax-pro"}, told)
}

func TestIDThatIsNoneIsNotSent(t *testing.T) {
	for _, taxpayer := range []string{
		"", ".", "..", "../../disconnect", "a/b", "a%2Fb", "a?b", "a#b", "a b", "a\n", `a\b`, "é", strings.Repeat("a", 129),
	} {
		token, requests, err := answered(taxpayer, 200, `{"access_token": "a"}`)
		assert.Nil(t, token)
		assert.EqualError(t, err, "chart: the taxpayer's id isn't one")
		assert.Equal(t, endpoints.KindUnknown, endpoints.KindOf(err))
		assert.Empty(t, requests)
	}
}

func TestErrorOfARecovery(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		body   string
		kind   endpoints.ErrorKind
	}{
		"wrong secret":     {401, `{"code": 401, "name": "invalid_client", "message": "not ` + secret + `"}`, endpoints.KindClientRejected},
		"too many":         {429, ``, endpoints.KindRateLimited},
		"in trouble":       {503, `<html>`, endpoints.KindProviderTrouble},
		"no answer":        {0, ``, endpoints.KindProviderTrouble},
		"a redirect":       {302, ``, endpoints.KindClientRejected},
		"no token":         {200, `{"taxpayer_id": "` + id + `"}`, endpoints.KindUnreadable},
		"empty":            {200, ``, endpoints.KindUnreadable},
		"another taxpayer": {200, `{"access_token": "access-1", "taxpayer_id": "other"}`, endpoints.KindUnreadable},
		"no taxpayer's id": {200, `{"access_token": "access-1", "taxpayer_id": 1}`, endpoints.KindUnreadable},
	} {
		t.Run(name, func(t *testing.T) {
			token, requests, err := answered(id, tt.status, tt.body)
			assert.Nil(t, token)
			assert.Equal(t, tt.kind, endpoints.KindOf(err), "%v", err)
			assert.Len(t, requests, 1)
			if tt.status != 0 {
				var answered *oauth2.RetrieveError
				require.ErrorAs(t, err, &answered)
				assert.GreaterOrEqual(t, answered.Response.StatusCode, 300)
			}
			shown := fmt.Sprintf("%v %+v %#v", err, err, err)
			assert.NotContains(t, shown, secret)
			assert.NotContains(t, shown, "access-1")
		})
	}
}

// A token that got lost between Chart's answer and the store is the one that is in use.
func TestRecoveredTokenCanBeSavedAndUsed(t *testing.T) {
	sandbox := endpointstest.New(t)
	p := sandbox.Provider(endpoints.Chart)
	conf := p.Config(sandbox.Config(endpoints.Chart, ""))
	lost := sandbox.Connect(endpoints.Chart)
	taxpayer, _ := lost.Extra("account_id").(string)

	token, err := chart.RecoverToken(t.Context(), conf, taxpayer)
	require.NoError(t, err)
	assert.Equal(t, lost.AccessToken, token.AccessToken)
	keys, err := storage.NewKeyset(storage.NewKey())
	require.NoError(t, err)
	m := &tokensource.Manager{Config: conf, Store: storage.Encrypt(new(storage.Memory), keys), APIURLs: p.APIURLs}
	require.NoError(t, m.Save(t.Context(), "jane", token))
	resp, err := m.Client("jane").Get(p.APIURLs[0] + "/tax-payer")
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, 200, resp.StatusCode)
	stored, err := m.Source("jane").Stored(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "COMPLETED", stored.Extra("status"))

	_, err = chart.RecoverToken(t.Context(), conf, "nobody")
	var answered *oauth2.RetrieveError
	require.ErrorAs(t, err, &answered)
	assert.Equal(t, 404, answered.Response.StatusCode)
}
