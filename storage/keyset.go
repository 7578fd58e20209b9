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
	keys func() keyList
}

// keyList is the keys of a Keyset without duplicates, the primary first.
type keyList []*sealingKey

type sealingKey struct {
	fingerprint fingerprint
	xaes        *xaes
}

// NewKeyset returns a Keyset that seals with primary, and opens what was sealed
// with primary or any of old. Each key is 32 random bytes, as made by [NewKey] and
// read by [ReadKeyFile] and [ParseKey]. The keys are copied; repeating one does no
// harm.
func NewKeyset(primary []byte, old ...[]byte) (*Keyset, error) {
	var keys keyList
	for i, key := range append([][]byte{primary}, old...) {
		k, err := newSealingKey(key)
		if err != nil {
			which := "the primary key"
			if i > 0 {
				which = fmt.Sprintf("old key number %d", i)
			}
			return nil, fmt.Errorf("storage: %s %w", which, err)
		}
		if keys.find(k.fingerprint) == nil {
			keys = append(keys, k)
		}
	}
	return &Keyset{func() keyList { return keys }}, nil
}

func newSealingKey(key []byte) (*sealingKey, error) {
	f, err := fingerprintOf(key)
	if err != nil {
		return nil, err
	}
	x, err := newXAES(key)
	if err != nil {
		return nil, err
	}
	return &sealingKey{f, x}, nil
}

// fingerprintOf returns an error for what can't be a key.
func fingerprintOf(key []byte) (f fingerprint, err error) {
	if len(key) != keySize {
		return f, fmt.Errorf("has %d bytes, and must have %d random ones: make it with NewKey, read it with ReadKeyFile or ParseKey", len(key), keySize)
	}
	if [keySize]byte(key) == [keySize]byte{} {
		return f, errors.New("is all zeros: it was never filled, or its file was lost in a crash")
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(labelFingerprint))
	copy(f[:], mac.Sum(nil))
	return f, nil
}

// Fingerprints returns the names that errors, [RekeyReport] and [Encrypted.CheckUnused]
// give the keys, each once, the primary key's first and then the old ones' as [NewKeyset]
// was given them. A name is 32 hexadecimal digits, which are always the same for a key, and
// from which nothing can be learnt about it. The caller may change the slice.
func (k *Keyset) Fingerprints() []string { return k.list().fingerprints() }

func (l keyList) fingerprints() []string {
	names := make([]string, len(l))
	for i, k := range l {
		names[i] = k.fingerprint.String()
	}
	return names
}

func (l keyList) find(f fingerprint) *sealingKey {
	for _, k := range l {
		if k.fingerprint == f {
			return k
		}
	}
	return nil
}

// list returns nil for a Keyset that NewKeyset didn't make.
func (k *Keyset) list() keyList {
	if k == nil || k.keys == nil {
		return nil
	}
	return k.keys()
}

var errNoKeyset = errors.New("storage: this Keyset has no keys: make it with NewKeyset, and look at its error")

// Seal implements [Sealer]. The result is 62 bytes longer than plaintext. It doesn't
// use ctx, as it waits for nothing.
func (k *Keyset) Seal(_ context.Context, plaintext, ad []byte) ([]byte, error) {
	keys := k.list()
	if keys == nil {
		return nil, errNoKeyset
	}
	primary := keys[0]
	b := make([]byte, 0, sealedMinimum+len(plaintext))
	b = append(b, sealedMagic...)
	b = append(b, sealedFormat, suiteXAES)
	b = append(b, primary.fingerprint[:]...)
	b, err := primary.xaes.seal(b, plaintext, sealedAD(b, ad))
	if err != nil {
		return nil, fmt.Errorf("storage: can't seal the record: %w", err)
	}
	return b, nil
}

// Open implements [Sealer]. The error for a record whose key is missing names the
// key by its fingerprint. It doesn't use ctx, as it waits for nothing.
func (k *Keyset) Open(_ context.Context, sealed, ad []byte) ([]byte, error) {
	keys := k.list()
	if keys == nil {
		return nil, errNoKeyset
	}
	by, err := sealedBy(sealed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOpen, err)
	}
	key := keys.find(by)
	if key == nil {
		return nil, fmt.Errorf("%w: it was sealed with key %s, which isn't in this keyset (it has %s): give that key to NewKeyset as an old one", ErrOpen, by, strings.Join(keys.fingerprints(), ", "))
	}
	plaintext, err := key.xaes.open(sealed[sealedHeader:], sealedAD(sealed[:sealedHeader], ad))
	if err != nil {
		return nil, fmt.Errorf("%w: it was changed or cut short, or it was moved here from another record", ErrOpen)
	}
	return plaintext, nil
}

// sealedBy returns the fingerprint in a sealed record's header.
func sealedBy(sealed []byte) (f fingerprint, err error) {
	switch {
	case len(sealed) < len(sealedMagic)+2, string(sealed[:len(sealedMagic)]) != sealedMagic:
		return f, errors.New("it doesn't begin like a sealed record")
	case sealed[len(sealedMagic)] != sealedFormat, sealed[len(sealedMagic)+1] != suiteXAES:
		return f, fmt.Errorf("its format, %d.%d, is unknown: it was changed, or comes from a newer version of oauth2keep",
			sealed[len(sealedMagic)], sealed[len(sealedMagic)+1])
	case len(sealed) < sealedMinimum:
		return f, errors.New("it is cut short")
	}
	return fingerprint(sealed[sealedHeader-len(f) : sealedHeader]), nil
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

func (k *Keyset) sealedWith(sealed []byte) (fingerprint string, ok bool) {
	f, err := sealedBy(sealed)
	return f.String(), err == nil
}

// String returns the fingerprints of the keys, the primary's first.
func (k Keyset) String() string {
	return "storage.Keyset(" + strings.Join(k.Fingerprints(), ", ") + ")"
}

// GoString returns what String returns.
func (k Keyset) GoString() string { return k.String() }

// LogValue returns what String returns.
func (k Keyset) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText returns what String returns. There is no way back.
func (k Keyset) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
