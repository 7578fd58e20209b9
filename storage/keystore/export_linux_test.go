package keystore

import "testing"

// StartSecretService starts a keyring of its own for the test.
func StartSecretService(t testing.TB) { newSecretService(t) }
