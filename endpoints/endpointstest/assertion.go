package endpointstest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// SetKey registers the public key of the application's client at p, for a definition
// with private_key_jwt: an RSA, ECDSA (P-256) or Ed25519 key.
func (s *Server) SetKey(p endpoints.Provider, key crypto.PublicKey) {
	site := s.site(p)
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
		if kind := values["client_assertion_type"]; c.sends("client_assertion_type") && kind != assertionType {
			return malformedf("client_assertion_type must be %s", assertionType)
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

// Of RFC 7523, section 2.2.
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

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
	key := s.public
	if c.auth == endpoints.ClientSecretJWT {
		key = []byte(s.clientSecret)
	}
	if !signedBy(key, header.Alg, parts[0]+"."+parts[1], signature) {
		return "the assertion's signature is wrong"
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

// signedBy verifies a signature (RFC 7518, section 3; RFC 8037, section 3.1).
func signedBy(key any, alg, signed string, signature []byte) bool {
	hash := sha256.Sum256([]byte(signed))
	switch key := key.(type) {
	case []byte:
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(signed))
		return alg == "HS256" && hmac.Equal(mac.Sum(nil), signature)
	case *rsa.PublicKey:
		if alg == "PS256" {
			return rsa.VerifyPSS(key, crypto.SHA256, hash[:], signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return alg == "RS256" && rsa.VerifyPKCS1v15(key, crypto.SHA256, hash[:], signature) == nil
	case *ecdsa.PublicKey:
		if alg != "ES256" || len(signature) != 64 {
			return false
		}
		return ecdsa.Verify(key, hash[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	case ed25519.PublicKey:
		return alg == "EdDSA" && ed25519.Verify(key, []byte(signed), signature)
	}
	return false
}
