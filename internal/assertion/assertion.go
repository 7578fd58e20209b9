// Package assertion makes the assertions by which a client authenticates at a token
// endpoint instead of sending its secret: private_key_jwt and client_secret_jwt
// (RFC 7523, section 2.2; OpenID Connect Core, section 9). CheckMACKey is for whatever
// else is signed with a client's secret.
package assertion

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Type is the value of the parameter client_assertion_type.
const Type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// lifetime is how long an assertion can be used. Servers refuse one that ends more
// than five minutes from now by their own clock: the fifth is for clocks that differ.
const lifetime = 4 * time.Minute

// Key signs assertions. Don't keep one where package fmt can reach it: fmt prints the
// bytes of a Signer that is an ed25519.PrivateKey.
type Key struct {
	// Signer is an RSA key of at least 2048 bits, an ECDSA key of the curve P-256,
	// P-384 or P-521, or an Ed25519 key, in memory or in a KMS.
	//
	// Its Sign is called once per assertion, and its Public at least once. Requests
	// that are made at the same time call it at the same time, so it has to be safe
	// for concurrent use, as the standard library's keys are: one call at a time
	// would have all connections wait for a KMS that is slow.
	//
	// crypto.Signer has no context, so Key.Sign takes as long as the Signer does. One
	// that calls a KMS needs a time limit of its own.
	Signer crypto.Signer

	// Header has further members of the JOSE header, such as kid or x5t#S256. An alg
	// in it chooses among those of the kind of key: the first of these, unless it says
	// otherwise.
	//
	//	RSA      RS256, PS256
	//	P-256    ES256
	//	P-384    ES384
	//	P-521    ES512
	//	Ed25519  EdDSA, Ed25519 (RFC 9864)
	Header map[string]string
}

// Claims say who authenticates where.
type Claims struct {
	ClientID string    // is both iss and sub
	Audience string    // the issuer's or the token endpoint's URL, as the provider wants it
	Now      time.Time // when the assertion is made; time.Now() if zero
}

// Validate returns the error that Sign would return for k whatever the claims, without
// having anything signed.
func (k Key) Validate() error {
	_, _, err := k.method()
	return err
}

// Sign returns a new assertion. It never panics, whatever the Signer does; the error of a
// Signer is wrapped.
func (k Key) Sign(c Claims) (string, error) {
	m, public, err := k.method()
	if err != nil {
		return "", err
	}
	input, err := signingInput(m.alg, k.Header, c)
	if err != nil {
		return "", err
	}
	signature, err := m.sign(k.Signer, public, input)
	if err != nil {
		return "", err
	}
	return input + "." + encode(signature), nil
}

// SignSecret returns a new assertion that is signed by HS256 with the client's secret.
// RFC 7518, section 3.2, wants secrets of 32 bytes; a provider that issues shorter
// ones gets what it asks for.
func SignSecret(secret string, c Claims) (string, error) {
	if secret == "" {
		return "", errors.New("the client's secret, which signs its assertions, is empty")
	}
	if err := CheckMACKey([]byte(secret)); err != nil {
		return "", fmt.Errorf("client_secret_jwt: %w", err)
	}
	input, err := signingInput("HS256", nil, c)
	if err != nil {
		return "", err
	}
	return input + "." + encode(hs256(secret, input)), nil
}

func hs256(secret, input string) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(input))
	return mac.Sum(nil)
}

// signingInput returns the header and the claims, encoded and joined (RFC 7515,
// section 5.1). There is no nbf: a server whose clock is behind would refuse it, and
// it says nothing that iat doesn't.
func signingInput(alg string, header map[string]string, c Claims) (string, error) {
	switch {
	case c.ClientID == "":
		return "", errors.New("an assertion needs a client id")
	case c.Audience == "":
		return "", errors.New("an assertion needs an audience")
	}
	if c.Now.IsZero() {
		c.Now = time.Now()
	}
	members := map[string]string{"typ": "JWT"}
	for name, value := range header {
		members[name] = value
	}
	members["alg"] = alg
	h, err := json.Marshal(members)
	if err != nil {
		return "", fmt.Errorf("header of an assertion: %w", err)
	}
	claims, err := json.Marshal(struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		ID       string `json:"jti"`
		IssuedAt int64  `json:"iat"`
		Expiry   int64  `json:"exp"`
	}{c.ClientID, c.ClientID, c.Audience, rand.Text(), c.Now.Unix(), c.Now.Add(lifetime).Unix()})
	if err != nil {
		return "", fmt.Errorf("claims of an assertion: %w", err)
	}
	return encode(h) + "." + encode(claims), nil
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
