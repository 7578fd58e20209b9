package assertion

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// claimsOfRFC7515 are the payload of the examples A.1 to A.3.
const claimsOfRFC7515 = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

// rsaKey is that of appendix A.2: to generate one takes a tenth of a second.
var rsaKey = sync.OnceValue(func() crypto.Signer {
	number := func(s string) *big.Int {
		return new(big.Int).SetBytes(must(base64.RawURLEncoding.DecodeString(s)))
	}
	n := number("ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ")
	d := number("Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ")
	p := number("4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc")
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: n, E: 65537}, D: d,
		Primes: []*big.Int{p, new(big.Int).Div(n, p)},
	}
	key.Precompute()
	return key
})

// https://www.rfc-editor.org/rfc/rfc7515#appendix-A.1
func TestExampleHS256(t *testing.T) {
	secret := decode(t, "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
	signature := hs256(string(secret), "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."+claimsOfRFC7515)
	assert.Equal(t, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", encode(signature))
}

// https://www.rfc-editor.org/rfc/rfc7515#appendix-A.2
func TestExampleRS256(t *testing.T) {
	signature, err := rs256.sign(rsaKey(), rsaKey().Public(), "eyJhbGciOiJSUzI1NiJ9."+claimsOfRFC7515)
	require.NoError(t, err)
	assert.Equal(t, "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
		encode(signature))
}

// An ECDSA signature isn't repeatable, so a signer gives that of the example as ASN.1.
//
// https://www.rfc-editor.org/rfc/rfc7515#appendix-A.3
func TestExampleES256(t *testing.T) {
	const want = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
	x, y := decode(t, "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"), decode(t, "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0")
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
	require.NoError(t, err)
	signer := fakeSigner{public, func([]byte, crypto.SignerOpts) ([]byte, error) {
		raw := decode(t, want)
		return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])})
	}}
	signature, err := es256.sign(signer, public, "eyJhbGciOiJFUzI1NiJ9."+claimsOfRFC7515)
	require.NoError(t, err)
	assert.Equal(t, want, encode(signature))
}

// https://www.rfc-editor.org/rfc/rfc8037#appendix-A.4
func TestExampleEdDSA(t *testing.T) {
	key := ed25519.NewKeyFromSeed(decode(t, "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"))
	assert.Equal(t, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", encode(key.Public().(ed25519.PublicKey)))
	signature, err := eddsa.sign(key, key.Public(), "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc")
	require.NoError(t, err)
	assert.Equal(t, "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg", encode(signature))
}
