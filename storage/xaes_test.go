package storage

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/sha3"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

// TestXAESVectors has every value that the specification gives, in
// https://c2sp.org/XAES-256-GCM#test-vectors.
func TestXAESVectors(t *testing.T) {
	nonce := []byte("ABCDEFGHIJKLMNOPQRSTUVWX")
	for _, c := range []struct {
		name                string
		key                 byte
		k1, subkey, aad, ct string
	}{
		{
			"the first bit of L is 0", 1,
			"e531954aca063d5b8d9c47a47d4cc6f0",
			"c8612c9ed53fe43e8e005b828a1631a0bbcb6ab2f46514ec4f439fcfd0fa969b",
			"", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271",
		},
		{
			"the first bit of L is 1", 3,
			"23810ec50edb99f374409466ed1f4b7b",
			"e9c621d4cdd9b11b00a6427ad7e559aeedd66b3857646677748f8ca796cb3fd8",
			"c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, err := newXAES(bytes.Repeat([]byte{c.key}, 32))
			require.NoError(t, err)
			require.Equal(t, c.k1, hex.EncodeToString(x.k1[:]))
			require.Equal(t, c.subkey, hex.EncodeToString(x.subkey(nonce[:12])))

			sealed := append(bytes.Clone(nonce), unhex(t, c.ct)...)
			plaintext, err := x.open(sealed, []byte(c.aad))
			require.NoError(t, err)
			require.Equal(t, "XAES-256-GCM", string(plaintext))

			if fips140.Enforced() {
				return // which allows no chosen nonce
			}
			require.Equal(t, c.ct, hex.EncodeToString(sealWith(t, x, nonce, plaintext, []byte(c.aad))))
		})
	}
}

// sealWith is seal with a chosen nonce.
func sealWith(t *testing.T, x *xaes, nonce, plaintext, aad []byte) []byte {
	block, err := aes.NewCipher(x.subkey(nonce[:halfNonce]))
	require.NoError(t, err)
	aead, err := cipher.NewGCM(block)
	require.NoError(t, err)
	return aead.Seal(nil, nonce[halfNonce:], plaintext, aad)
}

// TestXAESAccumulated is the specification's accumulated randomized test. It seals
// with the derived key and a chosen nonce, and opens with what the package uses.
func TestXAESAccumulated(t *testing.T) {
	if fips140.Enforced() {
		t.Skip("FIPS 140 mode allows no chosen nonce")
	}
	if testing.Short() {
		t.Skip("seals ten thousand times; run without -short")
	}
	rng, hash := sha3.NewSHAKE128(), sha3.NewSHAKE128()
	read := func(n byte) []byte {
		b := make([]byte, n)
		rng.Read(b)
		return b
	}
	for range 10_000 {
		key, nonce := read(32), read(24)
		plaintext := read(read(1)[0])
		aad := read(read(1)[0])
		x, err := newXAES(key)
		require.NoError(t, err)
		ciphertext := sealWith(t, x, nonce, plaintext, aad)
		hash.Write(ciphertext)

		opened, err := x.open(append(nonce, ciphertext...), aad)
		require.NoError(t, err)
		require.True(t, bytes.Equal(plaintext, opened))
	}
	sum := make([]byte, 32)
	hash.Read(sum)
	require.Equal(t, "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939", hex.EncodeToString(sum))
}

func TestXAESDrawsTheWholeNonce(t *testing.T) {
	x, err := newXAES(bytes.Repeat([]byte{1}, 32))
	require.NoError(t, err)
	first, second := make(map[string]bool), make(map[string]bool)
	for range 100 {
		b, err := x.seal([]byte("before"), []byte("plaintext"), nil)
		require.NoError(t, err)
		require.Equal(t, "before", string(b[:6]))
		b = b[6:]
		require.Len(t, b, nonceSize+len("plaintext")+tagSize)
		first[string(b[:12])], second[string(b[12:24])] = true, true
	}
	require.Len(t, first, 100)
	require.Len(t, second, 100)
}

func TestXAESErrors(t *testing.T) {
	_, err := newXAES(make([]byte, 31))
	require.Error(t, err)
	x, err := newXAES(make([]byte, 32))
	require.NoError(t, err)
	for n := range nonceSize + tagSize {
		_, err := x.open(make([]byte, n), nil)
		require.EqualError(t, err, "storage: the ciphertext is too short")
	}
}
