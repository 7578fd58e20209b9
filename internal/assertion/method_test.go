package assertion

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"io"
	"math/big"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fakeSigner is a KMS: what it has as public key and what it does are up to a test.
type fakeSigner struct {
	public crypto.PublicKey
	sign   func(digest []byte, opts crypto.SignerOpts) ([]byte, error)
}

func (s fakeSigner) Public() crypto.PublicKey { return s.public }

func (s fakeSigner) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.sign(digest, opts)
}

func TestKeyThatCannotSign(t *testing.T) {
	with := func(name, value string) map[string]string { return map[string]string{name: value} }
	p224 := must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))
	for want, k := range map[string]Key{
		"there is no key to sign an assertion with":                                                                     {},
		"an RSA key of 1024 bits is too short to sign assertions: it needs 2048":                                        {Signer: shortRSA},
		"an ECDSA key of the curve P-224 can't sign assertions: it needs P-256, P-384 or P-521":                         {Signer: p224},
		"assertions can't be verified with a string: it takes an *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey": {Signer: fakeSigner{public: "?"}},
		"assertions can't be verified with a <nil>: it takes an *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey":  {Signer: fakeSigner{}},
		"3 bytes aren't an Ed25519 key":                                                   {Signer: fakeSigner{public: ed25519.PublicKey("abc")}},
		"the signer of assertions panicked with a runtime.errorString":                    {Signer: new(ecdsa.PrivateKey)},
		"there is no key to sign an assertion with, but a nil *ecdsa.PrivateKey":          {Signer: (*ecdsa.PrivateKey)(nil)},
		"there is no key to sign an assertion with, but a nil ed25519.PrivateKey":         {Signer: ed25519.PrivateKey(nil)},
		"header typ of a key: an assertion has JWT there":                                 {edKey(), with("typ", "JWT")},
		"header crit of a key can't be a string":                                          {edKey(), with("crit", "x")},
		"header b64 of a key can't be a string":                                           {edKey(), with("b64", "false")},
		"header jwk of a key can't be a string":                                           {edKey(), with("jwk", "{}")},
		"header x5c of a key can't be a string":                                           {edKey(), with("x5c", "x")},
		`header of a key: alg "PS256" doesn't go with the key, but EdDSA or Ed25519 does`: {edKey(), with("alg", "PS256")},
		`header of a key: alg "" doesn't go with the key, but RS256 or PS256 does`:        {rsaKey(), with("alg", "")},
		`header of a key: alg "none" doesn't go with the key, but RS256 or PS256 does`:    {rsaKey(), with("alg", "none")},
		`header of a key: alg "ES384" doesn't go with the key, but ES256 does`:            {ecdsaKeys[elliptic.P256()], with("alg", "ES384")},
	} {
		assert.EqualError(t, k.Validate(), want)
		_, err := k.Sign(someone)
		assert.EqualError(t, err, want)
	}
	var nothing *rsa.PrivateKey
	for _, broken := range []crypto.Signer{nothing, fakeSigner{public: new(rsa.PublicKey)}, fakeSigner{public: new(ecdsa.PublicKey)}, ed25519.PrivateKey(nil)} {
		assert.Error(t, Key{Signer: broken}.Validate())
	}
}

// shortRSA has a modulus of 1024 bits, and isn't a key.
var shortRSA = fakeSigner{public: &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 1023, 1), E: 65537}}

func TestSignerThatMisbehaves(t *testing.T) {
	down := errors.New("the KMS is down")
	other := ed25519.NewKeyFromSeed([]byte("another key, which isn't public."))
	const notOurs = "what the signer of assertions returned isn't a signature by its public key for "
	for name, test := range map[string]struct {
		public crypto.PublicKey
		alg    string
		sign   func([]byte, crypto.SignerOpts) ([]byte, error)
		want   string
	}{
		"fails": {edKey().Public(), "EdDSA", func([]byte, crypto.SignerOpts) ([]byte, error) { return nil, down },
			"the signer of assertions failed: the KMS is down"},
		"panics": {edKey().Public(), "EdDSA", func([]byte, crypto.SignerOpts) ([]byte, error) { panic("with a secret") },
			"the signer of assertions panicked with a string"},
		"returns nothing": {edKey().Public(), "EdDSA", func([]byte, crypto.SignerOpts) ([]byte, error) { return nil, nil },
			notOurs + "EdDSA"},
		"has another key": {edKey().Public(), "EdDSA", func(m []byte, o crypto.SignerOpts) ([]byte, error) { return other.Sign(nil, m, o) },
			notOurs + "EdDSA"},
		"has a key for PS256 only": {rsaKey().Public(), "RS256", func(d []byte, _ crypto.SignerOpts) ([]byte, error) {
			return rsaKey().Sign(rand.Reader, d, pssOptions)
		}, notOurs + "RS256"},
		"salts as it likes": {rsaKey().Public(), "PS256", func(d []byte, _ crypto.SignerOpts) ([]byte, error) {
			return rsaKey().Sign(rand.Reader, d, &rsa.PSSOptions{SaltLength: 20, Hash: crypto.SHA256})
		}, notOurs + "PS256"},
		"returns r and s raw": {ecdsaKeys[elliptic.P256()].Public(), "ES256", func(d []byte, o crypto.SignerOpts) ([]byte, error) {
			der, err := ecdsaKeys[elliptic.P256()].Sign(rand.Reader, d, o)
			if err != nil {
				return nil, err
			}
			return concatenated(der, 32)
		}, notOurs + "ES256"},
		"changes what it is given": {ecdsaKeys[elliptic.P256()].Public(), "ES256", func(d []byte, o crypto.SignerOpts) ([]byte, error) {
			clear(d)
			return ecdsaKeys[elliptic.P256()].Sign(rand.Reader, d, o)
		}, notOurs + "ES256"},
	} {
		t.Run(name, func(t *testing.T) {
			k := Key{fakeSigner{test.public, test.sign}, map[string]string{"alg": test.alg}}
			signed, err := k.Sign(someone)
			assert.EqualError(t, err, test.want)
			assert.Empty(t, signed)
		})
	}
	k := Key{Signer: fakeSigner{edKey().Public(), func([]byte, crypto.SignerOpts) ([]byte, error) { return nil, down }}}
	_, err := k.Sign(someone)
	assert.ErrorIs(t, err, down)
}

func TestSignerIsCalledOncePerAssertion(t *testing.T) {
	var calls atomic.Int64
	k := Key{Signer: fakeSigner{edKey().Public(), func(m []byte, o crypto.SignerOpts) ([]byte, error) {
		calls.Add(1)
		return edKey().Sign(nil, m, o)
	}}}
	require.NoError(t, k.Validate())
	require.Zero(t, calls.Load())
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			_, err := k.Sign(someone)
			assert.NoError(t, err)
		})
	}
	all.Wait()
	assert.EqualValues(t, 20, calls.Load())
}

// A Signer that blocks keeps nobody else waiting.
func TestSignerIsCalledAtOnce(t *testing.T) {
	both := make(chan struct{}, 2)
	meet := make(chan struct{})
	k := Key{Signer: fakeSigner{edKey().Public(), func(m []byte, o crypto.SignerOpts) ([]byte, error) {
		both <- struct{}{}
		<-meet
		return edKey().Sign(nil, m, o)
	}}}
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() { _, _ = k.Sign(someone) })
	}
	<-both
	<-both
	close(meet)
	all.Wait()
}
