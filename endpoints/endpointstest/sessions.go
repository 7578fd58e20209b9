package endpointstest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// session is a Connect session of Finch, before its employer has answered.
type session struct {
	consent
	expires time.Time
}

// sessionRequest is the body of a request for one: of an employer who is new, or of one
// who has connected.
//
// https://developer.tryfinch.com/api-reference/connect/new-session
// https://developer.tryfinch.com/api-reference/connect/reauthenticate-session
type sessionRequest struct {
	CustomerID    string   `json:"customer_id"`
	CustomerName  string   `json:"customer_name"`
	CustomerEmail string   `json:"customer_email"`
	ConnectionID  string   `json:"connection_id"`
	Products      []string `json:"products"`
	Integration   struct {
		Provider   string `json:"provider"`
		AuthMethod string `json:"auth_method"`
	} `json:"integration"`
	Manual      bool    `json:"manual"`
	Sandbox     string  `json:"sandbox"`
	Minutes     *int64  `json:"minutes_to_expire"`
	RedirectURI *string `json:"redirect_uri"`
}

func (s *site) routeSessions() {
	for path, begin := range map[string]func(*sessionRequest) (consent, *refusal){
		"/connect/sessions":                s.newSession,
		"/connect/sessions/reauthenticate": s.reauthenticate,
	} {
		s.api.routes[path] = route{methods: []string{http.MethodPost}, on: API, answer: func(r *request) *answer {
			body, refused := s.createSession(r, begin)
			s.countAnswer(API, refused)
			if refused != nil {
				return s.dialect.refuse(API, refused)
			}
			return jsonAnswer(http.StatusCreated, body)
		}}
	}
}

// createSession answers a request for a session.
func (s *site) createSession(r *request, begin func(*sessionRequest) (consent, *refusal)) (any, *refusal) {
	if refused := s.basic(r.Request); refused != nil {
		return nil, refused
	}
	if refused := s.dialect.headers(r.Header); refused != nil {
		return nil, refused
	}
	var q sessionRequest
	dec := json.NewDecoder(bytes.NewReader(r.body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&q); err != nil || dec.More() {
		return nil, malformedf("the body is not that of a session")
	}
	minutes := int64(43_200)
	if q.Minutes != nil {
		minutes = *q.Minutes
	}
	if minutes < 1 || minutes > 129_600 {
		return nil, malformedf("minutes_to_expire must be from 1 to 129600")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, refused := begin(&q)
	if refused != nil {
		return nil, refused
	}
	if q.RedirectURI != nil {
		if c.redirectURI = *q.RedirectURI; !s.redirects[c.redirectURI] {
			return nil, malformedf("redirect_uri is not registered: Server.Config does that")
		}
	}
	id := newID()
	s.sessions[id] = session{c, s.server.now().Add(time.Duration(minutes) * time.Minute)}
	page := rebase(s.dialect.provider().Endpoint.AuthURL, s.login.url)
	return map[string]string{"session_id": id, "connect_url": page + "?" + url.Values{"session": {id}}.Encode()}, nil
}

// newSession is for an employer who is new. s.mu is held.
func (s *site) newSession(q *sessionRequest) (consent, *refusal) {
	c := consent{scopes: q.Products, source: "gusto", sourceType: "provider", customerID: q.CustomerID, customerName: q.CustomerName}
	switch {
	case q.CustomerID == "" || q.CustomerName == "" || len(q.Products) == 0:
		return c, malformedf("customer_id, customer_name and products are required")
	case q.ConnectionID != "":
		return c, malformedf("unexpected field connection_id")
	case q.Sandbox != "" && q.Sandbox != "finch" && q.Sandbox != "provider":
		return c, malformedf("sandbox must be finch or provider")
	case !slices.Contains([]string{"", "assisted", "credential", "oauth", "api_token"}, q.Integration.AuthMethod):
		return c, malformedf("auth_method is unknown")
	}
	if wrong := checkScopes(s.dialect, "products", q.Products); wrong != "" {
		return c, malformedf("%s", wrong)
	}
	if q.Sandbox == "finch" {
		c.sourceType = "finch"
	}
	if q.Integration.Provider != "" {
		c.source = q.Integration.Provider
	}
	return c, nil
}

// reauthenticate is for an employer who has connected, and whose connection may have been
// lost. s.mu is held.
func (s *site) reauthenticate(q *sessionRequest) (consent, *refusal) {
	if q.ConnectionID == "" || q.CustomerID != "" || q.CustomerName != "" || q.CustomerEmail != "" || q.Sandbox != "" {
		return consent{}, malformedf("connection_id is required, and the customer is known")
	}
	for _, g := range s.grants {
		if g.uuid("connection") != q.ConnectionID {
			continue
		}
		c := g.consent
		c.redirectURI = ""
		if c.account == "" {
			c.account = g.id
		}
		if len(q.Products) > 0 {
			c.scopes = q.Products
		}
		if wrong := checkScopes(s.dialect, "products", c.scopes); wrong != "" {
			return c, malformedf("%s", wrong)
		}
		return c, nil
	}
	return consent{}, &refusal{problem: notFound, why: "no such connection"}
}

// consentOf returns what a session asks for at the consent page.
func (s *site) consentOf(id string, q map[string]string) (c consent, wrong string) {
	if wrong := (rule{required: []string{"session"}, optional: []string{"state"}}).broken("parameter", q); wrong != "" {
		return c, wrong
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	begun, ok := s.sessions[id]
	if !ok || !s.server.now().Before(begun.expires) {
		return c, "session is unknown or has expired"
	}
	return begun.consent, ""
}

// replace ends the grant that g takes the place of, if there is one. s.mu is held.
func (s *site) replace(g *grant) {
	for id, other := range s.grants {
		if other != g && g.account != "" && (id == g.account || other.account == g.account) {
			delete(s.grants, id)
		}
	}
}

// basic checks that a request has the client's id and secret as HTTP Basic, as they are.
func (s *site) basic(r *http.Request) *refusal {
	id, secret, ok := r.BasicAuth()
	switch {
	case !ok:
		return &refusal{problem: wrongClient, why: "no HTTP Basic"}
	case id != s.clientID:
		return &refusal{problem: wrongClient, why: "client_id"}
	case secret != s.clientSecret:
		return &refusal{problem: wrongClient, why: "client_secret"}
	}
	return nil
}

// orNull returns a member that is null instead of empty.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
