package endpoints_test

import (
	"flag"
	"fmt"
	"slices"
	"testing"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
)

// unlike are definitions of which each has what the others don't.
var unlike = []string{
	"COROS", "Chart", "Clover", "Finch", "GitHub", "HubSpot", "Okta", "OktaWithKey", "Shopline", "Slack", "TaxRock", "WeChat", "Zoho",
}

// short are those of unlike that are played with -short: a provider with answers of its own,
// one with a key, one whose requests are GET, and one with several data centers.
var short = []string{"Finch", "OktaWithKey", "WeChat", "Zoho"}

// TestEveryDefinitionIsPlayed takes each through all that it has, at a server that
// knows no more of the provider than the definition says.
func TestEveryDefinitionIsPlayed(t *testing.T) {
	for name, p := range endpoints.Definitions {
		if testing.Short() && !slices.Contains(short, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			endpointstest.TestProvider(t, p, endpointstest.Test{})
		})
	}
}

var (
	seeds = flag.Uint64("hostile", 0, "how many hostile servers play each definition; 0: one plays those that are unlike the others")
	soak  = flag.Bool("soak", false, "also run the tests of x/oauth2 through the transport, and repeat each secret in each style")
)

// TestEveryDefinitionIsPlayedByAHostileServer does so where answers are lost, late or
// somebody else's.
func TestEveryDefinitionIsPlayedByAHostileServer(t *testing.T) {
	if testing.Short() {
		t.Skip("goes through all definitions once more; run without -short")
	}
	for name, p := range endpoints.Definitions {
		if *seeds == 0 && !slices.Contains(unlike, name) {
			continue
		}
		for seed := range max(*seeds, 1) {
			t.Run(fmt.Sprint(name, " ", seed+1), func(t *testing.T) {
				t.Parallel()
				endpointstest.TestProvider(t, p, endpointstest.Test{Seed: seed + 1})
			})
		}
	}
}
