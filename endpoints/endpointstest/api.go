package endpointstest

import (
	"net/http"
	"slices"
)

// call answers a request to the API that is one of the dialect's.
func (s *site) call(c call, r *request) (any, *refusal) {
	access, refused := s.accessToken(apiConversation(&s.real), r.Header)
	if refused != nil {
		return nil, refused
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g, refused := s.holder(access, r.vars)
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
	if c.ends {
		s.end(g)
	}
	return c.answer(g, s), nil
}

// called is the member of a good answer that says what was called.
const called = "called"

// anyCall answers a request to an API of which nothing is known but how it takes
// tokens.
func (s *site) anyCall(r *request) (any, *refusal) {
	c := apiConversation(&s.real)
	access, refused := s.accessToken(c, r.Header)
	if refused != nil {
		return nil, refused
	}
	values := make(map[string]string)
	if refused := s.readHeader(c, r.Header, values); refused != nil {
		return nil, refused
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g, refused := s.holder(access, r.vars)
	if refused == nil && g.elsewhere(values) {
		refused = &refusal{problem: deadToken, why: "of another account"}
	}
	if refused != nil {
		return nil, refused
	}
	return plain{s}.successful(map[string]any{called: r.URL.Path, "account": g.uuid("account")}), nil
}

// accessToken returns the access token that a request carries as the API takes it.
func (s *site) accessToken(c *conversation, h http.Header) (token string, refused *refusal) {
	for name, template := range c.header {
		if !slices.Contains(namesIn(template), "access_token") {
			continue
		}
		sent := h.Values(name)
		if len(sent) == 0 {
			return "", &refusal{problem: missingToken}
		}
		captured, ok := capture(template, sent[0])
		if !ok || len(sent) > 1 {
			return "", &refusal{problem: missingToken, why: "not one " + name + " header as the API takes it"}
		}
		if kind, ok := captured["token_type"]; ok && kind != tokenType {
			return "", &refusal{problem: missingToken, why: "not the token_type that was issued"}
		}
		return captured["access_token"], nil
	}
	return "", &refusal{problem: missingToken}
}
