package assertion

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // for crypto.SHA256
	_ "crypto/sha512" // and the longer ones
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
)

// minRSA is the least size of an RSA key in bits (RFC 7518, section 3.3).
const minRSA = 2048

// method is a way to sign (RFC 7518, section 3.1; RFC 8037, section 3.1; RFC 9864,
// section 2.2).
type method struct {
	alg    string
	opts   crypto.SignerOpts
	verify func(public crypto.PublicKey, digest, signature []byte) bool // panics at another kind of key
	size   int                                                          // of r and of s in an ECDSA signature, in bytes
}

var (
	rs256 = method{alg: "RS256", opts: crypto.SHA256, verify: verifyPKCS1}
	ps256 = method{alg: "PS256", opts: pssOptions, verify: verifyPSS}
	es256 = method{alg: "ES256", opts: crypto.SHA256, verify: verifyECDSA, size: 32}
	es384 = method{alg: "ES384", opts: crypto.SHA384, verify: verifyECDSA, size: 48}
	es512 = method{alg: "ES512", opts: crypto.SHA512, verify: verifyECDSA, size: 66}
	eddsa = method{alg: "EdDSA", opts: crypto.Hash(0), verify: verifyEd25519}
	ed255 = method{alg: "Ed25519", opts: crypto.Hash(0), verify: verifyEd25519}
)

var pssOptions = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}

// notText are members of a JOSE header that aren't strings. Those that say how to
// verify would contradict the assertion, too.
var notText = []string{"crit", "b64", "jwk", "x5c"}

// method returns how k signs, and its public key.
func (k Key) method() (m method, public crypto.PublicKey, err error) {
	if k.Signer == nil {
		return method{}, nil, errors.New("there is no key to sign an assertion with")
	}
	if v := reflect.ValueOf(k.Signer); (v.Kind() == reflect.Pointer || v.Kind() == reflect.Slice) && v.IsNil() {
		return method{}, nil, fmt.Errorf("there is no key to sign an assertion with, but a nil %T", k.Signer)
	}
	defer recovered(&err) // the lack of a curve
	public = k.Signer.Public()
	methods, err := methodsOf(public)
	if err != nil {
		return method{}, nil, err
	}
	for name := range k.Header {
		switch {
		case name == "typ":
			return method{}, nil, errors.New("header typ of a key: an assertion has JWT there")
		case slices.Contains(notText, name):
			return method{}, nil, fmt.Errorf("header %s of a key can't be a string", name)
		}
	}
	alg, chosen := k.Header["alg"]
	if !chosen {
		return methods[0], public, nil
	}
	if m, err = find(methods, alg); err != nil {
		return method{}, nil, fmt.Errorf("header of a key: %w", err)
	}
	return m, public, nil
}

// find returns the method that is called alg.
func find(methods []method, alg string) (method, error) {
	var known []string
	for _, m := range methods {
		if m.alg == alg {
			return m, nil
		}
		known = append(known, m.alg)
	}
	return method{}, fmt.Errorf("alg %q doesn't go with the key, but %s does", alg, strings.Join(known, " or "))
}

// methodsOf returns the methods for a kind of key, the usual one first.
func methodsOf(public crypto.PublicKey) ([]method, error) {
	switch public := public.(type) {
	case *rsa.PublicKey:
		if bits := public.N.BitLen(); bits < minRSA {
			return nil, fmt.Errorf("an RSA key of %d bits is too short to sign assertions: it needs %d", bits, minRSA)
		}
		return []method{rs256, ps256}, nil
	case *ecdsa.PublicKey:
		switch public.Curve {
		case elliptic.P256():
			return []method{es256}, nil
		case elliptic.P384():
			return []method{es384}, nil
		case elliptic.P521():
			return []method{es512}, nil
		}
		return nil, fmt.Errorf("an ECDSA key of the curve %s can't sign assertions: it needs P-256, P-384 or P-521", public.Params().Name)
	case ed25519.PublicKey:
		if len(public) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("%d bytes aren't an Ed25519 key", len(public))
		}
		return []method{eddsa, ed255}, nil
	}
	return nil, fmt.Errorf("assertions can't be verified with a %T: it takes an *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey", public)
}

// sign returns the signature of input as JWS has it (RFC 7518, section 3; RFC 8037).
// It is verified first: a KMS whose key was made for another alg, or isn't the one
// that is public, would otherwise only be noticed by an invalid_client of the provider's.
func (m method) sign(signer crypto.Signer, public crypto.PublicKey, input string) (signature []byte, err error) {
	defer recovered(&err)
	digest := m.digest(input)
	signature, err = signer.Sign(rand.Reader, slices.Clone(digest), m.opts)
	if err != nil {
		return nil, fmt.Errorf("the signer of assertions failed: %w", err)
	}
	if !m.verify(public, digest, signature) {
		return nil, fmt.Errorf("what the signer of assertions returned isn't a signature by its public key for %s", m.alg)
	}
	if m.size > 0 {
		return concatenated(signature, m.size)
	}
	return signature, nil
}

// digest returns what is signed of input: its hash, or all of it.
func (m method) digest(input string) []byte {
	hash := m.opts.HashFunc()
	if hash == 0 {
		return []byte(input)
	}
	h := hash.New()
	h.Write([]byte(input))
	return h.Sum(nil)
}

// concatenated returns r and s one after the other, each of a fixed size (RFC 7518,
// section 3.4), from the ASN.1 of a crypto.Signer.
func concatenated(der []byte, size int) ([]byte, error) {
	var signature struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &signature); err != nil {
		return nil, fmt.Errorf("the signature of an assertion: %w", err) // not reached: it has been verified
	}
	raw := make([]byte, 2*size)
	signature.R.FillBytes(raw[:size])
	signature.S.FillBytes(raw[size:])
	return raw, nil
}

// recovered makes an error of a panic. Its value could hold a secret.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the signer of assertions panicked with a %T", p)
	}
}

func verifyPKCS1(public crypto.PublicKey, digest, signature []byte) bool {
	return rsa.VerifyPKCS1v15(public.(*rsa.PublicKey), crypto.SHA256, digest, signature) == nil
}

func verifyPSS(public crypto.PublicKey, digest, signature []byte) bool {
	return rsa.VerifyPSS(public.(*rsa.PublicKey), crypto.SHA256, digest, signature, pssOptions) == nil
}

func verifyECDSA(public crypto.PublicKey, digest, signature []byte) bool {
	return ecdsa.VerifyASN1(public.(*ecdsa.PublicKey), digest, signature)
}

func verifyEd25519(public crypto.PublicKey, message, signature []byte) bool {
	return ed25519.Verify(public.(ed25519.PublicKey), message, signature)
}
