package endpointstest

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/internal/assertion"
)

// SetKey registers the public key of the application's client at p, for a definition
// with private_key_jwt. It verifies every alg that a key given to
// [endpoints.Config.WithKey] signs with, and no other. SetKey panics if the key is none of
// those.
func (s *Server) SetKey(p endpoints.Provider, key crypto.PublicKey) {
	site := s.site(p)
	if err := assertion.CheckPublicKey(key); err != nil {
		panic("endpointstest: " + err.Error())
	}
	site.mu.Lock()
	defer site.mu.Unlock()
	site.public = key
}

// authenticate checks that a request is the client's, in the way that the definition
// says, or that it has an access token if that is the way.
func (s *site) authenticate(c *conversation, r *request, values map[string]string) *refusal {
	if id, sent := values["client_id"]; sent && id != s.clientID {
		return &refusal{problem: wrongClient, why: "client_id"}
	}
	if secret, sent := values["client_secret"]; sent && secret != s.clientSecret {
		return &refusal{problem: wrongClient, why: "client_secret"}
	}
	wrong := ""
	switch c.auth {
	case endpoints.ClientSecretBasic:
		wrong = s.basic(r.Header, url.QueryUnescape)
	case endpoints.ClientSecretBasicRaw:
		wrong = s.basic(r.Header, func(text string) (string, error) { return text, nil })
	case endpoints.PrivateKeyJWT, endpoints.ClientSecretJWT:
		if !c.sends("client_assertion") {
			break
		}
		if kind := values["client_assertion_type"]; c.sends("client_assertion_type") && kind != assertion.Type {
			return malformedf("client_assertion_type must be %s", assertion.Type)
		}
		wrong = s.checkAssertion(c, r, values["client_assertion"])
	case endpoints.AccessTokenAuth:
		access, refused := s.accessToken(c, r.Header)
		values["access_token"] = access
		return refused
	}
	if wrong != "" {
		return &refusal{problem: wrongClient, why: wrong}
	}
	return nil
}

// basic checks HTTP Basic authentication, whose halves were written for decode.
func (s *site) basic(h http.Header, decode func(string) (string, error)) string {
	sent := h.Values("Authorization")
	if len(sent) != 1 {
		return "not one header Authorization"
	}
	encoded, ok := strings.CutPrefix(sent[0], "Basic ")
	both, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil {
		return "not HTTP Basic"
	}
	id, secret, _ := strings.Cut(string(both), ":")
	if id, err = decode(id); err != nil || id != s.clientID {
		return "client_id"
	}
	if secret, err = decode(secret); err != nil || secret != s.clientSecret {
		return "client_secret"
	}
	return ""
}

// assertionClaims are those of RFC 7523, section 3.
type assertionClaims struct {
	Issuer   string  `json:"iss"`
	Subject  string  `json:"sub"`
	Audience any     `json:"aud"`
	Expires  float64 `json:"exp"`
	Issued   float64 `json:"iat"`
	ID       string  `json:"jti"`
}

// checkAssertion returns what is wrong with a client's assertion, or "".
func (s *site) checkAssertion(c *conversation, r *request, jwt string) string {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return "the assertion isn't a JWT"
	}
	var header struct{ Alg string }
	var claims assertionClaims
	signature, err := base64url.DecodeString(parts[2])
	if err != nil || !decodePart(parts[0], &header) || !decodePart(parts[1], &claims) {
		return "the assertion isn't a JWT"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.verify(c.auth, header.Alg, parts[0]+"."+parts[1], signature); err != nil {
		return "the assertion: " + err.Error()
	}
	return s.checkClaims(c, r, claims)
}

// checkClaims returns what is wrong with an assertion's claims, or "". s.mu is held.
func (s *site) checkClaims(c *conversation, r *request, claims assertionClaims) string {
	const patience = time.Minute // for a clock that isn't the same
	now := time.Now()
	at := func(seconds float64) time.Time { return time.UnixMilli(int64(seconds * 1000)) }
	switch {
	case claims.Issuer != s.clientID || claims.Subject != s.clientID:
		return "the assertion is another client's"
	case !slices.Contains(s.audiences(c, r), audienceOf(claims.Audience)):
		return "the assertion is for another audience"
	case claims.Expires == 0 || at(claims.Expires).Before(now.Add(-patience)) || at(claims.Expires).After(now.Add(time.Hour)):
		return "the assertion has expired, or lives for too long"
	case claims.Issued != 0 && at(claims.Issued).After(now.Add(patience)):
		return "the assertion is from the future"
	case claims.ID == "" || s.jtis[claims.ID]:
		return "the assertion was used before, or has no jti"
	}
	s.jtis[claims.ID] = true
	return ""
}

// audiences returns what an assertion may be for: one audience, under its names here
// and in reality.
func (s *site) audiences(c *conversation, r *request) []string {
	if c.audience != "" {
		return []string{c.audience}
	}
	if s.real.Issuer != "" {
		return []string{s.real.Issuer, s.here(s.real.Issuer)}
	}
	return []string{"https://" + r.Host + r.URL.EscapedPath(), "http://" + r.Host + r.URL.EscapedPath()}
}

func audienceOf(aud any) string {
	if list, ok := aud.([]any); ok && len(list) == 1 {
		aud = list[0]
	}
	text, _ := aud.(string)
	return text
}

func decodePart(part string, v any) bool {
	decoded, err := base64url.DecodeString(part)
	return err == nil && json.Unmarshal(decoded, v) == nil
}

// verify returns what is wrong with an assertion's signature. s.mu is held.
func (s *site) verify(auth endpoints.ClientAuth, alg, signed string, signature []byte) error {
	switch {
	case auth == endpoints.ClientSecretJWT:
		return assertion.VerifySecret(s.clientSecret, alg, signed, signature)
	case s.public == nil:
		return errors.New("no key is registered: see Server.SetKey")
	}
	return assertion.Verify(s.public, alg, signed, signature)
}
