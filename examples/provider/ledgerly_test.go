package ledgerly_test

import (
	"testing"

	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	ledgerly "github.com/oauth2keep/oauth2keep/examples/provider"
)

// The definition makes sense: a server that acts as it says, and the client, which reads
// it too, understand each other.
func TestProvider(t *testing.T) {
	endpointstest.TestProvider(t, ledgerly.Provider, endpointstest.Test{})
}

// The provider is in trouble, in all ways that a seed chooses.
func TestProviderInTrouble(t *testing.T) {
	for seed := range uint64(2) {
		endpointstest.TestProvider(t, ledgerly.Provider, endpointstest.Test{Seed: seed + 1})
	}
}
