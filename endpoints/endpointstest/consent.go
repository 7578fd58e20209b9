package endpointstest

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// consent is what the user is asked for.
type consent struct {
	redirectURI string // "": embedded flow
	challenge   string // of PKCE, or ""
	scopes      []string
	source      string            // the provider behind the provider, such as gusto
	sourceType  string            //
	vars        map[string]string // variables of the account, and what the callback has beside the code
	issuer      string            // as the client knows it

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
	if _, fragment, _ := strings.Cut(s.real.Endpoint.AuthURL, "#"); strings.Contains(fragment, "?") && r.URL.RawQuery == "" {
		return rendered(http.StatusOK, "") // the parameters are in the fragment: Approve reads them
	}
	c, state, refused := s.readConsent(r)
	if refused != nil {
		return s.refuse(consentPage, refused)
	}
	if r.Method == http.MethodGet {
		return s.askingPage(c)
	}
	form, wrong := singleValues(string(r.body))
	var code string
	switch {
	case wrong == "" && form["decision"] == "approve":
		code = s.approve(c)
	case wrong == "" && form["decision"] == "deny":
		s.deny()
	default:
		return s.refuse(consentPage, malformedf("decision must be approve or deny"))
	}
	reply := plain{s}.callback(c, state, code)
	if c.redirectURI == "" {
		return s.embeddedPage(reply)
	}
	callback, err := url.Parse(c.redirectURI)
	if err != nil {
		panic("endpointstest: " + err.Error()) // Config parsed it
	}
	if callback.RawQuery != "" {
		callback.RawQuery += "&"
	}
	callback.RawQuery += reply.Encode()
	a := rendered(http.StatusSeeOther, "")
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
func (s *site) readConsent(r *request) (c consent, state string, refused *refusal) {
	if _, ok := s.dialect.(finch); ok && r.URL.Query().Has("session") {
		return s.consentOf(r)
	}
	said := s.consentConversation()
	page := *r
	page.body = nil // of the page's form
	if refused := said.parse(&page, r.at); refused != nil {
		return c, "", refused
	}
	if wrong := s.splitScopes(said, page.params, r.URL.RawQuery); wrong != "" {
		return c, "", malformedf("%s", wrong)
	}
	values, refused := s.read(said, &page)
	if refused != nil {
		return c, "", refused
	}
	wrong := ""
	if id, sent := values["client_id"]; sent && id != s.clientID {
		wrong = "client_id is unknown"
	} else if wrong = (plain{s}).checkChallenge(said, values); wrong == "" {
		c, wrong = s.dialect.consent(values)
	}
	if wrong != "" {
		return c, "", malformedf("%s", wrong)
	}
	c.challenge, c.issuer = values["code_challenge"], s.issuer(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	c.vars = s.account(values)
	c.redirectURI = values["redirect_uri"]
	if !said.sends("redirect_uri") {
		c.redirectURI = s.redirect
	}
	if c.redirectURI != "" && !s.isRegistered(c.redirectURI) {
		return c, "", malformedf("redirect_uri is not registered: Server.Config does that")
	}
	return c, values["state"], nil
}

// consentConversation is the definition's, with what the dialect has beside it.
func (s *site) consentConversation() *conversation {
	c := consentConversation(&s.real)
	for _, name := range s.dialect.extra() {
		c.params[name] = []string{"{" + name + "}"}
		c.optional[name] = true
	}
	c.optional["redirect_uri"] = s.dialect.embedded()
	c.optional["scope"] = len(s.dialect.scopes()) == 0
	return c
}

// account returns the values of the variables that an account has which is connected
// with those that the consent page was asked with. s.mu is held.
func (s *site) account(asked map[string]string) map[string]string {
	vars, account := make(map[string]string), accountSuffix()
	seen := namesIn(s.real.Endpoint.AuthURL)
	for _, templates := range s.real.Consent.Params {
		seen = append(seen, namesIn(templates...)...)
	}
	for name := range s.real.Vars {
		if v := asked[name]; v != "" && slices.Contains(seen, name) {
			vars[name] = v
		}
	}
	for _, name := range s.real.Callback.Keep {
		if vars[name] == "" {
			vars[name] = s.valueOf(name, account)
		}
	}
	return vars
}

// valueOf returns the value that the server gives to a name. s.mu is held.
func (s *site) valueOf(name, account string) string {
	return cmp.Or(s.vars[name], sample(&s.real, name, account))
}

// accountSuffix is what tells the values of two accounts apart.
func accountSuffix() string { return "-" + newID()[:8] }

// issuer returns the issuer's identifier as a client knows it that sent r.
func (s *site) issuer(r *request) string {
	if here := s.here(s.real.Issuer); s.real.Issuer != "" && host(here) == r.Host {
		return here
	}
	if isLoopback(r.Host) && s.real.Issuer != "" {
		return s.here(s.real.Issuer)
	}
	return s.real.Issuer
}

// splitScopes puts a space between two scopes, where the definition has something
// else, and returns what is wrong with them.
func (s *site) splitScopes(c *conversation, params url.Values, query string) string {
	separator := cmp.Or(s.real.Consent.ScopeSeparator, "+")
	for name, templates := range c.params {
		if !slices.Contains(namesIn(templates...), "scope") {
			continue
		}
		for raw := range strings.SplitSeq(query, "&") {
			sent, raw, _ := strings.Cut(raw, "=")
			if sent, err := url.QueryUnescape(sent); err != nil || sent != name {
				continue
			}
			for _, other := range []string{"+", "%20", ","} {
				if other != separator && strings.Contains(raw, other) {
					return name + " has " + other + " where only " + separator + " may be between two scopes"
				}
			}
			scopes, err := url.QueryUnescape(strings.ReplaceAll(raw, separator, "+"))
			if err != nil {
				return name + " can't be parsed"
			}
			if params[name] = []string{scopes}; separator != "+" && strings.Contains(scopes, ",") {
				return name + " has a comma in a scope"
			}
		}
	}
	return ""
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
