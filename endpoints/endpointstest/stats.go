package endpointstest

import (
	"maps"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// Stats counts what one provider has seen since the server was started.
type Stats struct {
	Approved, Denied int // answers given at the consent page, and about devices

	// Requests to the token endpoint, by grant, whatever became of them.
	CodeRequests, RefreshRequests, ClientRequests int

	// Those that were answered with tokens, also when a fault lost the answer. A
	// client that refreshes as it should has one refresh for each expiry of an
	// access token.
	Exchanged, Refreshed, ClientTokens int

	Graced  int // of Refreshed, with a token that was replaced: see Policy.Grace
	Reused  int // refresh tokens that came a second time: each revoked its account's tokens
	Revoked int // connections that ended before their time, by either side

	APIAnswered, APIRefused int // calls, without those that revoke

	Faulted int // requests that met a Fault

	// Rejected counts the requests that were refused by the reason, in words. No
	// secret stands in them.
	Rejected map[string]int
}

// Stats returns what p has seen so far.
func (s *Server) Stats(p endpoints.Provider) Stats {
	site := s.site(p)
	site.mu.Lock()
	defer site.mu.Unlock()
	stats := site.stats
	stats.Rejected = maps.Clone(stats.Rejected)
	return stats
}

func (s *site) countTokenRequest(grantType string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch grantType {
	case "authorization_code":
		s.stats.CodeRequests++
	case "refresh_token":
		s.stats.RefreshRequests++
	case "client_credentials":
		s.stats.ClientRequests++
	}
}

// maxReasons bounds what clients can make Rejected hold by inventing field names.
const maxReasons = 1000

// countAnswer counts an answer and, if the request was refused, the reason.
func (s *site) countAnswer(on Operation, r *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case on == API && r == nil:
		s.stats.APIAnswered++
	case on == API:
		s.stats.APIRefused++
	}
	if r == nil {
		return
	}
	reason := r.reason()
	if _, known := s.stats.Rejected[reason]; !known && len(s.stats.Rejected) >= maxReasons {
		reason = "other"
	}
	s.stats.Rejected[reason]++
}
