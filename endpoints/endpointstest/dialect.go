package endpointstest

import (
	"fmt"
	"net/url"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// dialect is what a provider does in its own way, beyond what its definition says.
// [plain] has nothing beyond it.
type dialect interface {
	policy() (Policy, lifetimes)

	// scopes are those that can be asked for. None: any.
	scopes() []scope

	// extra are parameters that the consent page takes, beside the definition's, and
	// consent what is asked for, or else what is wrong with it.
	extra() []string
	consent(values map[string]string) (c consent, wrong string)

	// embedded reports whether there is a flow without a redirect, and message is
	// what its page tells the application's page.
	embedded() bool
	message(answer url.Values) any

	// refreshable reports whether there are refresh tokens.
	refreshable() bool

	// credentialsTwice reports whether the client's id and secret may be in the
	// Authorization as well, beside those in the body.
	credentialsTwice() bool

	// clientCredentials are the parameters of such a grant that are not the RFC's.
	clientCredentials() endpoints.Params

	// tokens is the body of a token response.
	tokens(g *grant, t issued) any

	// refuse is the response to a request that isn't granted.
	refuse(on Operation, r *refusal) *answer

	// calls are what its API offers. None: everything.
	calls() []call
}

// dialectOf returns the dialect of s. Three providers have one of their own.
func dialectOf(s *site) dialect {
	d := plain{s}
	switch s.real.Endpoint.AuthURL {
	case endpoints.Finch.Endpoint.AuthURL:
		return finch{d}
	case endpoints.Chart.Endpoint.AuthURL:
		return chart{d}
	case endpoints.TaxRock.Endpoint.AuthURL, endpoints.TaxRockSandbox.Endpoint.AuthURL:
		return taxRock{d}
	}
	return d
}

// scope is a permission that the consent page can ask for.
type scope struct{ name, meaning string }

// call is something that an API offers.
type call struct {
	on           Operation
	method, path string
	scope        string                       // that the token must have
	answer       func(g *grant, s *site) any  // the body of the response
	check        func(body []byte) (w string) // what is wrong with the request's body, or ""
	ends         bool                         // it ends the connection
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
	devicePending
	deviceTooFast
	deviceDenied
	deviceExpired
	wrongAudience
	unsupportedToken
	missingToken
	deadToken
	revokedToken
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
	wrongMediaType:    "wrong content type",
	notFound:          "no such path",
	wrongClient:       "wrong client",
	wrongGrantType:    "wrong grant type",
	wrongCode:         "wrong code",
	wrongRedirect:     "wrong redirect_uri",
	wrongVerifier:     "wrong code_verifier",
	wrongRefreshToken: "wrong refresh token",
	devicePending:     "the user hasn't decided",
	deviceTooFast:     "a device asks too often",
	deviceDenied:      "the user said no",
	deviceExpired:     "device code expired",
	wrongAudience:     "wrong audience",
	unsupportedToken:  "not a refresh token",
	missingToken:      "missing access token",
	deadToken:         "dead access token",
	revokedToken:      "dead access token",
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
