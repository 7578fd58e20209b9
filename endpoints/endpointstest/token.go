package endpointstest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
)

// token answers a request to the token endpoint.
func (s *site) token(r *request) (any, *refusal) {
	if refused := s.wellFormed(r); refused != nil {
		return nil, refused
	}
	if refused := s.dialect.headers(r.Header); refused != nil {
		return nil, refused
	}
	grantType := s.dialect.grantType(r.fields)
	rule, refused := s.dialect.fields(grantType)
	if refused != nil {
		return nil, refused
	}
	if wrong := rule.broken("field", r.fields); wrong != "" {
		return nil, malformedf("%s", wrong)
	}
	if refused := s.authenticate(r.fields); refused != nil {
		return nil, refused
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch grantType {
	case "refresh_token":
		return s.refresh(r.fields)
	case "client_credentials":
		return s.clientCredentials(r.fields)
	}
	return s.exchange(r.fields)
}

// clientCredentials answers a client_credentials grant, if the policy has any. s.mu is
// held.
func (s *site) clientCredentials(fields map[string]string) (any, *refusal) {
	if !s.policy.ClientCredentials {
		return nil, &refusal{problem: wrongGrantType, detail: "Policy.ClientCredentials isn't set"}
	}
	if fields["audience"] != taxRockAudience {
		return nil, &refusal{problem: wrongAudience, detail: "audience"}
	}
	scopes := []string{"read:client-accounts"}
	if scope, ok := fields["scope"]; ok {
		scopes = strings.Split(scope, " ")
	}
	wrong := checkScopes(s.dialect, "scope", scopes)
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

// wellFormed checks that r is JSON and nothing but JSON.
func (s *site) wellFormed(r *request) *refusal {
	switch media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); {
	case r.URL.RawQuery != "":
		return malformedf("unexpected query string")
	case len(r.Header.Values("Authorization")) > 0:
		return malformedf("unexpected header Authorization: the client's id and secret go into the body")
	case media != "application/json":
		return &refusal{problem: wrongMediaType, detail: "it is " + printable(media)}
	}
	return r.bad
}

func (s *site) authenticate(fields map[string]string) *refusal {
	switch {
	case fields["client_id"] != s.clientID:
		return &refusal{problem: wrongClient, why: "client_id"}
	case fields["client_secret"] != s.clientSecret:
		return &refusal{problem: wrongClient, why: "client_secret"}
	}
	return nil
}

// exchange answers an authorization_code grant. The code is spent whatever comes
// out, so that nobody can try verifiers on it. s.mu is held.
func (s *site) exchange(fields map[string]string) (any, *refusal) {
	a, ok := s.codes[fields["code"]]
	delete(s.codes, fields["code"])
	now := s.server.now()
	switch {
	case !ok:
		return nil, &refusal{problem: wrongCode, why: "unknown, spent or long expired"}
	case over(a.issued, s.lifetimes.code, now):
		return nil, &refusal{problem: wrongCode, why: "expired"}
	}
	if wrong := a.checkRedirect(fields); wrong != "" {
		return nil, &refusal{problem: wrongRedirect, detail: wrong}
	}
	if a.challenge != "" {
		v := fields["code_verifier"]
		hash := sha256.Sum256([]byte(v))
		if !verifier.MatchString(v) || base64.RawURLEncoding.EncodeToString(hash[:]) != a.challenge {
			return nil, &refusal{problem: wrongVerifier}
		}
	}
	g := s.newGrant(a.consent, now)
	s.replace(g)
	s.stats.Exchanged++
	return s.dialect.tokens(g, s.issue(g, now, true)), nil
}

// checkRedirect returns what is wrong with a token request's redirect_uri, or "".
func (a authorization) checkRedirect(fields map[string]string) string {
	sent, ok := fields["redirect_uri"]
	switch {
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
func (s *site) refresh(fields map[string]string) (any, *refusal) {
	if fields["audience"] != taxRockAudience {
		return nil, &refusal{problem: wrongAudience, detail: "audience"}
	}
	refused := func(why string) (any, *refusal) {
		return nil, &refusal{problem: wrongRefreshToken, why: why}
	}
	id, generation, ok := s.parseRefreshToken(fields["refresh_token"])
	if !ok {
		return refused("unknown")
	}
	g := s.grants[id]
	now := s.server.now()
	switch {
	case g == nil:
		return refused("revoked or expired")
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
	g.used = now
	s.stats.Refreshed++
	return s.dialect.tokens(g, s.issue(g, now, s.policy.Rotate)), nil
}

// revoke answers RFC 7009, in JSON. An unknown token is as good as a revoked one.
func (s *site) revoke(r *request) (any, *refusal) {
	if refused := s.wellFormed(r); refused != nil {
		return nil, refused
	}
	fields, refused := parseFields(r.body)
	if refused != nil {
		return nil, refused
	}
	if wrong := (rule{required: []string{"client_id", "client_secret", "token"}}).broken("field", fields); wrong != "" {
		return nil, malformedf("%s", wrong)
	}
	if refused := s.authenticate(fields); refused != nil {
		return nil, refused
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.parseAccessToken(fields["token"]); ok {
		return nil, &refusal{problem: unsupportedToken}
	}
	if id, _, ok := s.parseRefreshToken(fields["token"]); ok && s.grants[id] != nil {
		s.end(s.grants[id])
	}
	return nil, nil
}

// parseFields reads a JSON object whose members are strings and have names of
// their own. What it has read before it met an error comes with that.
func parseFields(body []byte) (map[string]string, *refusal) {
	fields := make(map[string]string)
	notJSON := malformedf("the body is not a JSON object")
	dec := json.NewDecoder(bytes.NewReader(body))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return fields, notJSON
	}
	var refused *refusal
	for dec.More() {
		t, err := dec.Token()
		name, _ := t.(string)
		var v any
		if err != nil || dec.Decode(&v) != nil {
			return fields, notJSON
		}
		value, isString := v.(string)
		_, repeated := fields[name]
		switch {
		case refused != nil:
		case repeated:
			refused = malformedf("repeated field %s", printable(name))
		case !isString:
			refused = malformedf("field %s is not a string", printable(name))
		}
		fields[name] = value
	}
	if _, err := dec.Token(); err != nil {
		return fields, notJSON
	}
	if _, err := dec.Token(); err != io.EOF {
		return fields, notJSON
	}
	return fields, refused
}

// bearer returns the access token that a request carries.
func bearer(h http.Header) (token string, refused *refusal) {
	const scheme = "Bearer "
	switch values := h.Values("Authorization"); {
	case len(values) == 0:
		return "", &refusal{problem: missingToken}
	case len(values) > 1 || len(values[0]) < len(scheme) || values[0][:len(scheme)] != scheme:
		return "", &refusal{problem: missingToken, why: "not one Authorization header with a bearer token"}
	default:
		return values[0][len(scheme):], nil
	}
}
