// Package mackey knows which secrets can be the key of an HMAC.
package mackey

import (
	"crypto/fips140"
	"fmt"
)

// shortest is what Go's FIPS 140-only mode allows: 112 bits.
const shortest = 14

// Check returns an error for a key with which crypto/hmac panics. Providers issue such
// secrets: the HMAC of one is as good as they want it, but not in FIPS 140-only mode.
func Check(key []byte) error {
	if len(key) < shortest && fips140.Enforced() {
		return fmt.Errorf("the secret has %d bytes, and FIPS 140-only mode signs with %d or more: have the provider issue a longer one", len(key), shortest)
	}
	return nil
}
