package endpointstest

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"net/url"
	"time"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

//go:embed consent.html
var consentHTML string

var pages = template.Must(template.New("").Parse(consentHTML))

// consent is what the user is asked for.
type consent struct {
	redirectURI string // "": embedded flow
	challenge   string // of PKCE, or ""
	scopes      []string
	source      string // the provider behind the provider, such as gusto
	sourceType  string

	// Of a session of Finch.
	customerID, customerName string
	account                  string // that is connected already: the id of its first grant
}

// authorization is a consent that was given, under a code.
type authorization struct {
	consent
	issued time.Time
}

// consentPage answers the authorization request, and the form on its page.
func (s *site) consentPage(r *request) *answer {
	q, wrong := singleValues(r.URL.RawQuery)
	var c consent
	if wrong == "" {
		c, wrong = s.readConsent(q)
	}
	if wrong != "" {
		return s.refuse(consentPage, malformedf("%s", wrong))
	}
	if r.Method == http.MethodGet {
		return page(http.StatusOK, "consent", s.consentData(c))
	}
	form, wrong := singleValues(string(r.body))
	reply := url.Values{}
	switch {
	case wrong == "" && form["decision"] == "approve":
		reply.Set("code", s.approve(c))
	case wrong == "" && form["decision"] == "deny":
		s.deny()
		reply.Set("error", "access_denied")
		reply.Set("error_description", "The user said no")
	default:
		return s.refuse(consentPage, malformedf("decision must be approve or deny"))
	}
	if q["state"] != "" {
		reply.Set("state", q["state"])
	}
	if c.redirectURI == "" {
		return page(http.StatusOK, "embedded", embeddedData{
			Provider: s.dialect.provider(), Reply: reply, Message: s.dialect.message(reply),
		})
	}
	callback, err := url.Parse(c.redirectURI)
	if err != nil {
		panic("endpointstest: " + err.Error()) // Config parsed it
	}
	if callback.RawQuery != "" {
		callback.RawQuery += "&"
	}
	callback.RawQuery += reply.Encode()
	a := page(http.StatusSeeOther, "", nil)
	a.header.Set("Location", callback.String())
	return a
}

// singleValues parses a query in which no name comes twice.
func singleValues(query string) (values map[string]string, wrong string) {
	parsed, err := url.ParseQuery(query)
	if err != nil {
		return nil, "the query string can't be parsed"
	}
	values = make(map[string]string, len(parsed))
	for name, v := range parsed {
		if len(v) > 1 {
			return nil, "repeated parameter " + printable(name)
		}
		values[name] = v[0]
	}
	return values, ""
}

// readConsent checks an authorization request.
func (s *site) readConsent(q map[string]string) (c consent, wrong string) {
	if id := q["session"]; id != "" {
		return s.consentOf(id, q)
	}
	if wrong := s.dialect.query().broken("parameter", q); wrong != "" {
		return c, wrong
	}
	if q["client_id"] != s.clientID {
		return c, "client_id is unknown"
	}
	c, wrong = s.dialect.consent(q)
	if wrong != "" {
		return c, wrong
	}
	c.redirectURI = q["redirect_uri"]
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.redirectURI != "" && !s.redirects[c.redirectURI] {
		return c, "redirect_uri is not registered: Server.Config does that"
	}
	return c, ""
}

// approve makes a code for what the user approved.
func (s *site) approve(c consent) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.server.now()
	if len(s.codes) >= s.pruneAt {
		for code, a := range s.codes {
			if over(a.issued, 2*s.lifetimes.code, now) {
				delete(s.codes, code)
			}
		}
		s.pruneAt = 2*len(s.codes) + 1000
	}
	code := newID()
	s.codes[code] = authorization{consent: c, issued: now}
	s.stats.Approved++
	return code
}

func (s *site) deny() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Denied++
}

// consentData and embeddedData are what the pages show.
type consentData struct {
	Provider     endpoints.Provider
	ClientID     string
	RedirectHost string // "": embedded flow
	Scopes       []scopeData
}

type scopeData struct{ Name, Meaning string }

type embeddedData struct {
	Provider endpoints.Provider
	Reply    url.Values
	Message  any
}

func (s *site) consentData(c consent) consentData {
	d := consentData{Provider: s.dialect.provider(), ClientID: s.clientID, RedirectHost: host(c.redirectURI)}
	for _, known := range s.dialect.scopes() {
		for _, name := range c.scopes {
			if name == known.name {
				d.Scopes = append(d.Scopes, scopeData{known.name, known.meaning})
			}
		}
	}
	return d
}

// errorPage tells the user, or rather the developer, what is wrong with a request.
func errorPage(provider string, r *refusal) *answer {
	status, problem := http.StatusBadRequest, r.detail
	if r.problem == wrongMethod {
		status, problem = http.StatusMethodNotAllowed, problems[r.problem]
	}
	return page(status, "error", map[string]string{"Provider": provider, "Problem": problem})
}

func page(status int, name string, data any) *answer {
	var b bytes.Buffer
	if name != "" {
		if err := pages.ExecuteTemplate(&b, name, data); err != nil {
			panic("endpointstest: " + err.Error())
		}
	}
	return &answer{status: status, body: b.Bytes(), header: http.Header{
		"Content-Type":    {"text/html; charset=utf-8"},
		"Cache-Control":   {"no-store"},
		"Referrer-Policy": {"no-referrer"},
	}}
}
