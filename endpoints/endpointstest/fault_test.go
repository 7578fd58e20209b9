package endpointstest_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
)

// TestLostAnswers: the request was processed, and the client can't know.
func TestLostAnswers(t *testing.T) {
	p := endpoints.TaxRock
	for _, tt := range []struct {
		name    string
		trouble endpointstest.Trouble
		check   func(t *testing.T, a answer, err error)
	}{
		{"lost", endpointstest.LostAnswer, func(t *testing.T, _ answer, err error) { assert.ErrorIs(t, err, io.EOF) }},
		{"broken", endpointstest.BrokenAnswer, func(t *testing.T, a answer, err error) {
			assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
			assert.Equal(t, http.StatusOK, a.status)
			assert.Contains(t, a.body, `{"access_token":"eyJ`)
		}},
		{"truncated", endpointstest.TruncatedAnswer, func(t *testing.T, a answer, err error) {
			require.NoError(t, err)
			assert.Equal(t, http.StatusOK, a.status)
			assert.Contains(t, a.body, `{"access_token":"eyJ`)
			assert.NotContains(t, a.body, "}")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := endpointstest.New(t, p)
			rotating(s, p, 0)
			token := s.Connect(p)
			s.Fail(p, endpointstest.Fault{Trouble: tt.trouble, Times: 1})
			a, err := trySend(t, "POST", s.Provider(p).Endpoint.TokenURL, jsonHeader(), marshal(t, refresh(s, p, token.RefreshToken)))
			tt.check(t, a, err)
			stats := s.Stats(p)
			assert.Equal(t, 1, stats.Refreshed, "it did happen")
			assert.Equal(t, 1, stats.Faulted)
			assert.Equal(t, unknownRefreshToken, post(t, s, p, refresh(s, p, token.RefreshToken)).body)
			assert.Equal(t, 1, s.Stats(p).Reused)
		})
	}
}

// TestUnprocessedFaults: nothing happened, and the code is still good.
func TestUnprocessedFaults(t *testing.T) {
	const firewall = `<!DOCTYPE html>
<html><head><title>Access denied</title></head>
<body><h1>Access denied</h1><p>Your request was blocked. Reference #18.2f1a.</p></body></html>
`
	fault := func(trouble endpointstest.Trouble) endpointstest.Fault {
		return endpointstest.Fault{Trouble: trouble, RetryAfter: 1500 * time.Millisecond, Times: 1}
	}
	for _, tt := range []struct {
		name    string
		fault   endpointstest.Fault
		status  int
		want    map[string]string // of the token endpoint
		wantAPI map[string]string
	}{
		{"unavailable", fault(endpointstest.Unavailable), 503,
			map[string]string{
				"Finch":   `{"code":503,"message":"The service is unavailable","name":"server_error"}`,
				"Chart":   `{"code":503,"name":"server_error","message":"The service is unavailable"}`,
				"TaxRock": `{"error":"temporarily_unavailable","error_description":"The service is unavailable"}`,
			},
			map[string]string{"TaxRock": `{"error":"temporarily_unavailable","message":"The service is unavailable"}`}},
		{"rate limited", fault(endpointstest.RateLimited), 429,
			map[string]string{
				"Finch":   `{"code":429,"message":"Too many requests","name":"rate_limit_exceeded","finch_code":"finch_application_rl"}`,
				"Chart":   `{"code":429,"name":"rate_limit_exceeded","message":"Too many requests"}`,
				"TaxRock": `{"error":"too_many_requests","error_description":"Global limit has been reached"}`,
			},
			map[string]string{"TaxRock": `{"error":"too_many_requests","message":"Global limit has been reached"}`}},
		{"firewall", fault(endpointstest.Firewall), 403,
			map[string]string{"Finch": firewall, "Chart": firewall, "TaxRock": firewall},
			map[string]string{"TaxRock": firewall}},
		{"handler", endpointstest.Fault{Times: 1, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			w.WriteHeader(http.StatusTeapot)
			w.Write(body[:min(1, len(body))])
		})}, 418, map[string]string{"Finch": "{", "Chart": "{", "TaxRock": "{"}, map[string]string{"Finch": "", "Chart": "", "TaxRock": ""}},
	} {
		for name, want := range tt.want {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				p := all[name]
				s := endpointstest.New(t, p)
				s.Fail(p, tt.fault)
				fields := with(exchange(s, p), map[string]any{"code": newCode(t, s, p, false)})
				a := post(t, s, p, fields)
				assert.Equal(t, tt.status, a.status)
				assert.Equal(t, want, a.body)
				if tt.status == 503 || tt.status == 429 {
					assert.Equal(t, "2", a.header.Get("Retry-After"), "whole seconds, rounded up")
				}
				assert.Equal(t, 1, s.Stats(p).CodeRequests, "it came, but")
				assert.Zero(t, s.Stats(p).Exchanged)
				a = post(t, s, p, fields)
				assert.Equal(t, http.StatusOK, a.status, "the code is not spent")
				access := a.members(t)["access_token"].(string)

				f := tt.fault
				f.On = endpointstest.API
				s.Fail(p, f)
				a = get(t, s, p, apiPath[name], access)
				assert.Equal(t, tt.status, a.status)
				if w, ok := tt.wantAPI[name]; ok {
					want = w
				}
				assert.Equal(t, want, a.body)
				assert.Equal(t, http.StatusOK, get(t, s, p, apiPath[name], access).status, "it is over")
			})
		}
	}
}

func TestAPIFaults(t *testing.T) {
	s := endpointstest.New(t)
	for _, tt := range []struct {
		p       endpoints.Provider
		trouble endpointstest.Trouble
		status  int
		want    string
	}{
		{endpoints.Finch, endpointstest.ReauthRequired, 401, `{"code":401,"message":"Please reauthenticate user","name":"authentication_error","finch_code":"reauthenticate_user"}`},
		{endpoints.Chart, endpointstest.ReauthRequired, 401, `{"code":401,"name":"authentication_error","message":"Please reauthenticate user"}`},
		{endpoints.TaxRock, endpointstest.ReauthRequired, 401, ""},
		{endpoints.Finch, endpointstest.InsufficientScope, 403, `{"code":403,"message":"The requested product was not granted","name":"insufficient_scope"}`},
		{endpoints.Chart, endpointstest.InsufficientScope, 403, `{"code":403,"name":"insufficient_scope","message":"The requested product was not granted"}`},
		{endpoints.TaxRock, endpointstest.InsufficientScope, 403, `{"error":"insufficient_scope","message":"The access token lacks a scope"}`},
	} {
		token := s.Connect(tt.p)
		s.Fail(tt.p, endpointstest.Fault{On: endpointstest.API, Trouble: tt.trouble, Times: 1})
		a := get(t, s, tt.p, apiPath[tt.p.Name], token.AccessToken)
		assert.Equal(t, tt.status, a.status)
		assert.Equal(t, tt.want, a.body)
		assert.Equal(t, http.StatusOK, get(t, s, tt.p, apiPath[tt.p.Name], token.AccessToken).status, "the token itself is fine")
	}
	p := endpoints.TaxRock
	s.Fail(p, endpointstest.Fault{Trouble: endpointstest.ReauthRequired, Times: 1})
	a := post(t, s, p, refresh(s, p, s.Connect(p).RefreshToken))
	assert.Equal(t, `{"error":"invalid_grant","error_description":"Unknown or invalid refresh token."}`, a.body)
}

// TestFaultsAreInOrder: each strikes its own operation at its own provider, one
// after another, and for as often as it says.
func TestFaultsAreInOrder(t *testing.T) {
	p := endpoints.TaxRock
	s := endpointstest.New(t)
	token := s.Connect(p)
	s.Fail(p, endpointstest.Fault{Trouble: endpointstest.Unavailable, Times: 2})
	s.Fail(p, endpointstest.Fault{Trouble: endpointstest.RateLimited, Times: 1})
	s.Fail(p, endpointstest.Fault{On: endpointstest.API, Trouble: endpointstest.Firewall})
	s.Fail(p, endpointstest.Fault{On: endpointstest.API, Trouble: endpointstest.Unavailable, Times: 1}) // behind one that doesn't end

	for _, want := range []int{503, 503, 429, 200} {
		assert.Equal(t, want, post(t, s, p, refresh(s, p, token.RefreshToken)).status)
	}
	for range 3 {
		assert.Equal(t, 403, get(t, s, p, "/client-accounts", token.AccessToken).status)
	}
	assert.Equal(t, 200, post(t, s, endpoints.TaxRockSandbox, refresh(s, endpoints.TaxRockSandbox, s.Connect(endpoints.TaxRockSandbox).RefreshToken)).status)
	assert.Equal(t, 6, s.Stats(p).Faulted)
	s.Clear(p)
	assert.Equal(t, 200, get(t, s, p, "/client-accounts", token.AccessToken).status)

	s.Fail(p, endpointstest.Fault{On: endpointstest.Revocation, Trouble: endpointstest.Unavailable, Times: 1})
	assert.Equal(t, 503, send(t, "POST", s.Provider(p).RevokeURL, jsonHeader(), []byte("{}")).status)
	assert.Equal(t, 400, send(t, "POST", s.Provider(p).RevokeURL, jsonHeader(), []byte("{}")).status)
}

func TestDelays(t *testing.T) {
	const delay = 5 * time.Millisecond
	p := endpoints.TaxRock
	s := endpointstest.New(t)
	token := s.Connect(p)
	s.Fail(p, endpointstest.Fault{RequestDelay: delay, Times: 1})
	s.Fail(p, endpointstest.Fault{AnswerDelay: delay, Times: 1})
	for range 2 {
		start := time.Now()
		assert.Equal(t, 200, post(t, s, p, refresh(s, p, token.RefreshToken)).status)
		assert.GreaterOrEqual(t, time.Since(start), delay)
	}
	s.Fail(p, endpointstest.Fault{On: endpointstest.API, AnswerDelay: delay, Times: 1})
	start := time.Now()
	assert.Equal(t, 200, get(t, s, p, "/client-accounts", token.AccessToken).status)
	assert.GreaterOrEqual(t, time.Since(start), delay)
}

// TestLateRequest is processed although the client has gone: it was on its way.
func TestLateRequest(t *testing.T) {
	p := endpoints.TaxRock
	s := endpointstest.New(t)
	rotating(s, p, 0)
	token := s.Connect(p)
	s.Fail(p, endpointstest.Fault{RequestDelay: time.Hour, Times: 1})
	ctx, leave := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "POST", s.Provider(p).Endpoint.TokenURL, bytes.NewReader(marshal(t, refresh(s, p, token.RefreshToken))))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	go func() {
		defer leave()
		assert.Eventually(t, func() bool { return s.Stats(p).Faulted == 1 }, 10*time.Second, time.Millisecond)
	}()
	_, err = browser(t).Do(r)
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, 1, s.Stats(p).RefreshRequests)
	assert.Zero(t, s.Stats(p).Refreshed, "not yet")
	s.Close() // ends the delay
	assert.Equal(t, 1, s.Stats(p).Refreshed)
}

// TestLostAnswerOnAUsedConnection: net/http repeats a GET by itself, and never a
// POST, which would spend a refresh token twice.
func TestLostAnswerOnAUsedConnection(t *testing.T) {
	p := endpoints.TaxRock
	s := endpointstest.New(t)
	token := s.Connect(p)
	client := browser(t)
	do := func(method, url string, body []byte) (int, error) {
		r, err := http.NewRequest(method, url, bytes.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token.AccessToken)
		if method == "POST" {
			r.Header.Del("Authorization")
		}
		resp, err := client.Do(r)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, err
	}
	tokenURL, apiURL, body := s.Provider(p).Endpoint.TokenURL, s.Provider(p).APIURLs[0]+"/client-accounts", marshal(t, refresh(s, p, token.RefreshToken))
	for _, lost := range []bool{false, true} {
		if lost {
			s.Fail(p, endpointstest.Fault{Trouble: endpointstest.LostAnswer, Times: 1})
			s.Fail(p, endpointstest.Fault{On: endpointstest.API, Trouble: endpointstest.LostAnswer, Times: 1})
		}
		status, err := do("POST", tokenURL, body)
		assert.Equal(t, lost, err != nil)
		assert.Equal(t, !lost, status == 200)
		status, err = do("GET", apiURL, nil)
		assert.NoError(t, err)
		assert.Equal(t, 200, status)
	}
	stats := s.Stats(p)
	assert.Equal(t, 2, stats.RefreshRequests)
	assert.Equal(t, 3, stats.APIAnswered, "one of two came twice")
}
