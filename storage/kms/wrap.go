package kms

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/oauth2keep/oauth2keep/storage"
)

// Wrap returns key, 32 random bytes, encrypted by k, as a line of text that [Open]
// and a [File] read. Make one with
//
//	line, err := kms.Wrap(ctx, k, storage.NewKey())
//
// It has k decrypt the result before it returns it, so that a key which the KMS
// can't give back seals nothing.
func Wrap(ctx context.Context, k tink.AEADWithContext, key []byte) (string, error) {
	w, err := wrap(ctx, k, key)
	if err != nil {
		return "", fmt.Errorf("kms: %w", err)
	}
	return w.String(), nil
}

func wrap(ctx context.Context, k tink.AEADWithContext, key []byte) (wrapped, error) {
	name, err := storage.Fingerprint(key)
	if err != nil {
		return wrapped{}, err
	}
	ciphertext, err := call(ctx, k, tink.AEADWithContext.EncryptWithContext, key, name)
	if err != nil {
		return wrapped{}, fmt.Errorf("can't wrap key %s: the KMS says: %w", name, discreet(err, key))
	}
	if len(ciphertext) == 0 || len(ciphertext) > maxCiphertext {
		return wrapped{}, fmt.Errorf("can't wrap key %s: the KMS returned %d bytes", name, len(ciphertext))
	}
	w := wrapped{name, ciphertext}
	if _, err := w.unwrap(ctx, k); err != nil {
		return wrapped{}, fmt.Errorf("can't wrap key %s: the KMS encrypted it and doesn't decrypt it again: %w", name, err)
	}
	return w, nil
}

// Open returns a Keyset of the keys in text, which has one or more lines that
// [Wrap] made; the first is the primary key. It has k decrypt each line once, and
// needs no KMS after that. The text may come from an environment variable, where
// spaces can take the place of line ends.
func Open(ctx context.Context, k tink.AEADWithContext, text string) (*storage.Keyset, error) {
	lines, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("kms: %w", err)
	}
	keys, err := unwrapAll(ctx, k, lines)
	if err != nil {
		return nil, fmt.Errorf("kms: %w", err)
	}
	return storage.NewKeyset(keys[0], keys[1:]...)
}

func unwrapAll(ctx context.Context, k tink.AEADWithContext, lines []wrapped) ([][]byte, error) {
	var keys [][]byte
	for i, w := range lines {
		key, err := w.unwrap(ctx, k)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// unwrap returns the key, if it is the one that w names.
func (w wrapped) unwrap(ctx context.Context, k tink.AEADWithContext) ([]byte, error) {
	key, err := call(ctx, k, tink.AEADWithContext.DecryptWithContext, w.ciphertext, w.fingerprint)
	switch {
	case errors.Is(err, errNoKMS):
		return nil, err
	case err != nil && ctx.Err() != nil:
		return nil, fmt.Errorf("can't unwrap key %s: the KMS doesn't answer: %w", w.fingerprint, discreet(err, key))
	case err != nil:
		return nil, fmt.Errorf("can't unwrap key %s, which another key of the KMS may have wrapped: the KMS says: %w", w.fingerprint, discreet(err, key))
	}
	name, err := storage.Fingerprint(key)
	if err != nil {
		return nil, fmt.Errorf("can't unwrap key %s: what the KMS returned isn't a key: %w", w.fingerprint, err)
	}
	if name != w.fingerprint {
		return nil, fmt.Errorf("can't unwrap key %s: the KMS returned another key, %s", w.fingerprint, name)
	}
	return key, nil
}

const label = "oauth2keep wrapped key v1"

// associatedData is described in doc.go.
func associatedData(fingerprint string) []byte {
	var b []byte
	for _, part := range []string{label, fingerprint} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}

var errNoKMS = errors.New("there is no KMS: look at the error of what should have made it")

// call calls a method of k, and doesn't wait any longer when ctx is done, whether k
// minds it or not.
func call(ctx context.Context, k tink.AEADWithContext, method func(k tink.AEADWithContext, ctx context.Context, in, ad []byte) ([]byte, error), in []byte, name string) ([]byte, error) {
	if isNil(k) {
		return nil, errNoKMS
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	type result struct {
		out []byte
		err error
	}
	results := make(chan result, 1)
	in = append([]byte(nil), in...) // as a late call may still read it
	go func() {
		out, err := method(k, ctx, in, associatedData(name))
		results <- result{out, err}
	}()
	select {
	case r := <-results:
		return r.out, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// discreet returns err, or if that shows the key, an error that doesn't.
func discreet(err error, key []byte) error {
	text := err.Error()
	for _, secret := range []string{
		string(key), hex.EncodeToString(key), strings.ToUpper(hex.EncodeToString(key)),
		base64.RawStdEncoding.EncodeToString(key), base64.RawURLEncoding.EncodeToString(key),
		strings.Trim(fmt.Sprint(key), "[]"),
	} {
		if secret != "" && strings.Contains(text, secret) {
			return errors.New("(its message has the key in it, and isn't shown)")
		}
	}
	return err
}
