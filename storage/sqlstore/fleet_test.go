package sqlstore_test

import (
	"testing"

	"github.com/oauth2keep/oauth2keep/tokensource/tokensourcetest"
)

// TestFleet has processes refresh tokens that they keep in one table, on each engine.
func TestFleet(t *testing.T) {
	if !*soak {
		t.Skip("takes a minute and a half; run with -soak")
	}
	t.Parallel()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			tokensourcetest.Run(t, func(t *testing.T) string { return e.make(t).String() }, tokensourcetest.Size{})
		})
	}
}
