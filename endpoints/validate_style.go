package endpoints

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

func (p *Provider) checkStyles() (m mistakes) {
	for _, c := range p.styles() {
		if *c.url == "" && c.url != &p.Endpoint.TokenURL {
			if !isZero(*c.style) {
				m.add(wrong(c.field, "has no effect without %sURL", c.field))
			}
			continue
		}
		m.add(p.checkStyle(c)...)
		m.add(p.checkParams(c.field+".Params", c.style.Params, c)...)
		m.add(p.checkHeader(c)...)
	}
	return m
}

func (p *Provider) checkStyle(c described) (m mistakes) {
	s, merged := c.style, p.Style.merge(*c.style)
	m.add(
		checkWord(c.field+".Method", s.Method, "POST", "GET", "DELETE"),
		checkWord(c.field+".Body", s.Body, FormBody, JSONBody, QueryBody),
		checkWord(c.field+".Auth", s.Auth,
			ClientSecretPost, ClientSecretBasic, ClientSecretBasicRaw, PrivateKeyJWT, ClientSecretJWT, PublicClient, AccessTokenAuth),
	)
	switch {
	case merged.Method == "GET" && merged.Body != QueryBody && (s.Method != "" || s.Body != ""):
		m.add(wrong(c.field+".Body", "contradicts Method: a GET has no body"))
	case s.Auth == AccessTokenAuth && c.field != "Revoke" && c.field != "Introspect":
		m.add(wrong(c.field+".Auth", "can't be AccessTokenAuth: there is no access token yet, or it has expired"))
	case s.Auth == AccessTokenAuth && s.Body != "" && len(s.Params) == 0:
		m.add(wrong(c.field+".Body", "has no effect: AccessTokenAuth sends no parameters but those of Params"))
	}
	if s.Audience != "" && !p.makesAssertion(c) {
		m.add(wrong(c.field+".Audience", "has no effect: the client makes no assertion"))
	}
	return m
}

// checkWord reports a word that is neither empty nor one of those that are known.
func checkWord[T ~string](field string, word T, known ...T) error {
	if word == "" || slices.Contains(known, word) {
		return nil
	}
	names := make([]string, len(known))
	for i, k := range known {
		names[i] = string(k)
	}
	return wrong(field, "is unknown: %q is none of %s", word, strings.Join(names, ", "))
}

// makesAssertion reports whether a request of the style, or of one that is made of it,
// has an assertion.
func (p *Provider) makesAssertion(c described) bool {
	if c.field != "Style" {
		return p.Style.merge(*c.style).Auth.makesAssertion()
	}
	return slices.ContainsFunc(p.styles(), func(c described) bool {
		return *c.url != "" && p.Style.merge(*c.style).Auth.makesAssertion()
	})
}

// checkParams checks the parameters of one request, also of the consent page.
func (p *Provider) checkParams(field string, params Params, c described) (m mistakes) {
	for _, name := range slices.Sorted(maps.Keys(params)) {
		field := item(field, name)
		_, inStyle := p.Style.Params[name]
		switch values := params[name]; {
		case name == "":
			m.add(wrong(field, "has no name"))
		case len(values) == 0 && !slices.Contains(c.sent, name) && (!inStyle || c.field == "Style"):
			m.add(wrong(field, "removes what is never sent"))
		case len(values) > 0 && c.field == "Style" && name == "grant_type" && !strings.Contains(values[0], "{"):
			m.add(wrong(field, "would give all requests the same grant type"))
		default:
			for i, v := range values {
				m.add(p.checkValue(item(field, i), name, v, c))
			}
		}
	}
	return m
}

// checkValue checks one value of a parameter or header.
func (p *Provider) checkValue(field, name, v string, c described) error {
	if v == "" {
		return wrong(field, "is empty, and what is empty is never sent: remove the parameter with nil")
	}
	known := slices.Compact(slices.Sorted(slices.Values(slices.Concat(c.sent, c.known))))
	for _, used := range namesIn(v) {
		_, variable := p.Vars[used]
		if used == "random" && c.field != "" {
			continue
		}
		if !variable && !slices.Contains(p.Callback.Keep, used) && !slices.Contains(known, used) {
			return wrong(field, "has {%s}, which is neither in Vars nor in Callback.Keep nor one of %s", used, strings.Join(known, ", "))
		}
	}
	if p.Consent.PKCE == NoPKCE && slices.ContainsFunc(namesIn(v), isPKCE) {
		return wrong(field, "has what Consent.PKCE leaves out")
	}
	if strings.ContainsFunc(v, isControl) {
		return wrong(field, "has a control character in it")
	}
	downscoped := name == "scope" && (c.field == "Exchange" || c.field == "Refresh") // RFC 6749, section 6
	if len(namesIn(v)) == 0 && slices.Contains(ownNames, name) && !downscoped {
		return wrong(field, "gives a fixed value to what is different in each request, or has a field of its own")
	}
	return nil
}

// isPKCE reports whether a parameter is one of RFC 7636.
func isPKCE(name string) bool {
	return name == "code_verifier" || name == "code_challenge" || name == "code_challenge_method"
}

func (p *Provider) checkHeader(c described) (m mistakes) {
	auth := cmp.Or(p.Style.merge(*c.style).Auth, authOf(p.Endpoint.AuthStyle))
	inHeader := auth == ClientSecretBasic || auth == ClientSecretBasicRaw || auth == AccessTokenAuth
	others := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(c.style.Header)) {
		field := item(c.field+".Header", name)
		m.add(cmp.Or(checkField(field, name, others), p.checkValue(field, name, c.style.Header[name], c)))
		if inHeader && strings.EqualFold(name, "Authorization") {
			m.add(wrong(field, "contradicts how the client authenticates: %s has that field", auth))
		}
	}
	return m
}

// checkField checks the name of a header field, and adds it to others, which are those that
// were found to be names, by what they are in small letters.
func checkField(field, name string, others map[string]string) error {
	lower := strings.ToLower(name)
	switch lower {
	case "":
		return wrong(field, "has no name")
	case "content-type", "content-length", "host", "cookie":
		return wrong(field, "has no effect: the request has its own")
	case "accept-encoding":
		return wrong(field, "would leave the answer compressed: net/http has its own")
	case "connection", "transfer-encoding", "trailer", "te", "upgrade", "proxy-authorization":
		return wrong(field, "is about the connection, and not about the request")
	}
	if isIdempotencyKey(name) {
		return wrong(field, wouldRepeat)
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("(),/:;<=>?@[]{}\\\"", r) }) {
		return wrong(field, "is no name of a header field")
	}
	if other, twice := others[lower]; twice {
		return wrong(field, "is there twice: as %q, too", other)
	}
	others[lower] = name
	return nil
}

// isIdempotencyKey reports whether net/http takes a request with a header of that name
// for one that does no harm if it is sent twice.
func isIdempotencyKey(name string) bool {
	return strings.EqualFold(name, "Idempotency-Key") || strings.EqualFold(name, "X-Idempotency-Key")
}

const wouldRepeat = "would have net/http send the request again after a lost answer, when what is in it may be spent"
