package endpointstest

import (
	"net/http"
	"time"
)

// routeRecovery has Chart's clients get the token of a taxpayer again.
//
// https://developer.trychart.com/api-reference/management/access_token
func (s *site) routeRecovery() {
	s.route(s.apiURL("/auth/tax-payer/{taxpayer}/token"), []string{http.MethodGet}, API, s.json(API, s.recover))
}

func (s *site) recover(r *request) (any, *refusal) {
	if refused := s.plainBasic(r); refused != nil {
		return nil, refused
	}
	id := r.vars["taxpayer"]
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.grants {
		if g.uuid("account") != id || g.lost {
			continue
		}
		return map[string]any{
			"access_token": g.id,
			"taxpayer_id":  id,
			"name":         "Jane Doe",
			"metadata":     map[string]any{},
			"provider_id":  g.source,
			"created_at":   g.created.UTC().Format(time.RFC3339),
			"status":       "COMPLETED",
		}, nil
	}
	return nil, &refusal{problem: notFound, why: "no such taxpayer"}
}
