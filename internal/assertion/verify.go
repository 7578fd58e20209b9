package assertion

import (
	"crypto"
	"crypto/hmac"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
)

var errSignature = errors.New("the signature is wrong")

// CheckPublicKey returns an error if no assertion can be verified with a key, or if it is
// none that a Key signs with.
func CheckPublicKey(public crypto.PublicKey) error {
	_, err := methodsOf(public)
	return err
}

// Verify returns an error if signature isn't that of input, encoded header and claims, by
// the key and the alg of the header. It takes what a Key makes, and nothing else.
func Verify(public crypto.PublicKey, alg, input string, signature []byte) error {
	methods, err := methodsOf(public)
	if err != nil {
		return err
	}
	m, err := find(methods, alg)
	if err != nil {
		return err
	}
	if m.size > 0 {
		if signature, err = separated(signature, m.size); err != nil {
			return err
		}
	}
	if !m.verify(public, m.digest(input), signature) {
		return errSignature
	}
	return nil
}

// VerifySecret is Verify for what SignSecret makes.
func VerifySecret(secret, alg, input string, signature []byte) error {
	if alg != "HS256" {
		return fmt.Errorf("alg %q doesn't go with a secret, but HS256 does", alg)
	}
	if !hmac.Equal(hs256(secret, input), signature) {
		return errSignature
	}
	return nil
}

// separated returns the ASN.1 of an ECDSA signature that is r and s one after the other:
// the reverse of concatenated.
func separated(raw []byte, size int) ([]byte, error) {
	if len(raw) != 2*size {
		return nil, errSignature
	}
	number := func(b []byte) *big.Int { return new(big.Int).SetBytes(b) }
	return asn1.Marshal(struct{ R, S *big.Int }{number(raw[:size]), number(raw[size:])})
}
