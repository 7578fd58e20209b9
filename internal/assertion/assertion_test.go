package assertion

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	ecdsaKeys = map[elliptic.Curve]crypto.Signer{
		elliptic.P256(): must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
		elliptic.P384(): must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
		elliptic.P521(): must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)),
	}
	edKey = sync.OnceValue(func() crypto.Signer { return ed25519.NewKeyFromSeed(make([]byte, 32)) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// verifiedBy are the standard library's verifiers, for the text that was signed.
var verifiedBy = map[string]func(public crypto.PublicKey, input, signature []byte) bool{
	"RS256": func(public crypto.PublicKey, input, signature []byte) bool {
		digest := sha256.Sum256(input)
		return rsa.VerifyPKCS1v15(public.(*rsa.PublicKey), crypto.SHA256, digest[:], signature) == nil
	},
	"PS256": func(public crypto.PublicKey, input, signature []byte) bool {
		digest := sha256.Sum256(input)
		return rsa.VerifyPSS(public.(*rsa.PublicKey), crypto.SHA256, digest[:], signature, &rsa.PSSOptions{SaltLength: 32}) == nil
	},
	"ES256": func(public crypto.PublicKey, input, signature []byte) bool {
		digest := sha256.Sum256(input)
		return verifyRaw(public, 32, digest[:], signature)
	},
	"ES384": func(public crypto.PublicKey, input, signature []byte) bool {
		digest := sha512.Sum384(input)
		return verifyRaw(public, 48, digest[:], signature)
	},
	"ES512": func(public crypto.PublicKey, input, signature []byte) bool {
		digest := sha512.Sum512(input)
		return verifyRaw(public, 66, digest[:], signature)
	},
	"EdDSA":   verifyEd25519,
	"Ed25519": verifyEd25519,
}

func verifyRaw(public crypto.PublicKey, size int, digest, signature []byte) bool {
	if len(signature) != 2*size {
		return false
	}
	r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
	return ecdsa.Verify(public.(*ecdsa.PublicKey), digest, r, s)
}

func decode(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	require.NoError(t, err)
	return b
}

// taken returns the header, the claims, the signature and what was signed.
func taken(t *testing.T, assertion string) (header, claims map[string]any, input, signature []byte) {
	t.Helper()
	parts := strings.Split(assertion, ".")
	require.Len(t, parts, 3)
	require.NoError(t, json.Unmarshal(decode(t, parts[0]), &header))
	require.NoError(t, json.Unmarshal(decode(t, parts[1]), &claims))
	return header, claims, []byte(parts[0] + "." + parts[1]), decode(t, parts[2])
}

var someone = Claims{ClientID: "client-1", Audience: "https://as.example/token"}

func TestKeySigns(t *testing.T) {
	for _, test := range []struct {
		signer crypto.Signer
		chosen string // Header's alg
		alg    string
	}{
		{rsaKey(), "", "RS256"},
		{rsaKey(), "RS256", "RS256"},
		{rsaKey(), "PS256", "PS256"},
		{ecdsaKeys[elliptic.P256()], "", "ES256"},
		{ecdsaKeys[elliptic.P256()], "ES256", "ES256"},
		{ecdsaKeys[elliptic.P384()], "", "ES384"},
		{ecdsaKeys[elliptic.P521()], "", "ES512"},
		{edKey(), "", "EdDSA"},
		{edKey(), "Ed25519", "Ed25519"},
	} {
		t.Run(test.alg+" chosen by "+test.chosen, func(t *testing.T) {
			k := Key{test.signer, map[string]string{"kid": "k<1>", "x5t#S256": "abc"}}
			want := map[string]any{"typ": "JWT", "kid": "k<1>", "x5t#S256": "abc", "alg": test.alg}
			if test.chosen != "" {
				k.Header["alg"] = test.chosen
			}
			require.NoError(t, k.Validate())
			signed, err := k.Sign(someone)
			require.NoError(t, err)
			header, _, input, signature := taken(t, signed)
			assert.Equal(t, want, header)
			assert.True(t, verifiedBy[test.alg](test.signer.Public(), input, signature))
			assert.False(t, verifiedBy[test.alg](test.signer.Public(), append(input, 'x'), signature))
			assert.NoError(t, CheckPublicKey(test.signer.Public()))
			assert.NoError(t, Verify(test.signer.Public(), test.alg, string(input), signature))
			assert.Equal(t, errSignature, Verify(test.signer.Public(), test.alg, string(input)+"x", signature))
			assert.Equal(t, errSignature, Verify(test.signer.Public(), test.alg, string(input), signature[1:]))
			assert.ErrorContains(t, Verify(test.signer.Public(), "none", string(input), signature), `alg "none" doesn't go with the key`)
		})
	}
}

// One ECDSA signature in 128 has an r or an s that begins with a zero byte, which ASN.1
// leaves out and JWS doesn't.
func TestECDSASignatureHasAFixedLength(t *testing.T) {
	for range 100 {
		signed, err := Key{Signer: ecdsaKeys[elliptic.P256()]}.Sign(someone)
		require.NoError(t, err)
		_, _, input, signature := taken(t, signed)
		require.Len(t, signature, 64)
		require.True(t, verifiedBy["ES256"](ecdsaKeys[elliptic.P256()].Public(), input, signature))
	}
	der := []byte{0x30, 7, 2, 1, 5, 2, 2, 0, 0x80} // r = 5, s = 128
	raw, err := concatenated(der, 4)
	require.NoError(t, err)
	assert.Equal(t, []byte{0, 0, 0, 5, 0, 0, 0, 0x80}, raw)
}

func TestSecretSigns(t *testing.T) {
	signed, err := SignSecret("s3cret", someone)
	require.NoError(t, err)
	header, claims, input, signature := taken(t, signed)
	assert.Equal(t, map[string]any{"typ": "JWT", "alg": "HS256"}, header)
	assert.Equal(t, "client-1", claims["sub"])
	mac := hmac.New(sha256.New, []byte("s3cret"))
	mac.Write(input)
	assert.True(t, hmac.Equal(mac.Sum(nil), signature))

	_, err = SignSecret("", someone)
	assert.EqualError(t, err, "the client's secret, which signs its assertions, is empty")
}

func TestClaims(t *testing.T) {
	signed, err := Key{Signer: edKey()}.Sign(Claims{
		ClientID: "id", Audience: "https://as.example", Now: time.Unix(1_700_000_000, 999_999_999),
	})
	require.NoError(t, err)
	_, claims, _, _ := taken(t, signed)
	id, _ := claims["jti"].(string)
	assert.GreaterOrEqual(t, len(id), 26, "128 bits in base32")
	delete(claims, "jti")
	assert.Equal(t, map[string]any{
		"iss": "id", "sub": "id", "aud": "https://as.example", "iat": 1.7e9, "exp": 1.7e9 + 240,
	}, claims)
}

func TestClaimsAreOfNow(t *testing.T) {
	signer := edKey()
	synctest.Test(t, func(t *testing.T) {
		signed, err := Key{Signer: signer}.Sign(someone)
		require.NoError(t, err)
		_, claims, _, _ := taken(t, signed)
		assert.EqualValues(t, time.Now().Unix(), claims["iat"])
	})
}

func TestEachAssertionHasItsOwnID(t *testing.T) {
	seen := make(map[any]bool)
	for range 100 {
		signed, err := SignSecret("s3cret", someone)
		require.NoError(t, err)
		_, claims, _, _ := taken(t, signed)
		seen[claims["jti"]] = true
	}
	assert.Len(t, seen, 100)
}

func TestClaimsThatAreMissing(t *testing.T) {
	for want, c := range map[string]Claims{
		"an assertion needs a client id": {Audience: "a"},
		"an assertion needs an audience": {ClientID: "id"},
	} {
		_, err := Key{Signer: edKey()}.Sign(c)
		assert.EqualError(t, err, want)
		_, err = SignSecret("s3cret", c)
		assert.EqualError(t, err, want)
	}
}

func TestHeaderOfTheCallerStays(t *testing.T) {
	k := Key{edKey(), map[string]string{"kid": "1"}}
	_, err := k.Sign(someone)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"kid": "1"}, k.Header)
}
