package endpointstest

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// read compares a request's parameters and headers with what the definition says, and
// returns what they have for the names in braces.
func (s *site) read(c *conversation, r *request) (map[string]string, *refusal) {
	values := make(map[string]string)
	if refused := s.readHeader(c, r.Header, values); refused != nil {
		return nil, refused
	}
	if refused := s.readParams(c, r.params, values); refused != nil {
		return nil, refused
	}
	for name, v := range r.vars {
		if old, ok := values[name]; ok && old != v {
			return nil, malformedf("%s isn't the one of the URL", name)
		}
		values[name] = v
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if _, declared := s.real.Vars[name]; declared && !accepts(&s.real, name, values[name]) {
			return nil, malformedf("%s has a value that isn't accepted", name)
		}
	}
	return values, nil
}

// unexpectedAuthorization reports whether a request has an Authorization that it mustn't have.
func (s *site) unexpectedAuthorization(c *conversation, h http.Header) bool {
	if _, own := c.header["Authorization"]; own || len(h.Values("Authorization")) == 0 {
		return false
	}
	asIs := func(v string) (string, error) { return v, nil }
	return !s.dialect.credentialsTwice() || s.basic(h, asIs) != ""
}

// readHeader checks the headers that the definition names, and that of the client.
func (s *site) readHeader(c *conversation, h http.Header, values map[string]string) *refusal {
	basic := c.auth == endpoints.ClientSecretBasic || c.auth == endpoints.ClientSecretBasicRaw
	if !basic && s.unexpectedAuthorization(c, h) {
		return malformedf("unexpected header Authorization: the client's id and secret go into the body")
	}
	for _, name := range slices.Sorted(maps.Keys(c.header)) {
		template, sent := c.header[name], h.Values(name)
		if slices.Contains(namesIn(template), "access_token") {
			continue // bearer looks at it
		}
		captured, ok := map[string]string(nil), false
		if len(sent) == 1 {
			captured, ok = capture(template, sent[0])
		}
		if len(sent) == 0 && c.mayBeAbsent(template) {
			continue
		}
		for of, v := range captured {
			ok = ok && (s.real.Vars[of] == nil || accepts(&s.real, of, v))
		}
		if !ok {
			return malformedf("header %s must be %s", s.spelled(name), s.expected(template))
		}
		maps.Copy(values, captured)
	}
	return nil
}

// spelled returns a header's name as the definition writes it.
func (s *site) spelled(canonical string) string {
	p := s.real
	for _, header := range []map[string]string{p.Style.Header, p.Exchange.Header, p.Refresh.Header, p.Revoke.Header, p.Introspect.Header, p.API.Header} {
		for name := range header {
			if http.CanonicalHeaderKey(name) == canonical {
				return name
			}
		}
	}
	return canonical
}

// expected tells a client what a header's value has to be.
func (s *site) expected(template string) string {
	names := namesIn(template)
	if len(names) != 1 || template != "{"+names[0]+"}" || len(s.real.Vars[names[0]]) == 0 {
		return template
	}
	var allowed []string
	for _, entry := range s.real.Vars[names[0]] {
		if entry != "" {
			allowed = append(allowed, entry)
		}
	}
	return strings.Join(append(allowed, "absent"), " or ")
}

// mayBeAbsent reports whether a client may have no value for a template.
func (c *conversation) mayBeAbsent(template string) bool {
	return slices.ContainsFunc(namesIn(template), func(name string) bool { return c.optional[name] })
}

// readParams checks the parameters against the definition's: none is missing, unknown,
// repeated or empty, and those that are always the same are that.
func (s *site) readParams(c *conversation, sent url.Values, values map[string]string) *refusal {
	kind := "field"
	if c.grant == atConsent || c.body == endpoints.QueryBody {
		kind = "parameter"
	}
	for _, name := range slices.Sorted(maps.Keys(sent)) {
		templates, known := c.params[name]
		switch {
		case !known:
			return malformedf("unexpected %s %s", kind, printable(name))
		case slices.Contains(sent[name], ""):
			return malformedf("%s %s is empty", kind, name)
		case len(sent[name]) > len(templates):
			return malformedf("repeated %s %s", kind, printable(name))
		}
	}
	names := slices.Sorted(maps.Keys(c.params))
	for _, name := range names {
		required := 0
		for _, template := range c.params[name] {
			if !c.mayBeAbsent(template) {
				required++
			}
		}
		if len(sent[name]) < required {
			return malformedf("missing %s %s", kind, name)
		}
	}
	for _, name := range names {
		if refused := s.readValues(c, name, sent[name], values); refused != nil {
			return refused
		}
	}
	return nil
}

// readValues compares the values of one parameter with the definition's, which come in
// its order.
func (s *site) readValues(c *conversation, name string, sent []string, values map[string]string) *refusal {
	templates := slices.Clone(c.params[name])
	if len(sent) < len(templates) {
		templates = slices.DeleteFunc(templates, c.mayBeAbsent)
		if len(sent) > len(templates) {
			templates = c.params[name][:len(sent)]
		}
	}
	for i, v := range sent {
		captured, ok := capture(templates[i], v)
		switch fixed := len(namesIn(templates[i])) == 0; {
		case !ok && fixed && (name == "audience" || name == "resource") && c.grant != atConsent:
			return &refusal{problem: wrongAudience, detail: name}
		case !ok && fixed && name == "grant_type":
			return &refusal{problem: wrongGrantType, detail: printable(v)}
		case !ok:
			return malformedf("%s must be %s", name, templates[i])
		}
		for of, v := range captured {
			if old, twice := values[of]; twice && old != v {
				return malformedf("%s has two values of %s", name, of)
			}
			values[of] = v
			if refused := c.checkFixed(name, of, v); refused != nil {
				return refused
			}
		}
	}
	return nil
}

// checkFixed checks the values that the RFC gives to a parameter.
func (c *conversation) checkFixed(param, name, v string) *refusal {
	switch {
	case name == "grant_type" && v != c.grant:
		return &refusal{problem: wrongGrantType, detail: printable(v)}
	case name == "response_type" && v != "code":
		return malformedf("%s must be code", param)
	}
	return nil
}

// parse reads the parameters of a request from where the definition has them.
func (c *conversation) parse(r *request, at place) *refusal {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return malformedf("the query string can't be parsed")
	}
	for name := range at.query {
		query.Del(name)
	}
	if c.body == endpoints.QueryBody {
		r.params = query
		if len(r.body) > 0 {
			return malformedf("the body must be empty")
		}
		return nil
	}
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	want := map[endpoints.BodyFormat]string{
		endpoints.FormBody: "application/x-www-form-urlencoded", endpoints.JSONBody: "application/json",
	}[c.body]
	switch {
	case len(query) > 0:
		return malformedf("unexpected query string")
	case len(c.params) == 0 && len(r.body) > 0:
		return malformedf("the body must be empty")
	case len(c.params) == 0:
		return nil
	case media != want:
		return &refusal{problem: wrongMediaType, detail: "it is " + printable(media), why: "not " + want}
	case c.body == endpoints.JSONBody:
		params, refused := parseMembers(r.body, func(name string) bool { return len(c.params[name]) > 1 })
		r.params = params
		return refused
	}
	if r.params, err = url.ParseQuery(string(r.body)); err != nil {
		return malformedf("the body is not a form")
	}
	return nil
}

// parseMembers reads a JSON object whose members are strings and have names of their
// own; those that may be lists are, if they have more than one value. What it has read
// before it met an error comes with that.
func parseMembers(body []byte, list func(name string) bool) (url.Values, *refusal) {
	members := make(url.Values)
	notJSON := malformedf("the body is not a JSON object")
	dec := json.NewDecoder(bytes.NewReader(body))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return members, notJSON
	}
	var refused *refusal
	for dec.More() {
		t, err := dec.Token()
		name, _ := t.(string)
		var v any
		if err != nil || dec.Decode(&v) != nil {
			return members, notJSON
		}
		values, ok := stringsOf(v)
		switch _, repeated := members[name]; {
		case refused != nil:
		case repeated:
			refused = malformedf("repeated field %s", printable(name))
		case !ok || len(values) > 1 && !list(name):
			refused = malformedf("field %s is not a string", printable(name))
		}
		members[name] = values
	}
	if _, err := dec.Token(); err != nil {
		return members, notJSON
	}
	if _, err := dec.Token(); err != io.EOF {
		return members, notJSON
	}
	return members, refused
}

// stringsOf returns the values of a member: a string is one, a list of them is more.
func stringsOf(v any) (values []string, ok bool) {
	switch v := v.(type) {
	case string:
		return []string{v}, true
	case []any:
		for _, element := range v {
			s, isString := element.(string)
			if !isString {
				return []string{""}, false
			}
			values = append(values, s)
		}
		return values, len(values) > 1
	}
	return []string{""}, false
}
