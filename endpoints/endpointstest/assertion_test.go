package endpointstest_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"math/big"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
)

const (
	assertionForm = "grant_type=refresh_token&client_id=$ID&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&" +
		"client_assertion=$JWT&refresh_token=$REFRESH"
	tokenURL = "https://api.acme.example/token"
)

// sign signs a JWT by hand.
func sign(t *testing.T, key any, alg string, claims map[string]any) string {
	t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode(marshal(t, map[string]any{"alg": alg})) + "." + encode(marshal(t, claims))
	digest := func(h crypto.Hash) []byte {
		d := h.New()
		d.Write([]byte(signed))
		return d.Sum(nil)
	}
	var signature []byte
	var err error
	switch key := key.(type) {
	case string:
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte(signed))
		signature = mac.Sum(nil)
	case *rsa.PrivateKey:
		if alg == "PS256" {
			signature, err = rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest(crypto.SHA256), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
			break
		}
		signature, err = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest(crypto.SHA256))
	case *ecdsa.PrivateKey:
		hash := map[elliptic.Curve]crypto.Hash{
			elliptic.P256(): crypto.SHA256, elliptic.P384(): crypto.SHA384, elliptic.P521(): crypto.SHA512,
		}[key.Curve]
		r, s, signErr := ecdsa.Sign(rand.Reader, key, digest(hash))
		require.NoError(t, signErr)
		size := (key.Curve.Params().BitSize + 7) / 8
		signature = make([]byte, 2*size)
		r.FillBytes(signature[:size])
		s.FillBytes(signature[size:])
	case ed25519.PrivateKey:
		signature = ed25519.Sign(key, []byte(signed))
	}
	require.NoError(t, err)
	return signed + "." + encode(signature)
}

// rsaKey is that of RFC 7515, appendix A.2: to make one takes a tenth of a second.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	number := func(s string) *big.Int {
		b, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil {
			panic(err)
		}
		return new(big.Int).SetBytes(b)
	}
	n := number("ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ")
	p := number("4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc")
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: n, E: 65537},
		D:         number("Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ"),
		Primes:    []*big.Int{p, new(big.Int).Div(n, p)},
	}
	key.Precompute()
	return key
})

func newECKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	require.NoError(t, err)
	return key
}

// TestAssertions: each kind of key is verified, and every claim.
func TestAssertions(t *testing.T) {
	rsaKey := rsaKey()
	ecKey, other := newECKey(t, elliptic.P256()), newECKey(t, elliptic.P256())
	p384, p521 := newECKey(t, elliptic.P384()), newECKey(t, elliptic.P521())
	public, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	const wrong = "wrong client: the assertion"
	for _, tt := range []struct {
		name   string
		public any
		key    any
		alg    string
		change map[string]any
		want   string
	}{
		{"RS256", &rsaKey.PublicKey, rsaKey, "RS256", nil, ""},
		{"PS256", &rsaKey.PublicKey, rsaKey, "PS256", nil, ""},
		{"ES256", &ecKey.PublicKey, ecKey, "ES256", nil, ""},
		{"ES384", &p384.PublicKey, p384, "ES384", nil, ""},
		{"ES512", &p521.PublicKey, p521, "ES512", nil, ""},
		{"EdDSA", public, edKey, "EdDSA", nil, ""},
		{"Ed25519", public, edKey, "Ed25519", nil, ""},
		{"HS256", nil, "$RAWSECRET", "HS256", nil, ""},
		{"audience in a list", &ecKey.PublicKey, ecKey, "ES256", map[string]any{"aud": []string{tokenURL}}, ""},
		{"other key", &ecKey.PublicKey, other, "ES256", nil, wrong + ": the signature is wrong"},
		{"another size", &p384.PublicKey, other, "ES384", nil, wrong + ": the signature is wrong"},
		{"other alg", &ecKey.PublicKey, ecKey, "RS256", nil, wrong + `: alg "RS256" doesn't go with the key, but ES256 does`},
		{"other secret", nil, "guess", "HS256", nil, wrong + ": the signature is wrong"},
		{"other alg of a secret", nil, "$RAWSECRET", "HS512", nil, wrong + `: alg "HS512" doesn't go with a secret, but HS256 does`},
		{"no key", nil, ecKey, "ES256", nil, wrong + ": no key is registered: see Server.SetKey"},
		{"iss", &ecKey.PublicKey, ecKey, "ES256", map[string]any{"iss": "x"}, wrong + " is another client's"},
		{"sub", &ecKey.PublicKey, ecKey, "ES256", map[string]any{"sub": "x"}, wrong + " is another client's"},
		{"aud", &ecKey.PublicKey, ecKey, "ES256", map[string]any{"aud": "https://api.acme.example"}, wrong + " is for another audience"},
		{"two audiences", &ecKey.PublicKey, ecKey, "ES256", map[string]any{"aud": []string{tokenURL, "x"}}, wrong + " is for another audience"},
		{"expired", &ecKey.PublicKey, ecKey, "ES256", map[string]any{"exp": time.Now().Add(-2 * time.Minute).Unix()}, wrong + " has expired, or lives for too long"},
		{"no exp", &ecKey.PublicKey, ecKey, "ES256", map[string]any{"exp": nil}, wrong + " has expired, or lives for too long"},
		{"for a day", &ecKey.PublicKey, ecKey, "ES256", map[string]any{"exp": time.Now().Add(24 * time.Hour).Unix()}, wrong + " has expired, or lives for too long"},
		{"future", &ecKey.PublicKey, ecKey, "ES256", map[string]any{"iat": time.Now().Add(5 * time.Minute).Unix()}, wrong + " is from the future"},
		{"no jti", &ecKey.PublicKey, ecKey, "ES256", map[string]any{"jti": nil}, wrong + " was used before, or has no jti"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRaw(t, acme(func(p *endpoints.Provider) {
				p.Style.Auth = endpoints.PrivateKeyJWT
				if _, ok := tt.key.(string); ok {
					p.Style.Auth = endpoints.ClientSecretJWT
				}
			}))
			if tt.public != nil {
				r.s.SetKey(r.p, tt.public)
			}
			r.connect()
			claims := map[string]any{
				"iss": r.fill("$ID"), "sub": r.fill("$ID"), "aud": tokenURL, "jti": "1",
				"iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
			}
			maps.Copy(claims, tt.change)
			key := tt.key
			if secret, ok := key.(string); ok {
				key = r.fill(secret)
			}
			r.set("$JWT", sign(t, key, tt.alg, claims))
			r.send("POST " + tokenURL + "\n\n" + assertionForm)
			assert.Equal(t, tt.want, r.refused())
			if tt.want == "" {
				r.send("POST " + tokenURL + "\n\n" + assertionForm)
				assert.Equal(t, wrong+" was used before, or has no jti", r.refused())
			}
		})
	}
}

// TestAssertionAudience: it is the definition's, or the issuer.
func TestAssertionAudience(t *testing.T) {
	ecKey := newECKey(t, elliptic.P256())
	for audience, change := range map[string]func(p *endpoints.Provider){
		"urn:acme":             func(p *endpoints.Provider) { p.Style.Audience = "urn:acme" },
		"urn:refresh":          func(p *endpoints.Provider) { p.Style.Audience, p.Refresh.Audience = "urn:acme", "urn:refresh" },
		"https://acme.example": func(p *endpoints.Provider) { p.Issuer = "https://acme.example" },
	} {
		for _, aud := range []string{audience, tokenURL} {
			r := newRaw(t, acme(func(p *endpoints.Provider) { p.Style.Auth = endpoints.PrivateKeyJWT; change(p) }))
			r.s.SetKey(r.p, &ecKey.PublicKey)
			r.connect()
			r.set("$JWT", url.QueryEscape(sign(t, ecKey, "ES256", map[string]any{
				"iss": r.fill("$ID"), "sub": r.fill("$ID"), "aud": aud, "jti": "1", "exp": time.Now().Add(time.Minute).Unix(),
			})))
			r.send("POST " + tokenURL + "\n\n" + assertionForm)
			assert.Equal(t, aud == audience, r.refused() == "", "%s for %s: %s", aud, audience, r.refused())
		}
	}
}

// A key that no assertion can be verified with is noticed where it is registered.
func TestKeyThatCannotBeRegistered(t *testing.T) {
	p := acme(func(p *endpoints.Provider) { p.Style.Auth = endpoints.PrivateKeyJWT })
	s := endpointstest.New(t, p)
	for want, key := range map[string]any{
		"endpointstest: an ECDSA key of the curve P-224 can't sign assertions: it needs P-256, P-384 or P-521":                                    newECKey(t, elliptic.P224()).Public(),
		"endpointstest: assertions can't be verified with a *ecdsa.PrivateKey: it takes an *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey": newECKey(t, elliptic.P256()),
		"endpointstest: assertions can't be verified with a <nil>: it takes an *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey":             nil,
	} {
		assert.PanicsWithValue(t, want, func() { s.SetKey(p, key) })
	}
}
