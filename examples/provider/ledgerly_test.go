package ledgerly_test

import (
	"fmt"
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
	seeds := uint64(2)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed+1), func(t *testing.T) {
			t.Parallel() // it is slow, not busy
			endpointstest.TestProvider(t, ledgerly.Provider, endpointstest.Test{Seed: seed + 1})
		})
	}
}
