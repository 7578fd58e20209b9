package endpointstest

import (
	"time"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// Policy is how a provider treats the tokens that it issues, in what a test may want
// to be different. Finch and Chart have no refresh tokens, whatever it says of them.
type Policy struct {
	// AccessLifetime is how long the access tokens live that are issued from now
	// on. Zero means no limit. At first it is Answer.DefaultLifetime or an hour, which
	// the provider tells as its definition says, in whole units, rounded down. Finch
	// and Chart: no limit; if there is one, they don't tell the client.
	AccessLifetime time.Duration

	// Rotate gives out a new refresh token at each refresh. The one that was
	// spent is dead from then on; using it again revokes the account's refresh
	// and access tokens, all of them (RFC 9700, section 4.14.2). Without it a
	// refresh neither replaces nor repeats the refresh token.
	Rotate bool

	// Grace is how long a refresh token that was just replaced still works, for a
	// client that didn't get the answer. It is answered with another access token
	// and the same refresh token as before, so that repeating a request is
	// harmless. Only the last refresh token to be replaced has this grace: when
	// its successor has been used too, it is reused like any other.
	Grace time.Duration

	// NoRefreshToken makes answers that have no refresh token.
	NoRefreshToken bool

	// DeviceInterval is the time that a device waits between two requests (RFC 8628,
	// section 3.2), in whole seconds, rounded down, and at least one. Zero means five
	// seconds.
	DeviceInterval time.Duration

	// ClientCredentials lets the token endpoint answer grants of that type (RFC 6749,
	// section 4.4) too, with an access token of no account. Its request is made as
	// Style says, and may have a scope; TaxRock's has an audience.
	ClientCredentials bool
}

// lifetimes are those that no test changes, since [Server.Advance] leads to their
// end. Zero means no limit.
type lifetimes struct {
	code        time.Duration // until a code is exchanged
	refreshIdle time.Duration // of a refresh token, since its last use
	refresh     time.Duration // since the consent, all rotations included
}

// Policy returns p's policy.
func (s *Server) Policy(p endpoints.Provider) Policy {
	site := s.site(p)
	site.mu.Lock()
	defer site.mu.Unlock()
	return site.policy
}

// SetPolicy changes p's policy. To change a part of it, start from [Server.Policy].
func (s *Server) SetPolicy(p endpoints.Provider, policy Policy) {
	site := s.site(p)
	site.mu.Lock()
	defer site.mu.Unlock()
	site.policy = policy
}

// over reports whether a lifetime that began at start has ended.
func over(start time.Time, lifetime time.Duration, now time.Time) bool {
	return lifetime > 0 && !now.Before(start.Add(lifetime))
}
