package endpointstest

import (
	"net/http"
	"strings"
	"time"
)

// recovery returns the route by which Chart's clients get the token of a taxpayer again.
//
// https://developer.trychart.com/api-reference/management/access_token
func (o *origin) recovery(path string) (route, bool) {
	id, isRecovery := strings.CutPrefix(path, "/auth/tax-payer/")
	id, ends := strings.CutSuffix(id, "/token")
	s := o.site
	if _, ok := s.dialect.(chart); !ok || o != &s.api || !isRecovery || !ends || strings.Contains(id, "/") {
		return route{}, false
	}
	return s.json(http.MethodGet, API, func(r *request) (any, *refusal) { return s.recover(r, id) }), true
}

func (s *site) recover(r *request, id string) (any, *refusal) {
	if refused := s.basic(r.Request); refused != nil {
		return nil, refused
	}
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
