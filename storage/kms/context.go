package kms

import (
	"context"
	"reflect"

	"github.com/tink-crypto/tink-go/v2/tink"
)

// WithContext returns an AEAD as this package takes it. If a has the methods of
// [tink.AEADWithContext] too, as that of AWS does, they are used. If not, a call
// that is given up when its context is done goes on in a goroutine of its own until
// it is over, which depends on the timeouts of a's client.
func WithContext(a tink.AEAD) tink.AEADWithContext {
	if k, ok := a.(tink.AEADWithContext); ok {
		return k
	}
	if isNil(a) {
		return nil
	}
	return withContext{func() tink.AEAD { return a }}
}

// withContext holds a function, because an AEAD may hold its key or its password
// where fmt would print it.
type withContext struct{ aead func() tink.AEAD }

func (w withContext) EncryptWithContext(_ context.Context, plaintext, associatedData []byte) ([]byte, error) {
	return w.aead().Encrypt(plaintext, associatedData)
}

func (w withContext) DecryptWithContext(_ context.Context, ciphertext, associatedData []byte) ([]byte, error) {
	return w.aead().Decrypt(ciphertext, associatedData)
}

// isNil also finds the nil pointer in an interface, which a constructor whose error
// was ignored leaves behind.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}
