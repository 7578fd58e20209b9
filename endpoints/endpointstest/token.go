package endpointstest

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// readToken reads the parameters of a request to the token endpoint, which is one of
// kinds, and counts it.
func (s *site) readToken(r *request, kinds []*conversation) {
	kinds = slices.DeleteFunc(slices.Clone(kinds), func(c *conversation) bool { return c.method != r.Method })
	for _, c := range kinds { // they may have their parameters in different places
		if r.bad = c.parse(r, r.at); r.bad == nil {
			break
		}
	}
	r.kind = s.which(kinds, r.params)
	s.countTokenRequest(r.kind.grant)
}

// token answers a request to the token endpoint.
func (s *site) token(r *request) (any, *refusal) {
	if r.bad != nil {
		return nil, r.bad
	}
	values, refused := s.read(r.kind, r)
	if refused == nil {
		refused = s.authenticate(r.kind, r, values)
	}
	if refused != nil {
		return nil, refused
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.kind.grant {
	case atRefresh:
		return s.refresh(values)
	case clientCredentials:
		return s.clientCredentials(values)
	case atDevice:
		return s.device(values)
	}
	return s.exchange(values)
}

// which tells which of kinds a request is: by its grant type, or else by the names of
// its parameters.
func (s *site) which(kinds []*conversation, sent url.Values) *conversation {
	score := func(c *conversation) (n int) {
		for name, templates := range c.params {
			switch v, ok := sent[name]; {
			case !ok:
				continue
			case slices.Equal(templates, []string{"{grant_type}"}):
				if v[0] == c.grant {
					n += 10
				}
			case name == "grant_type" && templates[0] == v[0]:
				n += 10
			}
			n++
		}
		return n
	}
	best := kinds[0]
	for _, c := range kinds[1:] {
		if score(c) > score(best) {
			best = c
		}
	}
	if sent.Get("grant_type") != clientCredentials || best.params["grant_type"] == nil {
		return best
	}
	return s.kinds[clientCredentials]
}

// clientCredentials answers a client_credentials grant, if the policy has any. s.mu is
// held.
func (s *site) clientCredentials(values map[string]string) (any, *refusal) {
	if !s.policy.ClientCredentials {
		return nil, &refusal{problem: wrongGrantType, detail: "Policy.ClientCredentials isn't set"}
	}
	scopes := strings.Split(cmp.Or(values["scope"], "read:client-accounts"), " ")
	wrong := ""
	if len(s.dialect.scopes()) > 0 {
		wrong = checkScopes(s.dialect, "scope", scopes)
	}
	if wrong == "" && slices.Contains(scopes, "offline_access") {
		wrong = "scope offline_access is for a user's consent"
	}
	if wrong != "" {
		return nil, malformedf("%s", wrong)
	}
	now := s.server.now()
	g := s.newGrant(consent{scopes: scopes}, now)
	s.stats.ClientTokens++
	return s.dialect.tokens(g, s.issue(g, now, false)), nil
}

// exchange answers an authorization_code grant. The code is spent whatever comes
// out, so that nobody can try verifiers on it. s.mu is held.
func (s *site) exchange(values map[string]string) (any, *refusal) {
	a, ok := s.codes[values["code"]]
	now := s.server.now()
	delete(s.codes, values["code"])
	switch {
	case !ok:
		return nil, &refusal{problem: wrongCode, why: "unknown, spent or long expired"}
	case over(a.issued, s.lifetimes.code, now):
		return nil, &refusal{problem: wrongCode, why: "expired"}
	}
	if wrong := a.checkRedirect(values, s.kinds[atExchange].sends("redirect_uri")); wrong != "" {
		return nil, &refusal{problem: wrongRedirect, detail: wrong}
	}
	if !s.verified(a.challenge, values) {
		return nil, &refusal{problem: wrongVerifier}
	}
	g := s.newGrant(a.consent, now)
	s.replace(g)
	if g.elsewhere(values) {
		delete(s.grants, g.id)
		return nil, &refusal{problem: wrongCode, why: "of another account"}
	}
	s.settle(g, values)
	s.stats.Exchanged++
	return s.dialect.tokens(g, s.issue(g, now, true)), nil
}

// verified reports whether a request's code verifier fits the challenge.
func (s *site) verified(challenge string, values map[string]string) bool {
	v, sent := values["code_verifier"]
	if challenge == "" || !sent && !s.kinds[atExchange].sends("code_verifier") {
		return true
	}
	hash := sha256.Sum256([]byte(v))
	made := base64.RawURLEncoding.EncodeToString(hash[:])
	switch s.real.Consent.PKCE {
	case endpoints.S256Hex:
		made = hex.EncodeToString(hash[:])
	case endpoints.PlainPKCE:
		made = v
	}
	return verifier.MatchString(v) && made == challenge
}

// settle gives a new grant the values of the variables that are used with it from now
// on: those of the exchange, and others, which the answer tells. s.mu is held.
func (s *site) settle(g *grant, values map[string]string) {
	g.told = make(map[string]string)
	account := accountSuffix()
	for _, name := range later(&s.real) {
		switch v, sent := values[name]; {
		case g.vars[name] != "":
		case sent:
			g.vars[name] = v
		default:
			g.vars[name] = s.valueOf(name, account)
			g.told[name] = g.vars[name]
		}
	}
}

// checkRedirect returns what is wrong with a token request's redirect_uri, or "".
func (a authorization) checkRedirect(values map[string]string, expected bool) string {
	sent, ok := values["redirect_uri"]
	switch {
	case !expected && !ok:
		return ""
	case a.redirectURI == "" && ok:
		return "redirect_uri must not be sent in the embedded flow"
	case a.redirectURI != "" && !ok:
		return "redirect_uri is missing"
	case a.redirectURI != sent:
		return "redirect_uri is not that of the authorization"
	}
	return ""
}

// refresh answers a refresh_token grant. s.mu is held.
func (s *site) refresh(values map[string]string) (any, *refusal) {
	refused := func(why string) (any, *refusal) {
		return nil, &refusal{problem: wrongRefreshToken, why: why}
	}
	id, generation, ok := s.refreshed(values)
	if g := s.named(values); g != nil && !s.kinds[atRefresh].sendsToken() {
		id, generation, ok = g.id, g.generation, true
	}
	if !ok {
		return refused("unknown")
	}
	g := s.grants[id]
	now := s.server.now()
	switch {
	case g == nil:
		return refused("revoked or expired")
	case g.elsewhere(values):
		return refused("of another account")
	case over(g.used, s.lifetimes.refreshIdle, now):
		delete(s.grants, id)
		return refused("expired: idle for too long")
	case over(g.created, s.lifetimes.refresh, now):
		delete(s.grants, id)
		return refused("expired: too old")
	}
	switch {
	case generation == g.generation:
		if s.policy.Rotate {
			g.generation++
			g.replaced = now
		}
	case generation+1 == g.generation && now.Before(g.replaced.Add(s.policy.Grace)):
		s.stats.Graced++
	default:
		s.stats.Reused++
		s.end(g)
		return refused("reused")
	}
	g.used, g.told = now, nil
	s.stats.Refreshed++
	return s.dialect.tokens(g, s.issue(g, now, s.policy.Rotate)), nil
}

// refreshed returns the grant and the generation of what a refresh spends.
func (s *site) refreshed(values map[string]string) (id string, generation uint64, ok bool) {
	if (plain{s}).refreshesByAccess() {
		c, ok := s.parseAccessToken(cmp.Or(values["refresh_token"], values["access_token"]))
		return c.Grant, c.Generation, ok
	}
	return s.parseRefreshToken(values["refresh_token"])
}

// revoke answers RFC 7009. An unknown token is as good as a revoked one.
func (s *site) revoke(c *conversation, r *request) (any, *refusal) {
	g, refused := s.subject(c, r)
	if refused != nil {
		return nil, refused
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if g != nil && s.grants[g.id] == g {
		s.end(g)
	}
	if len(s.real.Answer.Success) > 0 {
		return plain{s}.successful(make(map[string]any)), nil
	}
	return nil, nil
}

// introspect answers RFC 7662.
func (s *site) introspect(c *conversation, r *request) (any, *refusal) {
	g, refused := s.subject(c, r)
	if refused != nil {
		return nil, refused
	}
	body := map[string]any{"active": g != nil}
	if g != nil {
		body["client_id"], body["scope"], body["sub"] = s.clientID, strings.Join(g.scopes, " "), g.uuid("user")
	}
	return plain{s}.successful(body), nil
}

// valuesOf returns the values in a request of c's, after the client is authenticated.
func (s *site) valuesOf(c *conversation, r *request) (map[string]string, *refusal) {
	if refused := c.parse(r, r.at); refused != nil {
		return nil, refused
	}
	values, refused := s.read(c, r)
	if refused == nil {
		refused = s.authenticate(c, r, values)
	}
	return values, refused
}

// subject returns the grant that a request is about, or nil if it is dead.
func (s *site) subject(c *conversation, r *request) (*grant, *refusal) {
	values, refused := s.valuesOf(c, r)
	if refused != nil {
		return nil, refused
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.auth == endpoints.AccessTokenAuth {
		g, refused := s.holder(values["access_token"], values)
		return g, refused
	}
	id := ""
	if v := values["access_token"]; v != "" {
		claims, _ := s.parseAccessToken(v)
		id = claims.Grant
	} else if v := cmp.Or(values["token"], values["refresh_token"]); v != "" {
		claims, isAccess := s.parseAccessToken(v)
		if id, _, _ = s.parseRefreshToken(v); isAccess {
			id = claims.Grant
			if g := s.grants[id]; !s.policy.NoRefreshToken && !(plain{s}).refreshesByAccess() && g != nil {
				return nil, &refusal{problem: unsupportedToken}
			}
		}
	}
	if g := s.grants[id]; g != nil && !g.elsewhere(values) {
		return g, nil
	}
	if !c.sendsToken() {
		return s.named(values), nil
	}
	return nil, nil
}

// sendsToken reports whether a request has the token that it is about.
func (c *conversation) sendsToken() bool {
	return c.sends("token") || c.sends("access_token") || c.sends("refresh_token")
}

// named returns the grant that a request names by the values of variables. s.mu is held.
func (s *site) named(values map[string]string) *grant {
	for _, g := range s.grants {
		for name, v := range g.vars {
			if sent, ok := values[name]; ok && sent == v && !g.elsewhere(values) {
				return g
			}
		}
	}
	return nil
}
