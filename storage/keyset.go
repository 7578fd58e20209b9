package storage

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// The layout of a sealed record is described in doc.go.
const (
	sealedMagic   = "o2ks"
	sealedFormat  = 1
	suiteXAES     = 1
	sealedHeader  = len(sealedMagic) + 2 + len(fingerprint{})
	sealedMinimum = sealedHeader + nonceSize + tagSize

	labelSealed      = "oauth2keep sealed v1"
	labelFingerprint = "oauth2keep key fingerprint v1"
)

// fingerprint names a key without revealing anything about it.
type fingerprint [16]byte

func (f fingerprint) String() string { return hex.EncodeToString(f[:]) }

// Keyset is a [Sealer] that holds its keys in memory. It seals with its primary
// key and opens with any. See the package's section Keys for how to replace a key.
//
// A Keyset is immutable, and may be used concurrently. Printed, logged or encoded
// as JSON, also from inside another type, it shows fingerprints of its keys at most.
type Keyset struct {
	// A function, because package fmt reads unexported fields by reflection, without
	// asking the methods below, and can't look into one.
	ring func() *ring
}

type ring struct {
	primary *ringKey
	keys    []*ringKey // without duplicates; the primary first
}

type ringKey struct {
	name fingerprint
	xaes *xaes
}

// NewKeyset returns a Keyset that seals with primary, and opens what was sealed
// with primary or any of old. Each key is 32 random bytes, as made by [NewKey] and
// read by [ReadKeyFile] and [ParseKey]. The keys are copied; repeating one does no
// harm.
func NewKeyset(primary []byte, old ...[]byte) (*Keyset, error) {
	r := new(ring)
	for i, key := range append([][]byte{primary}, old...) {
		k, err := newRingKey(key)
		if err != nil {
			which := "the primary key"
			if i > 0 {
				which = fmt.Sprintf("old key number %d", i)
			}
			return nil, fmt.Errorf("storage: %s %w", which, err)
		}
		if r.find(k.name) == nil {
			r.keys = append(r.keys, k)
		}
	}
	r.primary = r.keys[0]
	return &Keyset{func() *ring { return r }}, nil
}

func newRingKey(key []byte) (*ringKey, error) {
	if len(key) != keySize {
		return nil, fmt.Errorf("has %d bytes, and must have %d random ones: make it with NewKey, read it with ReadKeyFile or ParseKey", len(key), keySize)
	}
	if [keySize]byte(key) == [keySize]byte{} {
		return nil, errors.New("is all zeros: it was never filled, or its file was lost in a crash")
	}
	x, err := newXAES(key)
	if err != nil {
		return nil, err
	}
	k := &ringKey{xaes: x}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(labelFingerprint))
	copy(k.name[:], mac.Sum(nil))
	return k, nil
}

func (r *ring) find(name fingerprint) *ringKey {
	for _, k := range r.keys {
		if k.name == name {
			return k
		}
	}
	return nil
}

// get returns nil for a Keyset that NewKeyset didn't make.
func (k *Keyset) get() *ring {
	if k == nil || k.ring == nil {
		return nil
	}
	return k.ring()
}

var errNoKeyset = errors.New("storage: this Keyset has no keys: make it with NewKeyset, and look at its error")

// Seal implements [Sealer]. The result is 62 bytes longer than plaintext. It doesn't
// use ctx, as it waits for nothing.
func (k *Keyset) Seal(_ context.Context, plaintext, ad []byte) ([]byte, error) {
	r := k.get()
	if r == nil {
		return nil, errNoKeyset
	}
	b := make([]byte, 0, sealedMinimum+len(plaintext))
	b = append(b, sealedMagic...)
	b = append(b, sealedFormat, suiteXAES)
	b = append(b, r.primary.name[:]...)
	b, err := r.primary.xaes.seal(b, plaintext, sealedAD(b, ad))
	if err != nil {
		return nil, fmt.Errorf("storage: can't seal the record: %w", err)
	}
	return b, nil
}

// Open implements [Sealer]. The error for a record whose key is missing names the
// key by its fingerprint. It doesn't use ctx, as it waits for nothing.
func (k *Keyset) Open(_ context.Context, sealed, ad []byte) ([]byte, error) {
	r := k.get()
	if r == nil {
		return nil, errNoKeyset
	}
	name, err := sealedBy(sealed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOpen, err)
	}
	key := r.find(name)
	if key == nil {
		return nil, fmt.Errorf("%w: it was sealed with key %s, which isn't in this keyset (it has %s): give that key to NewKeyset as an old one", ErrOpen, name, r)
	}
	plaintext, err := key.xaes.open(sealed[sealedHeader:], sealedAD(sealed[:sealedHeader], ad))
	if err != nil {
		return nil, fmt.Errorf("%w: it was changed or cut short, or it was moved here from another record", ErrOpen)
	}
	return plaintext, nil
}

// sealedBy returns the fingerprint in a sealed record's header.
func sealedBy(sealed []byte) (name fingerprint, err error) {
	switch {
	case len(sealed) < len(sealedMagic)+2, string(sealed[:len(sealedMagic)]) != sealedMagic:
		return name, errors.New("it doesn't begin like a sealed record")
	case sealed[len(sealedMagic)] != sealedFormat, sealed[len(sealedMagic)+1] != suiteXAES:
		return name, fmt.Errorf("its format, %d.%d, is unknown: it was changed, or comes from a newer version of oauth2keep",
			sealed[len(sealedMagic)], sealed[len(sealedMagic)+1])
	case len(sealed) < sealedMinimum:
		return name, errors.New("it is cut short")
	}
	return fingerprint(sealed[sealedHeader-len(name) : sealedHeader]), nil
}

// sealedAD returns the associated data of the AEAD.
func sealedAD(header, ad []byte) []byte {
	return appendParts(make([]byte, 0, 3*8+len(labelSealed)+len(header)+len(ad)), labelSealed, string(header), string(ad))
}

// appendParts appends each part behind its length: without the lengths, moving
// bytes from the end of one part to the beginning of the next would change nothing.
func appendParts(b []byte, parts ...string) []byte {
	for _, p := range parts {
		b = binary.BigEndian.AppendUint64(b, uint64(len(p)))
		b = append(b, p...)
	}
	return b
}

// sealedWith and names are what Rekey asks a Keyset for.

func (k *Keyset) sealedWith(sealed []byte) (key string, ok bool) {
	name, err := sealedBy(sealed)
	return name.String(), err == nil
}

func (k *Keyset) names() []string {
	if r := k.get(); r != nil {
		return r.names()
	}
	return nil
}

// names returns the fingerprints of a ring's keys.
func (r *ring) names() []string {
	names := make([]string, len(r.keys))
	for i, k := range r.keys {
		names[i] = k.name.String()
	}
	return names
}

func (r *ring) String() string { return strings.Join(r.names(), ", ") }

// String returns the fingerprints of the keys, the primary's first.
func (k Keyset) String() string {
	if r := k.get(); r != nil {
		return "storage.Keyset(" + r.String() + ")"
	}
	return "storage.Keyset()"
}

// GoString returns what String returns.
func (k Keyset) GoString() string { return k.String() }

// LogValue returns what String returns.
func (k Keyset) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText returns what String returns. There is no way back.
func (k Keyset) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
