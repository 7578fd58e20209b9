package endpointstest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
)

const unknownRefreshToken = `{"error":"invalid_grant","error_description":"Unknown or invalid refresh token."}`

func TestAccessTokensExpire(t *testing.T) {
	p := endpoints.TaxRock
	s := endpointstest.New(t)
	token := s.Connect(p)
	s.Advance(time.Hour - 10*time.Second)
	assert.Equal(t, http.StatusOK, get(t, s, p, "/client-accounts", token.AccessToken).status)
	s.Advance(10 * time.Second)
	assert.Equal(t, http.StatusUnauthorized, get(t, s, p, "/client-accounts", token.AccessToken).status)
	assert.Equal(t, map[string]int{"dead access token: expired": 1}, s.Stats(p).Rejected)

	policy := s.Policy(p)
	policy.AccessLifetime = 90*time.Second + 900*time.Millisecond
	s.SetPolicy(p, policy)
	a := post(t, s, p, refresh(s, p, token.RefreshToken)).members(t)
	assert.Equal(t, 90.0, a["expires_in"], "whole seconds, rounded down")
	s.Advance(90 * time.Second)
	assert.Equal(t, http.StatusOK, get(t, s, p, "/client-accounts", a["access_token"].(string)).status)
	s.Advance(900 * time.Millisecond)
	assert.Equal(t, http.StatusUnauthorized, get(t, s, p, "/client-accounts", a["access_token"].(string)).status)

	policy.AccessLifetime = 0
	s.SetPolicy(p, policy)
	a = post(t, s, p, refresh(s, p, token.RefreshToken)).members(t)
	assert.NotContains(t, a, "expires_in")
	s.Advance(20 * 365 * 24 * time.Hour)
	assert.Equal(t, http.StatusOK, get(t, s, p, "/client-accounts", a["access_token"].(string)).status)
}

// TestFinchAndChartTokensDontExpire but a policy can make them, which their
// responses don't tell.
func TestFinchAndChartTokensDontExpire(t *testing.T) {
	for _, p := range []endpoints.Provider{endpoints.Finch, endpoints.Chart} {
		s := endpointstest.New(t)
		token := s.Connect(p)
		s.Advance(20 * 365 * 24 * time.Hour)
		assert.Equal(t, http.StatusOK, get(t, s, p, apiPath[p.Name], token.AccessToken).status)

		policy := s.Policy(p)
		policy.AccessLifetime = time.Minute
		s.SetPolicy(p, policy)
		m := connected(t, s, p)
		assert.NotContains(t, m, "expires_in")
		s.Advance(time.Minute)
		assert.Equal(t, http.StatusUnauthorized, get(t, s, p, apiPath[p.Name], m["access_token"].(string)).status)
		assert.Equal(t, http.StatusOK, get(t, s, p, apiPath[p.Name], token.AccessToken).status, "issued before")
	}
}

func TestRefreshTokensDieOfIdlenessAndAge(t *testing.T) {
	const day = 24 * time.Hour
	p := endpoints.TaxRock
	s := endpointstest.New(t)
	idle, old := s.Connect(p), s.Connect(p)
	for range 3 {
		s.Advance(99 * day)
		require.Equal(t, http.StatusOK, post(t, s, p, refresh(s, p, old.RefreshToken)).status)
	}
	a := post(t, s, p, refresh(s, p, idle.RefreshToken))
	assert.Equal(t, http.StatusForbidden, a.status)
	assert.Equal(t, unknownRefreshToken, a.body)
	s.Advance(67 * day) // 364 in all
	require.Equal(t, http.StatusOK, post(t, s, p, refresh(s, p, old.RefreshToken)).status)
	s.Advance(day)
	assert.Equal(t, unknownRefreshToken, post(t, s, p, refresh(s, p, old.RefreshToken)).body)
	assert.Equal(t, map[string]int{
		"wrong refresh token: expired: idle for too long": 1,
		"wrong refresh token: expired: too old":           1,
	}, s.Stats(p).Rejected)
}

func TestNoRotationByDefault(t *testing.T) {
	p := endpoints.TaxRock
	s := endpointstest.New(t)
	token := s.Connect(p)
	for range 3 {
		a := post(t, s, p, refresh(s, p, token.RefreshToken))
		require.Equal(t, http.StatusOK, a.status)
		assert.NotContains(t, a.members(t), "refresh_token")
	}
	assert.Equal(t, 3, s.Stats(p).Refreshed)
}

// rotating makes p rotate its refresh tokens.
func rotating(s *endpointstest.Server, p endpoints.Provider, grace time.Duration) {
	policy := s.Policy(p)
	policy.Rotate, policy.Grace = true, grace
	s.SetPolicy(p, policy)
}

func TestReuseRevokesTheWholeFamily(t *testing.T) {
	p := endpoints.TaxRock
	s := endpointstest.New(t)
	rotating(s, p, 0)
	token, other := s.Connect(p), s.Connect(p)
	first := post(t, s, p, refresh(s, p, token.RefreshToken)).members(t)
	second := post(t, s, p, refresh(s, p, first["refresh_token"].(string))).members(t)
	assert.NotEqual(t, first["refresh_token"], second["refresh_token"])
	for _, access := range []any{token.AccessToken, first["access_token"], second["access_token"]} {
		assert.Equal(t, http.StatusOK, get(t, s, p, "/client-accounts", access.(string)).status)
	}

	a := post(t, s, p, refresh(s, p, token.RefreshToken))
	assert.Equal(t, http.StatusForbidden, a.status)
	assert.Equal(t, unknownRefreshToken, a.body)
	for _, access := range []any{token.AccessToken, first["access_token"], second["access_token"]} {
		assert.Equal(t, http.StatusUnauthorized, get(t, s, p, "/client-accounts", access.(string)).status)
	}
	assert.Equal(t, unknownRefreshToken, post(t, s, p, refresh(s, p, second["refresh_token"].(string))).body)

	assert.Equal(t, http.StatusOK, post(t, s, p, refresh(s, p, other.RefreshToken)).status, "another account's")
	stats := s.Stats(p)
	assert.Equal(t, 5, stats.RefreshRequests)
	assert.Equal(t, 3, stats.Refreshed)
	assert.Equal(t, 1, stats.Reused, "once is enough: after that it is unknown")
	assert.Equal(t, 1, stats.Revoked)
	assert.Equal(t, map[string]int{
		"wrong refresh token: reused": 1, "wrong refresh token: revoked or expired": 1, "dead access token: revoked": 3,
	}, stats.Rejected)
}

func TestGrace(t *testing.T) {
	p := endpoints.TaxRock
	s := endpointstest.New(t)
	rotating(s, p, 30*time.Second)
	token := s.Connect(p)
	first := post(t, s, p, refresh(s, p, token.RefreshToken)).members(t)
	s.Advance(25 * time.Second)
	again := post(t, s, p, refresh(s, p, token.RefreshToken)).members(t)
	assert.Equal(t, first["refresh_token"], again["refresh_token"], "the same successor")
	assert.NotEqual(t, first["access_token"], again["access_token"])
	assert.Equal(t, 1, s.Stats(p).Graced)
	assert.Zero(t, s.Stats(p).Reused)

	s.Advance(5 * time.Second)
	assert.Equal(t, unknownRefreshToken, post(t, s, p, refresh(s, p, token.RefreshToken)).body, "the window is shut")
	assert.Equal(t, 1, s.Stats(p).Reused)
	assert.Equal(t, unknownRefreshToken, post(t, s, p, refresh(s, p, first["refresh_token"].(string))).body)
}

// TestGraceIsForTheLastReplacedOnly: when the successor has been used, somebody has
// got it, and the older token is in the wrong hands.
func TestGraceIsForTheLastReplacedOnly(t *testing.T) {
	p := endpoints.TaxRock
	s := endpointstest.New(t)
	rotating(s, p, time.Hour)
	token := s.Connect(p)
	first := post(t, s, p, refresh(s, p, token.RefreshToken)).members(t)
	require.Equal(t, http.StatusOK, post(t, s, p, refresh(s, p, first["refresh_token"].(string))).status)
	assert.Equal(t, unknownRefreshToken, post(t, s, p, refresh(s, p, token.RefreshToken)).body)
	assert.Equal(t, 1, s.Stats(p).Reused)
}

func TestForgedTokens(t *testing.T) {
	p := endpoints.TaxRock
	s := endpointstest.New(t)
	token := s.Connect(p)
	for i := range token.RefreshToken {
		forged := []byte(token.RefreshToken)
		forged[i] ^= 1
		a := post(t, s, p, refresh(s, p, string(forged)))
		require.NotEqual(t, http.StatusOK, a.status, "byte %d", i)
	}
	for _, forged := range []string{"", "x", "a.b", "a.b.c", token.AccessToken + "A", token.AccessToken[1:], token.RefreshToken} {
		require.Equal(t, http.StatusUnauthorized, get(t, s, p, "/client-accounts", forged).status, "%q", forged)
	}
	spelled := []byte(token.AccessToken)
	spelled[len(spelled)-1]++ // sets a bit that base64 has no use for
	require.Equal(t, http.StatusUnauthorized, get(t, s, p, "/client-accounts", string(spelled)).status)
	assert.Zero(t, s.Stats(p).Reused)
	assert.Equal(t, http.StatusOK, post(t, s, p, refresh(s, p, token.RefreshToken)).status)
}
