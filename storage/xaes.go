package storage

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"errors"
)

// Sizes of XAES-256-GCM, in bytes.
const (
	keySize   = 32
	nonceSize = 24
	halfNonce = nonceSize / 2 // one half derives the key, the other is AES-GCM's nonce
	tagSize   = 16
)

// xaes is XAES-256-GCM (https://c2sp.org/XAES-256-GCM) under one key: AES-256-GCM
// with a nonce that is long enough to be drawn at random for any number of messages.
// It is made of nothing but AES and the one form of AES-GCM that Go's FIPS 140 mode
// allows, in which the standard library draws the nonce.
type xaes struct {
	block cipher.Block
	k1    [aes.BlockSize]byte // CMAC's subkey for a message of whole blocks
}

func newXAES(key []byte) (*xaes, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	x := &xaes{block: block}
	// Doubling in GF(2¹²⁸), without a branch that depends on the key.
	var l [aes.BlockSize]byte
	block.Encrypt(l[:], l[:])
	var carry byte
	for i := len(l) - 1; i >= 0; i-- {
		x.k1[i] = l[i]<<1 | carry
		carry = l[i] >> 7
	}
	x.k1[len(l)-1] ^= byte(subtle.ConstantTimeSelect(int(carry), 0x87, 0))
	return x, nil
}

// subkey derives the AES-256-GCM key that belongs to the first half of a nonce:
// NIST's counter-based KDF over CMAC, whose two messages fit into a block each.
func (x *xaes) subkey(half []byte) []byte {
	key := make([]byte, 0, keySize)
	for counter := byte(1); counter <= 2; counter++ {
		m := [aes.BlockSize]byte{0, counter, 'X', 0}
		copy(m[4:], half)
		subtle.XORBytes(m[:], m[:], x.k1[:])
		x.block.Encrypt(m[:], m[:])
		key = append(key, m[:]...)
	}
	return key
}

func (x *xaes) aead(half []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(x.subkey(half))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// seal appends a nonce and the ciphertext to dst.
func (x *xaes) seal(dst, plaintext, ad []byte) ([]byte, error) {
	var half [halfNonce]byte
	rand.Read(half[:]) // never fails
	aead, err := x.aead(half[:])
	if err != nil {
		return nil, err
	}
	// The other half of the nonce is the beginning of what Seal appends.
	return aead.Seal(append(dst, half[:]...), nil, plaintext, ad), nil
}

// open returns what was sealed into a nonce and a ciphertext.
func (x *xaes) open(sealed, ad []byte) ([]byte, error) {
	if len(sealed) < nonceSize+tagSize {
		return nil, errors.New("storage: the ciphertext is too short")
	}
	aead, err := x.aead(sealed[:halfNonce])
	if err != nil {
		return nil, err
	}
	return aead.Open(nil, nil, sealed[halfNonce:], ad)
}
