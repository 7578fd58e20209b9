package kms

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/oauth2keep/oauth2keep/storage"
)

const (
	keySize = 32
	// maxKeys is how many keys a text can have. AWS encrypts 4,096 bytes at a time,
	// and takes 8,192 characters of associated data.
	maxKeys = 50
)

// Wrap returns keys, each 32 random bytes, encrypted by k, as a line of text that
// [Open] and a [File] read. The first seals, and all open. Make one with
//
//	text, err := kms.Wrap(ctx, k, storage.NewKey())
//
// It has k decrypt the result before it returns it, so that a key which the KMS
// can't give back seals nothing.
func Wrap(ctx context.Context, k tink.AEADWithContext, primary []byte, old ...[]byte) (string, error) {
	w, err := wrap(ctx, k, append([][]byte{primary}, old...))
	if err != nil {
		return "", fmt.Errorf("kms: %w", err)
	}
	return w.String(), nil
}

func wrap(ctx context.Context, k tink.AEADWithContext, keys [][]byte) (wrapped, error) {
	names, err := fingerprints(keys)
	if err != nil {
		return wrapped{}, err
	}
	plaintext := bytes.Join(keys, nil)
	ciphertext, err := call(ctx, k, tink.AEADWithContext.EncryptWithContext, plaintext, names)
	if err != nil {
		return wrapped{}, fmt.Errorf("can't wrap %s: the KMS says: %w", keyNames(names), discreet(err, plaintext))
	}
	if len(ciphertext) == 0 || len(ciphertext) > maxCiphertext {
		return wrapped{}, fmt.Errorf("can't wrap %s: the KMS returned %d bytes", keyNames(names), len(ciphertext))
	}
	w := wrapped{names, ciphertext}
	if _, err := w.unwrap(ctx, k); err != nil {
		return wrapped{}, fmt.Errorf("can't wrap %s: the KMS encrypted it and doesn't decrypt it again: %w", keyNames(names), err)
	}
	return w, nil
}

// fingerprints returns the names of keys, or an error if they can't be one Keyset's.
func fingerprints(keys [][]byte) ([]string, error) {
	if len(keys) > maxKeys {
		return nil, fmt.Errorf("there would be %d keys, and a text has room for %d: call Rekey, and Remove those that no record needs", len(keys), maxKeys)
	}
	keyset, err := storage.NewKeyset(keys[0], keys[1:]...)
	if err != nil {
		return nil, err
	}
	names := keyset.Fingerprints()
	for i, key := range keys {
		first := slices.IndexFunc(keys, func(k []byte) bool { return bytes.Equal(k, key) })
		if first < i {
			return nil, fmt.Errorf("key %s is there already", names[first])
		}
	}
	return names, nil
}

// fingerprintOf returns the name of a key that wrap has taken.
func fingerprintOf(key []byte) string {
	names, _ := fingerprints([][]byte{key})
	return names[0]
}

func keyNames(names []string) string {
	if len(names) == 1 {
		return "key " + names[0]
	}
	return "keys " + strings.Join(names, ", ")
}

// Open returns a Keyset of the keys in a text that [Wrap] or a [File] made. It has k
// decrypt it once, and needs no KMS after that.
func Open(ctx context.Context, k tink.AEADWithContext, text string) (*storage.Keyset, error) {
	w, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("kms: %w", err)
	}
	keys, err := w.unwrap(ctx, k)
	if err != nil {
		return nil, fmt.Errorf("kms: %w", err)
	}
	return storage.NewKeyset(keys[0], keys[1:]...)
}

// unwrap returns the keys, if they are those that w names, in that order.
func (w wrapped) unwrap(ctx context.Context, k tink.AEADWithContext) ([][]byte, error) {
	plaintext, err := call(ctx, k, tink.AEADWithContext.DecryptWithContext, w.ciphertext, w.fingerprints)
	switch {
	case errors.Is(err, errNoKMS):
		return nil, err
	case err != nil && ctx.Err() != nil:
		return nil, fmt.Errorf("can't unwrap %s: the KMS doesn't answer: %w", keyNames(w.fingerprints), discreet(err, plaintext))
	case err != nil:
		return nil, fmt.Errorf("can't unwrap %s, which another key of the KMS may have wrapped, or somebody else has changed: the KMS says: %w", keyNames(w.fingerprints), discreet(err, plaintext))
	}
	if len(plaintext) != keySize*len(w.fingerprints) {
		return nil, fmt.Errorf("can't unwrap %s: the KMS returned %d bytes", keyNames(w.fingerprints), len(plaintext))
	}
	keys := slices.Collect(slices.Chunk(plaintext, keySize))
	names, err := fingerprints(keys)
	if err != nil {
		return nil, fmt.Errorf("can't unwrap %s: what the KMS returned isn't that: %w", keyNames(w.fingerprints), err)
	}
	if !slices.Equal(names, w.fingerprints) {
		return nil, fmt.Errorf("can't unwrap %s: the KMS returned other keys, %s", keyNames(w.fingerprints), strings.Join(names, ", "))
	}
	return keys, nil
}

const label = "oauth2keep wrapped keys v2"

// associatedData is described in doc.go.
func associatedData(fingerprints []string) []byte {
	var b []byte
	for _, part := range append([]string{label}, fingerprints...) {
		b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}

var errNoKMS = errors.New("there is no KMS: look at the error of what should have made it")

// call calls a method of k, and doesn't wait any longer when ctx is done, whether k
// minds it or not.
func call(ctx context.Context, k tink.AEADWithContext, method func(k tink.AEADWithContext, ctx context.Context, in, ad []byte) ([]byte, error), in []byte, names []string) ([]byte, error) {
	if isNil(k) {
		return nil, errNoKMS
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	type result struct {
		out   []byte
		err   error
		panic any
	}
	results := make(chan result, 1)
	in = bytes.Clone(in) // as a late call may still read it
	go func() {
		r := result{err: errors.New("the client of the KMS called runtime.Goexit")}
		defer func() {
			r.panic = recover() // here it would end the process, and the caller may recover it
			results <- r
		}()
		r.out, r.err = method(k, ctx, in, associatedData(names))
	}()
	select {
	case r := <-results:
		if r.panic != nil {
			panic(r.panic)
		}
		return r.out, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// discreet returns err, or if that shows one of the keys, an error that doesn't.
func discreet(err error, keys []byte) error {
	text := err.Error()
	for key := range slices.Chunk(keys, keySize) {
		for _, secret := range []string{
			string(key), hex.EncodeToString(key), strings.ToUpper(hex.EncodeToString(key)),
			base64.RawStdEncoding.EncodeToString(key), base64.RawURLEncoding.EncodeToString(key),
			base64.RawStdEncoding.EncodeToString(keys), base64.RawURLEncoding.EncodeToString(keys),
			strings.Trim(fmt.Sprint(key), "[]"),
		} {
			if strings.Contains(text, secret) {
				return errors.New("(its message has a key in it, and isn't shown)")
			}
		}
	}
	return err
}
