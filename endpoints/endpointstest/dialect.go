package endpointstest

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// dialect is what a provider does in its own way.
type dialect interface {
	// provider is the provider as it is in reality.
	provider() endpoints.Provider
	policy() (Policy, lifetimes)
	scopes() []scope

	// query says which parameters the consent page takes, and consent what is
	// asked for, or else what is wrong with it.
	query() rule
	consent(q map[string]string) (c consent, wrong string)

	// message is what the page of an embedded flow tells the application's page.
	message(answer url.Values) any

	// grantType is the grant type that a token request has, and fields says which
	// fields it takes. headers checks what else it must have.
	grantType(fields map[string]string) string
	fields(grantType string) (rule, *refusal)
	headers(h http.Header) *refusal

	// refreshable reports whether there are refresh tokens.
	refreshable() bool

	// tokens is the body of a token response.
	tokens(g *grant, t issued) any

	// refuse is the response to a request that isn't granted.
	refuse(on Operation, r *refusal) *answer

	calls() []call
}

// scope is a permission that the consent page can ask for.
type scope struct{ name, meaning string }

// call is something that an API offers.
type call struct {
	method, path string
	scope        string                       // that the token must have
	answer       func(g *grant, s *site) any  // the body of the response
	check        func(body []byte) (w string) // what is wrong with the request's body, or ""
}

// rule says which names an object has: fields in a body or parameters in a URL.
type rule struct{ required, optional []string }

// broken returns what is wrong with the object's names, or "".
func (r rule) broken(kind string, object map[string]string) string {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		switch {
		case !slices.Contains(r.required, name) && !slices.Contains(r.optional, name):
			return fmt.Sprintf("unexpected %s %s", kind, printable(name))
		case object[name] == "":
			return fmt.Sprintf("%s %s is empty", kind, name)
		}
	}
	for _, name := range r.required {
		if _, ok := object[name]; !ok {
			return fmt.Sprintf("missing %s %s", kind, name)
		}
	}
	return ""
}

// printable is a name of the client's choice, fit for an error text. It is a name
// and not a value, but a client that errs may have put anything there.
func printable(name string) string {
	const most = 40
	if len(name) > most {
		name = name[:most] + "…"
	}
	return fmt.Sprintf("%q", name)
}

// problem is why a request is refused, whatever the provider calls it.
type problem int

const (
	malformed problem = iota
	wrongMethod
	wrongMediaType
	notFound
	wrongClient
	wrongGrantType
	wrongCode
	wrongRedirect
	wrongVerifier
	wrongRefreshToken
	wrongAudience
	unsupportedToken
	missingToken
	deadToken
	lostConnection
	missingScope
	tooManyRequests
	outOfOrder
	firewall
)

// problems are their names in Stats.
var problems = [...]string{
	malformed:         "malformed",
	wrongMethod:       "method not allowed",
	wrongMediaType:    "not JSON",
	notFound:          "no such path",
	wrongClient:       "wrong client",
	wrongGrantType:    "wrong grant type",
	wrongCode:         "wrong code",
	wrongRedirect:     "wrong redirect_uri",
	wrongVerifier:     "wrong code_verifier",
	wrongRefreshToken: "wrong refresh token",
	wrongAudience:     "wrong audience",
	unsupportedToken:  "not a refresh token",
	missingToken:      "missing access token",
	deadToken:         "dead access token",
	lostConnection:    "connection lost",
	missingScope:      "missing scope",
	tooManyRequests:   "too many requests",
	outOfOrder:        "out of order",
	firewall:          "firewall",
}

// refusal is a request that is not granted. Neither text holds a secret.
type refusal struct {
	problem problem
	detail  string // told to the client
	why     string // for Stats only: more than the provider would say
}

func (r *refusal) reason() string {
	s := problems[r.problem]
	if r.detail != "" {
		s += ": " + r.detail
	}
	if r.why != "" {
		s += ": " + r.why
	}
	return s
}

// because joins a provider's own text and the detail.
func (r *refusal) because(text string) string {
	if r.detail == "" {
		return text
	}
	return text + ": " + r.detail
}

func malformedf(format string, args ...any) *refusal {
	return &refusal{problem: malformed, detail: fmt.Sprintf(format, args...)}
}
