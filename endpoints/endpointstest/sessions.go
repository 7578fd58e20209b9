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
		s.route(s.apiURL(path), []string{http.MethodPost}, API, func(r *request) *answer {
			body, refused := s.createSession(r, begin)
			s.countAnswer(API, refused)
			if refused != nil {
				return s.dialect.refuse(API, refused)
			}
			return jsonAnswer(http.StatusCreated, body)
		})
	}
}

// createSession answers a request for a session.
func (s *site) createSession(r *request, begin func(*sessionRequest) (consent, *refusal)) (any, *refusal) {
	if refused := s.plainBasic(r); refused != nil {
		return nil, refused
	}
	for name, v := range s.real.Style.Header {
		if r.Header.Get(name) != v {
			return nil, malformedf("the header %s is missing, or not %s", name, v)
		}
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
		if c.redirectURI = *q.RedirectURI; !s.isRegistered(c.redirectURI) {
			return nil, malformedf("redirect_uri is not registered: Server.Config does that")
		}
	}
	id := newID()
	s.sessions[id] = session{c, s.server.now().Add(time.Duration(minutes) * time.Minute)}
	page := s.real.Endpoint.AuthURL
	if isLoopback(r.Host) {
		page = s.here(page)
	}
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
func (s *site) consentOf(r *request) (c consent, state string, refused *refusal) {
	q := r.URL.Query()
	for name := range q {
		if name != "session" && name != "state" || len(q[name]) != 1 || q.Get(name) == "" {
			return c, "", malformedf("unexpected parameter %s", printable(name))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	begun, ok := s.sessions[q.Get("session")]
	if !ok || !s.server.now().Before(begun.expires) {
		return c, "", malformedf("session is unknown or has expired")
	}
	return begun.consent, q.Get("state"), nil
}

// replace ends the grant that g takes the place of, if there is one. s.mu is held.
func (s *site) replace(g *grant) {
	for id, other := range s.grants {
		if other != g && g.account != "" && (id == g.account || other.account == g.account) {
			delete(s.grants, id)
		}
	}
}

// plainBasic checks that a request has the client's id and secret as HTTP Basic, as they
// are.
func (s *site) plainBasic(r *request) *refusal {
	if wrong := s.basic(r.Header, func(v string) (string, error) { return v, nil }); wrong != "" {
		return &refusal{problem: wrongClient, why: wrong}
	}
	return nil
}

// apiURL returns the URL of a path at the API, as in reality.
func (s *site) apiURL(path string) string {
	base, _ := splitOrigin(s.real.APIURLs[0])
	return base + path
}

// orNull returns a member that is null instead of empty.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
