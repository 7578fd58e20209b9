package endpointstest

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// TestCodesAreForgotten when nobody exchanges them.
func TestCodesAreForgotten(t *testing.T) {
	s := New(t)
	site := s.site(endpoints.Chart)
	for range 20 {
		for range 500 {
			site.approve(consent{})
		}
		s.Advance(time.Hour)
	}
	assert.Less(t, len(site.codes), 2000)
}

// TestGrantsAreForgotten when they end.
func TestGrantsAreForgotten(t *testing.T) {
	s := New(t)
	site := s.site(endpoints.TaxRock)
	for range 10 {
		s.Connect(endpoints.TaxRock)
	}
	assert.Len(t, site.grants, 10)
	s.RevokeAll(endpoints.TaxRock)
	assert.Empty(t, site.grants)
}

// TestCloseLosesPatience with a client that announces a body and doesn't send it.
func TestCloseLosesPatience(t *testing.T) {
	s, err := Start()
	require.NoError(t, err)
	p := s.Provider(endpoints.Finch)
	c, err := net.Dial("tcp", host(p.APIURLs[0]))
	require.NoError(t, err)
	defer c.Close()
	_, err = c.Write([]byte("POST /auth/token HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"))
	require.NoError(t, err)
	active := func() bool {
		s.ports.mu.Lock()
		defer s.ports.mu.Unlock()
		for _, state := range s.ports.states {
			if state.String() == "active" {
				return true
			}
		}
		return false
	}
	require.Eventually(t, active, 10*time.Second, time.Millisecond)
	s.ports.close(10 * time.Millisecond)
	assert.Empty(t, s.ports.states)
	s.Close()
}

// TestEveryRefusalHasAnAnswer in each provider's words, with a status that exists. The three
// that have words of their own know no devices.
func TestEveryRefusalHasAnAnswer(t *testing.T) {
	s := New(t, endpoints.Finch, endpoints.Chart, endpoints.TaxRock, endpoints.TaxRockSandbox, endpoints.Microsoft)
	forDevices := map[problem]bool{devicePending: true, deviceTooFast: true, deviceDenied: true, deviceExpired: true}
	onlyTaxRock := map[problem]bool{
		wrongGrantType: true, wrongVerifier: true, wrongRefreshToken: true, wrongAudience: true, unsupportedToken: true,
	}
	for _, site := range s.sites {
		for i, name := range problems {
			p := problem(i)
			if p == firewall || onlyTaxRock[p] && !site.dialect.refreshable() || forDevices[p] && site.real.Endpoint.DeviceAuthURL == "" {
				continue
			}
			for _, on := range []Operation{TokenEndpoint, Revocation, API} {
				a := site.dialect.refuse(on, &refusal{problem: p, detail: "WHY"})
				assert.GreaterOrEqual(t, a.status, 400, name)
				if len(a.body) > 0 {
					assert.True(t, strings.Contains(string(a.body), "WHY"), name)
				}
			}
		}
	}
}

func BenchmarkRefresh(b *testing.B) {
	s := New(b)
	site := s.site(endpoints.TaxRock)
	t := s.Connect(endpoints.TaxRock)
	fields := map[string]string{"refresh_token": t.RefreshToken}
	for b.Loop() {
		site.mu.Lock()
		site.refresh(fields)
		site.mu.Unlock()
	}
}
