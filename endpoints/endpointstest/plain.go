package endpointstest

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// plain is the dialect of a provider of which nothing is known but its definition.
type plain struct{ *site }

// tokenType is that of all tokens that a definition alone describes.
const tokenType = "Bearer"

func (d plain) policy() (Policy, lifetimes) {
	p := Policy{AccessLifetime: cmp.Or(d.real.Answer.DefaultLifetime, time.Hour)}
	return p, lifetimes{code: 10 * time.Minute} // RFC 6749, section 4.1.2
}

func (plain) scopes() []scope { return nil }

func (plain) extra() []string { return nil }

func (plain) consent(values map[string]string) (consent, string) {
	return consent{scopes: strings.Fields(values["scope"])}, ""
}

func (plain) embedded() bool { return false }

func (plain) message(url.Values) any { return nil }

func (plain) refreshable() bool { return true }

func (plain) credentialsTwice() bool { return false }

func (plain) clientCredentials() endpoints.Params { return nil }

func (plain) calls() []call { return nil }

// refreshesByAccess reports whether the access token is what a refresh takes.
func (d plain) refreshesByAccess() bool {
	names := d.real.Answer.Names
	return names["refresh_token"] != "" && names["refresh_token"] == d.named("access_token")
}

// named returns the provider's name for a member of an answer.
func (d plain) named(member string) string { return cmp.Or(d.real.Answer.Names[member], member) }

// tokens says in the definition's words what was issued.
func (d plain) tokens(g *grant, t issued) any {
	p := &d.real
	token, body := make(map[string]any), make(map[string]any)
	put(token, d.named("access_token"), t.access)
	put(token, d.named("token_type"), tokenType)
	if t.refresh != "" {
		put(token, d.named("refresh_token"), t.refresh)
	}
	if len(g.scopes) > 0 {
		put(token, d.named("scope"), strings.Join(g.scopes, " "))
	}
	if t.lifetime > 0 {
		d.putLifetime(token, t)
	}
	if p.Answer.TokenIn == "" {
		body = token
	} else {
		put(body, p.Answer.TokenIn, token)
	}
	for _, name := range slices.Sorted(maps.Keys(g.told)) {
		put(body, name, g.told[name])
	}
	put(body, "account.id", g.uuid("account"))
	return d.successful(body)
}

// putLifetime says when a token expires, unless the provider leaves that to its
// documentation.
func (d plain) putLifetime(token map[string]any, t issued) {
	a := &d.real.Answer
	if name := a.Names["expires_at"]; name != "" {
		var at any = t.expires.Unix()
		if a.TimeLayout != "" {
			at = t.expires.UTC().Format(a.TimeLayout)
		}
		put(token, name, at)
		if a.Names["expires_in"] == "" {
			return
		}
	}
	if a.DefaultLifetime == 0 || a.Names["expires_in"] != "" {
		unit := cmp.Or(a.LifetimeUnit, time.Second)
		put(token, d.named("expires_in"), max(int64(t.lifetime/unit), 1))
	}
}

// successful adds the member that tells success from error.
func (d plain) successful(body map[string]any) any {
	for path, v := range d.real.Answer.Success {
		put(body, path, literal(v))
	}
	return body
}

// literal is text as a JSON value: a number or a boolean where it can be one.
func literal(text string) any {
	if n, err := strconv.ParseInt(text, 10, 32); err == nil && strconv.FormatInt(n, 10) == text {
		return n
	}
	if b, err := strconv.ParseBool(text); err == nil && len(text) > 1 {
		return b
	}
	return text
}

// put sets the member at a path with dots. It does nothing if there is something else
// on the way.
func put(m map[string]any, path string, v any) {
	head, rest, nested := strings.Cut(path, ".")
	if !nested {
		if _, taken := m[head]; !taken {
			m[head] = v
		}
		return
	}
	if m[head] == nil {
		m[head] = make(map[string]any)
	}
	if inner, ok := m[head].(map[string]any); ok {
		put(inner, rest, v)
	}
}

// callback is what the consent page sends back with the user.
func (d plain) callback(c consent, state, code string) url.Values {
	cb := &d.real.Callback
	named := func(name string) string { return cmp.Or(cb.Names[name], name) }
	reply := make(url.Values)
	if code != "" {
		reply.Set(named("code"), code)
		for _, name := range cb.Keep {
			reply.Set(name, c.vars[name])
		}
	} else {
		d.denial(reply, named)
	}
	if state != "" {
		reply.Set(named("state"), state)
	}
	if cb.Iss {
		reply.Set(named("iss"), c.issuer)
	}
	return reply
}

// denial says that the user said no.
func (d plain) denial(reply url.Values, named func(string) string) {
	for _, rule := range d.real.Callback.Errors {
		if rule.Kind != endpoints.KindDenied {
			continue
		}
		if rule.In != "" || rule.Code != "" {
			name := cmp.Or(rule.In, named("error"))
			reply.Set(name, exampleOf(rule.Code))
		}
		return
	}
	reply.Set(named("error"), "access_denied")
	reply.Set(named("error_description"), "The user said no")
}

// Of RFC 7636, sections 4.1 and 4.2: the verifier, and its SHA-256 hash in base64url.
var (
	verifier  = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`)
	challenge = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
	hexHash   = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// pkceMethods are, for each way of a definition, what is sent as the method, what a
// challenge looks like and what that is called.
var pkceMethods = map[string]struct {
	sent  string
	shape *regexp.Regexp
	words string
}{
	endpoints.S256:      {"S256", challenge, "a SHA-256 hash in base64url"},
	endpoints.S256Hex:   {"S256", hexHash, "a SHA-256 hash in hexadecimal"},
	endpoints.PlainPKCE: {"plain", verifier, "a verifier"},
}

// checkChallenge returns what is wrong with the PKCE of an authorization request.
func (d plain) checkChallenge(c *conversation, values map[string]string) string {
	way := pkceMethods[cmp.Or(d.real.Consent.PKCE, endpoints.S256)]
	if m, sent := values["code_challenge_method"]; sent && m != way.sent {
		return "code_challenge_method must be " + way.sent
	}
	if c.sends("code_challenge") && !way.shape.MatchString(values["code_challenge"]) {
		return "code_challenge must be " + way.words
	}
	return ""
}

// because joins texts that say what is wrong.
func because(texts ...string) string {
	return strings.Join(slices.DeleteFunc(texts, func(s string) bool { return s == "" }), ": ")
}

// refuse says in the definition's words why a request isn't granted.
func (d plain) refuse(on Operation, r *refusal) *answer {
	e := rfcErrors[r.problem]
	description := because(e.text, r.detail)
	if on == API {
		if a := d.byRule(d.real.API.Errors, e.apiKinds, description, e.status); a != nil {
			return a
		}
	} else if a := d.byRule(d.real.Answer.Errors, e.kinds, description, e.status); a != nil {
		return a
	}
	code := e.code
	if on != API && r.problem == missingScope {
		code = "invalid_scope"
	}
	body := map[string]any{}
	put(body, d.named("error"), code)
	put(body, d.named("error_description"), description)
	a := jsonAnswer(e.status, d.failed(body))
	if on == API && e.status == http.StatusUnauthorized {
		a.header.Set("WWW-Authenticate", bearerChallenge(r.problem, code))
	}
	return a
}

// bearerChallenge is what RFC 6750, section 3, has for a request without a good token.
func bearerChallenge(p problem, code string) string {
	if p == missingToken {
		return tokenType
	}
	return tokenType + ` error="` + code + `"`
}
