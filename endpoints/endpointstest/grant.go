package endpointstest

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// grant is what the user of one account has approved. Nothing in it grows: which
// tokens were issued for it is written in the tokens themselves.
type grant struct {
	consent
	id         string // a UUID; for a provider without refresh tokens, also the access token
	created    time.Time
	used       time.Time // when it was last refreshed
	generation uint64    // of the refresh token
	replaced   time.Time // when that came in the place of another
	expires    time.Time // of the access token, if that is the id; zero: never
	lost       bool      // ended by the provider; the token is known but no good

	told map[string]string // variables that the next answer tells
}

// elsewhere reports whether a request that has these values for the names in braces is
// about another account than g's.
func (g *grant) elsewhere(values map[string]string) bool {
	for name, v := range g.vars {
		if sent, ok := values[name]; ok && sent != v {
			return true
		}
	}
	return false
}

// uuid returns an id of something that belongs to the account.
func (g *grant) uuid(of string) string {
	hash := sha256.Sum256([]byte(cmp.Or(g.account, g.id) + of))
	return formatID(hash[:16])
}

// issued is what a token response holds that the dialects have in common.
type issued struct {
	access, refresh string
	seconds         int64         // 0: doesn't expire
	lifetime        time.Duration // the same, exactly
	expires         time.Time     // by the server's clock
}

// newGrant makes a grant of what was approved. s.mu is held.
func (s *site) newGrant(c consent, now time.Time) *grant {
	g := &grant{consent: c, id: newID(), created: now, used: now}
	g.vars = maps.Clone(c.vars)
	if g.vars == nil {
		g.vars = make(map[string]string)
	}
	s.grants[g.id] = g
	return g
}

// end makes all tokens of g dead. s.mu is held.
func (s *site) end(g *grant) {
	delete(s.grants, g.id)
	s.stats.Revoked++
}

// issue makes an access token, and a refresh token of the current generation if it
// is to be told. s.mu is held.
func (s *site) issue(g *grant, now time.Time, withRefresh bool) issued {
	lifetime := s.policy.AccessLifetime
	var expires time.Time
	if lifetime > 0 {
		expires = now.Add(lifetime)
	}
	if !s.dialect.refreshable() {
		g.expires = expires
		return issued{access: g.id}
	}
	t := issued{access: s.newAccessToken(g, now, expires), lifetime: lifetime, expires: expires}
	if lifetime > 0 {
		t.seconds = max(int64(lifetime/time.Second), 1)
	}
	if withRefresh && !s.policy.NoRefreshToken && !(plain{s}).refreshesByAccess() {
		t.refresh = s.refreshToken(g)
	}
	return t
}

// holder returns the grant of a live access token. s.mu is held.
func (s *site) holder(access string, values map[string]string) (*grant, *refusal) {
	now := s.server.now()
	if s.dialect.refreshable() {
		c, ok := s.parseAccessToken(access)
		g := s.grants[c.Grant]
		switch {
		case !ok:
			return nil, &refusal{problem: deadToken, why: "unknown"}
		case c.Expires > 0 && now.UnixMicro() >= c.Expires.micro():
			return nil, &refusal{problem: deadToken, why: "expired"}
		case g == nil:
			return nil, &refusal{problem: revokedToken, why: "revoked"}
		case g.elsewhere(values):
			return nil, &refusal{problem: deadToken, why: "of another account"}
		}
		return g, nil
	}
	g := s.grants[access]
	switch {
	case g == nil:
		return nil, &refusal{problem: deadToken, why: "unknown or disconnected"}
	case g.lost:
		return nil, &refusal{problem: lostConnection}
	case !g.expires.IsZero() && !now.Before(g.expires):
		return nil, &refusal{problem: deadToken, why: "expired"}
	}
	return g, nil
}

// Revoke ends the connection that t belongs to from the provider's side, as when a
// user takes back the consent there. It reports whether there was one.
//
// The provider tells that with what its definition has for [endpoints.KindLoginRequired].
// Finch and Chart answer further calls with 401 and reauthenticate_user; TaxRock
// answers a refresh with invalid_grant and a call with 401.
func (s *Server) Revoke(p endpoints.Provider, t *oauth2.Token) bool {
	site := s.site(p)
	site.mu.Lock()
	defer site.mu.Unlock()
	id := t.AccessToken
	if site.dialect.refreshable() {
		c, _ := site.parseAccessToken(t.AccessToken)
		if id = c.Grant; t.RefreshToken != "" {
			id, _, _ = site.refreshed(map[string]string{"refresh_token": t.RefreshToken})
		}
	}
	return site.lose(site.grants[id])
}

// RevokeAll ends every connection to p from the provider's side. See
// [Server.Revoke].
func (s *Server) RevokeAll(p endpoints.Provider) {
	site := s.site(p)
	site.mu.Lock()
	defer site.mu.Unlock()
	for g := range maps.Values(site.grants) {
		site.lose(g)
	}
}

// lose ends g from the provider's side. s.mu is held.
func (s *site) lose(g *grant) bool {
	if g == nil || g.lost {
		return false
	}
	s.end(g)
	if !s.dialect.refreshable() {
		g.lost = true
		s.grants[g.id] = g
	}
	return true
}

// connect makes a grant that went through no consent page.
func (s *site) connect(scopes []string) *oauth2.Token {
	if len(scopes) == 0 {
		for _, known := range s.dialect.scopes() {
			scopes = append(scopes, known.name)
		}
	}
	if wrong := checkScopes(s.dialect, "Connect", scopes); wrong != "" && len(s.dialect.scopes()) > 0 {
		panic("endpointstest: " + wrong)
	}
	c, _ := s.dialect.consent(map[string]string{"scope": strings.Join(scopes, " ")})
	c.scopes = scopes

	s.mu.Lock()
	now := s.server.now()
	c.vars = s.account(nil)
	for _, name := range namesIn(s.real.Endpoint.AuthURL, s.real.Endpoint.TokenURL) {
		if _, declared := s.real.Vars[name]; declared {
			c.vars[name] = s.valueOf(name, "")
		}
	}
	g := s.newGrant(c, now)
	s.settle(g, nil)
	t := s.issue(g, now, true)
	response := s.dialect.tokens(g, t)
	s.mu.Unlock()

	token := &oauth2.Token{AccessToken: t.access, RefreshToken: t.refresh, ExpiresIn: t.seconds}
	if t.seconds > 0 {
		token.Expiry = time.Now().Add(time.Duration(t.seconds) * time.Second)
	}
	members := make(map[string]any)
	if err := json.Unmarshal(jsonAnswer(0, response).body, &members); err != nil {
		panic("endpointstest: " + err.Error()) // it was marshalled a moment ago
	}
	token.TokenType, _ = members["token_type"].(string)
	for name, v := range g.vars { // as package endpoints keeps them
		if _, sent := members[name]; !sent {
			members[name] = v
		}
	}
	return token.WithExtra(members)
}
