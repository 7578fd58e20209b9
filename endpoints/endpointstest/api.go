package endpointstest

import "slices"

// call answers a request to the API.
func (s *site) call(c call, r *request) (any, *refusal) {
	access, refused := bearer(r.Header)
	if refused != nil {
		return nil, refused
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g, refused := s.holder(access)
	switch {
	case refused != nil:
		return nil, refused
	case c.scope != "" && !slices.Contains(g.scopes, c.scope):
		return nil, &refusal{problem: missingScope, detail: c.scope}
	}
	if c.check != nil {
		if wrong := c.check(r.body); wrong != "" {
			return nil, malformedf("%s", wrong)
		}
	}
	return c.answer(g, s), nil
}

// disconnect ends the connection of the access token that the request carries, for
// good.
func (s *site) disconnect(r *request) (any, *refusal) {
	access, refused := bearer(r.Header)
	switch {
	case refused != nil:
		return nil, refused
	case len(r.body) > 0:
		return nil, malformedf("the body must be empty")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g, refused := s.holder(access)
	if refused != nil {
		return nil, refused
	}
	s.end(g)
	return map[string]string{"status": "success"}, nil
}
