package assertion

import (
	"crypto/fips140"
	"fmt"
)

// shortestMACKey is what Go's FIPS 140-only mode allows: 112 bits.
const shortestMACKey = 14

// CheckMACKey returns an error for a secret with which crypto/hmac panics. Providers issue
// such secrets: the HMAC of one is as good as they want it, but not in FIPS 140-only mode.
func CheckMACKey(key []byte) error {
	if len(key) < shortestMACKey && fips140.Enforced() {
		return fmt.Errorf("the secret has %d bytes, and FIPS 140-only mode signs with %d or more: have the provider issue a longer one", len(key), shortestMACKey)
	}
	return nil
}
