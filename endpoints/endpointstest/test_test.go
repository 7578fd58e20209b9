package endpointstest_test

import (
	"crypto"
	"crypto/ed25519"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
)

// TestByDefinitionAlone plays those that have a dialect of their own without it.
func TestByDefinitionAlone(t *testing.T) {
	for _, p := range []endpoints.Provider{endpoints.Finch, endpoints.Chart, endpoints.TaxRock} {
		if testing.Short() && p.Name != "TaxRock" {
			continue // which has refresh tokens
		}
		p.Endpoint.AuthURL += "/page" // so that the server doesn't know it
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			endpointstest.TestProvider(t, p, endpointstest.Test{NoRefreshToken: p.Name != "TaxRock"})
		})
	}
}

// TestWithAKeyOfItsOwn signs assertions with a key and an algorithm that the test
// chooses.
func TestWithAKeyOfItsOwn(t *testing.T) {
	var key crypto.Signer = rsaKey()
	header := map[string]string{"alg": "PS256"}
	if testing.Short() { // an RSA signature takes a millisecond
		key, header = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), nil
	}
	configured := 0
	endpointstest.TestProvider(t, acme(func(p *endpoints.Provider) { p.Style.Auth = endpoints.PrivateKeyJWT }), endpointstest.Test{
		Key: key.Public(),
		Config: func(c *endpoints.Config) *endpoints.Config {
			configured++
			return c.WithKey(key, header)
		},
	})
	assert.Positive(t, configured)
}

// TestVarsAndScopes are the test's own.
func TestVarsAndScopes(t *testing.T) {
	var paths []string
	scopes := ""
	p := tenants
	p.Request = func(r *endpoints.Request) error {
		paths = append(paths, r.HTTP.URL.Host+r.HTTP.URL.Path)
		return nil
	}
	p.Response = func(r *endpoints.Response) error {
		if s, ok := r.Members["scope"].(string); ok {
			scopes = s
		}
		return nil
	}
	endpointstest.TestProvider(t, p, endpointstest.Test{
		Vars: map[string]string{"shop": "tea.shops.example", "region": "eu"}, Scopes: []string{"drink"},
	})
	assert.Contains(t, paths, "eu.tenants.example/token/tea.shops.example")
	assert.Equal(t, "drink", scopes)
}

// TestRefreshWithoutAToken names the account instead, by a variable. The provider can't see
// that a token was used twice.
func TestRefreshWithoutAToken(t *testing.T) {
	refreshed := 0
	p := tenants
	p.Refresh.Params = endpoints.Params{"refresh_token": nil}
	p.Response = func(r *endpoints.Response) error {
		if r.Grant == "refresh_token" && r.Status == 200 {
			refreshed++
		}
		return nil
	}
	endpointstest.TestProvider(t, p, endpointstest.Test{})
	addresses := 2
	if testing.Short() {
		addresses = 1
	}
	assert.Equal(t, addresses*3, refreshed)
}

// sabotage are clients that don't do what their definition says. The server doesn't
// look at hooks.
var sabotage = map[string]func(p *endpoints.Provider){
	"another parameter": func(p *endpoints.Provider) {
		p.Request = func(r *endpoints.Request) error { r.Params.Set("x", "y"); return nil }
	},
	"no verifier": func(p *endpoints.Provider) {
		p.Request = func(r *endpoints.Request) error { r.Params.Del("code_verifier"); return nil }
	},
	"another token revoked": func(p *endpoints.Provider) {
		p.Request = func(r *endpoints.Request) error {
			if r.Grant == "revoke" {
				r.Params.Set("token", "x")
			}
			return nil
		}
	},
	"no lifetime": func(p *endpoints.Provider) {
		p.Response = func(r *endpoints.Response) error { delete(r.Members, "expires_in"); return nil }
	},
	"no refresh token": func(p *endpoints.Provider) {
		p.Response = func(r *endpoints.Response) error { delete(r.Members, "refresh_token"); return nil }
	},
	"trouble ends a connection": func(p *endpoints.Provider) {
		p.Response = func(r *endpoints.Response) error {
			if r.Status >= 500 {
				r.Kind = endpoints.KindLoginRequired
			}
			return nil
		}
	},
	"nothing ends a connection": func(p *endpoints.Provider) {
		p.Response = func(r *endpoints.Response) error {
			if r.Status == 400 {
				r.Kind = endpoints.KindProviderTrouble
			}
			return nil
		}
	},
	"a device that doesn't slow down": func(p *endpoints.Provider) {
		p.Endpoint.DeviceAuthURL = p.Endpoint.TokenURL + "/device"
		p.Response = func(r *endpoints.Response) error {
			if r.Members["error"] == "slow_down" {
				r.Members["error"] = "authorization_pending"
			}
			return nil
		}
	},
	"an error that repeats a secret": func(p *endpoints.Provider) {
		p.Response = func(r *endpoints.Response) error {
			if r.Status == 400 {
				return fmt.Errorf("of %s", r.Value("code"))
			}
			return nil
		}
	},
}

// TestSabotage is run by TestTestProviderFindsMistakes.
func TestSabotage(t *testing.T) {
	if os.Getenv("ENDPOINTSTEST_SABOTAGE") == "" {
		t.Skip("it fails, as it should")
	}
	for name, change := range sabotage {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			endpointstest.TestProvider(t, acme(change), endpointstest.Test{})
		})
	}
	for seed := range uint64(3) {
		t.Run("hostile", func(t *testing.T) {
			endpointstest.TestProvider(t, acme(sabotage["trouble ends a connection"]), endpointstest.Test{Seed: seed + 1})
		})
	}
}

// TestTestProviderFindsMistakes: a client that doesn't do what its definition says
// fails the test, and a hostile one prints the seed.
func TestTestProviderFindsMistakes(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a process; run without -short")
	}
	t.Parallel()
	child := exec.Command(os.Args[0], "-test.run=^TestSabotage$", "-test.v", "-test.short")
	child.Env = append(os.Environ(), "ENDPOINTSTEST_SABOTAGE=1")
	out, err := child.CombinedOutput()
	require.Error(t, err)
	failed := regexp.MustCompile(`(?m)^    --- FAIL: TestSabotage/(\S+)`).FindAllStringSubmatch(string(out), -1)
	seen := make(map[string]bool)
	for _, m := range failed {
		seen[m[1]] = true
	}
	for name := range sabotage {
		assert.True(t, seen[strings.ReplaceAll(name, " ", "_")], name)
	}
	assert.True(t, seen["hostile"])
	assert.Contains(t, string(out), "the seed is 1: Test{Seed: 1} is this test again")
	assert.NotContains(t, string(out), "panic:")
}
