package endpointstest

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// base64url takes no two spellings for the same bytes.
var base64url = base64.RawURLEncoding.Strict()

// claims are the payload of access tokens, which are JWTs (RFC 7519).
type claims struct {
	Issuer   string  `json:"iss"`
	Subject  string  `json:"sub"`
	Audience string  `json:"aud"`
	Issued   numeric `json:"iat"`
	Expires  numeric `json:"exp,omitempty"`
	Scope    string  `json:"scope"`
	Client   string  `json:"azp"`
	Grant    string  `json:"sid"`
	Serial   string  `json:"jti"`

	// Generation is that of the refresh token, for a provider where the access token
	// is one.
	Generation uint64 `json:"gen,omitempty"`
}

// numeric is a NumericDate: seconds since 1970, with fractions, so that an access
// token lives for its lifetime to the microsecond.
type numeric float64

func numericDate(t time.Time) numeric { return numeric(float64(t.UnixMicro()) / 1e6) }

func (n numeric) micro() int64 { return int64(n*1e6 + 0.5) }

// MarshalJSON keeps the fraction, and an exponent out of it.
func (n numeric) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "%.6f", float64(n)), nil }

var jwtHeader = base64url.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`))

func (s *site) newAccessToken(g *grant, now, expires time.Time) string {
	s.serial++
	c := claims{
		Issuer:   s.login.url + "/",
		Subject:  "auth0|" + g.uuid("user"),
		Audience: taxRockAudience,
		Issued:   numericDate(now),
		Scope:    strings.Join(g.scopes, " "),
		Client:   s.clientID,
		Grant:    g.id,
		Serial:   fmt.Sprint(s.serial),

		Generation: g.generation,
	}
	if !expires.IsZero() {
		c.Expires = numericDate(expires)
	}
	signed := jwtHeader + "." + base64url.EncodeToString(jsonAnswer(0, c).body)
	return signed + "." + base64url.EncodeToString(s.mac([]byte(signed)))
}

func (s *site) parseAccessToken(token string) (c claims, ok bool) {
	dot := strings.LastIndexByte(token, '.')
	if dot < 0 {
		return claims{}, false
	}
	signed := token[:dot]
	mac, err := base64url.DecodeString(token[dot+1:])
	if err != nil || !hmac.Equal(mac, s.mac([]byte(signed))) {
		return claims{}, false
	}
	_, payload, _ := strings.Cut(signed, ".")
	decoded, err := base64url.DecodeString(payload)
	if err != nil || json.Unmarshal(decoded, &c) != nil {
		return claims{}, false
	}
	return c, true
}

// A refresh token names its grant and its generation, so that any old one is
// recognized without being kept.
const (
	refreshPrefix = "v1."
	idSize        = 16
	macSize       = 16
)

func (s *site) refreshToken(g *grant) string {
	b, err := hex.DecodeString(strings.ReplaceAll(g.id, "-", ""))
	if err != nil {
		panic("endpointstest: " + err.Error()) // newID made it
	}
	b = binary.BigEndian.AppendUint64(b, g.generation)
	return refreshPrefix + base64url.EncodeToString(append(b, s.mac(b)[:macSize]...))
}

func (s *site) parseRefreshToken(token string) (id string, generation uint64, ok bool) {
	encoded, ok := strings.CutPrefix(token, refreshPrefix)
	b, err := base64url.DecodeString(encoded)
	if !ok || err != nil || len(b) != idSize+8+macSize {
		return "", 0, false
	}
	signed, mac := b[:idSize+8], b[idSize+8:]
	if !hmac.Equal(mac, s.mac(bytes.Clone(signed))[:macSize]) {
		return "", 0, false
	}
	return formatID(signed[:idSize]), binary.BigEndian.Uint64(signed[idSize:]), true
}

func (s *site) mac(b []byte) []byte {
	h := hmac.New(sha256.New, s.key)
	h.Write(b)
	return h.Sum(nil)
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}

// newID returns a random id in the form of a UUID.
func newID() string { return formatID(random(idSize)) }

func formatID(b []byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}
