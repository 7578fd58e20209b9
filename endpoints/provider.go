package endpoints

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/httpclient"
	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// Provider describes one OAuth 2.0 provider. The zero value of every field but
// Endpoint means "as the RFCs have it", or "there is none".
//
// A Provider is a plain value, which encoding/json writes and reads: see
// [Provider.UnmarshalJSON]. Copy one to change it, and give the copy maps and slices
// of its own instead of writing into those that it shares.
type Provider struct {
	// Name is used in error messages.
	Name string

	// Issuer is the issuer identifier of the authorization server (RFC 8414,
	// section 2). Callbacks that name another issuer are refused (RFC 9207), and
	// stored tokens are bound to it. If it is empty, tokens are bound to the origin
	// of Endpoint.TokenURL, and the iss of a callback isn't looked at.
	Issuer string

	// Endpoint has the URLs of the consent page and of the token endpoint, of which
	// TokenURL is required, and where devices begin (RFC 8628). The values of
	// golang.org/x/oauth2/endpoints can be used as they are.
	//
	// Endpoint.AuthStyle says how the client authenticates, unless Style.Auth does.
	// AuthStyleAutoDetect, its zero value, means [ClientSecretPost]: trying both
	// ways would send a code that is good for one use twice.
	Endpoint oauth2.Endpoint

	// RefreshURL is where tokens are refreshed. Empty means Endpoint.TokenURL.
	RefreshURL string

	// RevokeURL is where tokens are revoked (RFC 7009), and IntrospectURL where
	// the provider tells about them (RFC 7662). Empty means that it can't.
	RevokeURL     string
	IntrospectURL string

	// APIURLs are URLs of the provider's API. A token is sent to their origins
	// (scheme, host and port) and to no others: without any, it is sent nowhere.
	APIURLs []string

	// InsecureHTTP allows http URLs at other hosts than this machine, where the
	// network can read secrets and tokens (OAuth 2.1, section 1.5). Without it,
	// such a URL is a mistake.
	InsecureHTTP bool

	// Vars declares the variables that stand in braces in URLs, parameters and
	// headers, and the values that they accept: see Variables in the package's
	// documentation.
	Vars map[string][]string

	// Consent is the authorization request (RFC 6749, section 4.1.1), and Callback
	// what the provider sends back with the user (section 4.1.2).
	Consent  Consent
	Callback Callback

	// Style is how requests are made that go to the provider directly: exchange,
	// refresh, revocation and introspection. The fields after it say in what one of
	// them differs: a field that is set there replaces that of Style, Header does so
	// name by name, and Params change what those of Style have made of the request.
	Style      AuthStyle
	Exchange   AuthStyle // of a code (RFC 6749, section 4.1.3)
	Refresh    AuthStyle // RFC 6749, section 6
	Revoke     AuthStyle // RFC 7009, section 2.1
	Introspect AuthStyle // RFC 7662, section 2.1

	// Answer is how the provider answers these requests.
	Answer Answer

	// API is how the provider's API takes tokens and refuses them.
	API API

	// Request and Response do what the fields above can't say. Request, if not
	// nil, is called before each request that Style describes is sent, when it is
	// complete but for the encoding of its parameters. Response is called with
	// each answer, whatever its status and content, before anything else looks at
	// it. An error of Request is that of the call, and nothing is sent; one of
	// Response makes the answer an unreadable one, with the error's text. A
	// Provider that has one of them has no JSON form.
	Request  func(*Request) error
	Response func(*Response) error
}

// Config returns c as a client of p. It keeps no reference to c.
//
// The URLs of p are used, except those that c.Endpoint sets itself; to move
// revocation and the API to another host as well, change a copy of p instead. Where
// c.Endpoint.TokenURL has another origin than p's, p.Issuer isn't used. A mistake in
// p or c, such as contradictory settings, is returned by every method of Config that
// can fail, before anything is sent; [Provider.Validate] tells earlier.
func (p Provider) Config(c oauth2.Config) *Config {
	if c.Endpoint.TokenURL != "" && originOf(c.Endpoint.TokenURL) != originOf(p.Endpoint.TokenURL) {
		p.Issuer = "" // that of another server
		p.Callback.Iss = false
	}
	override(&p.Endpoint.AuthURL, c.Endpoint.AuthURL)
	override(&p.Endpoint.TokenURL, c.Endpoint.TokenURL)
	override(&p.Endpoint.DeviceAuthURL, c.Endpoint.DeviceAuthURL)
	if s := c.Endpoint.AuthStyle; s != oauth2.AuthStyleAutoDetect && s != p.Endpoint.AuthStyle {
		p.Endpoint.AuthStyle, p.Style.Auth = s, ""
	}
	adapter := newAdapter(p)
	conf := &config{
		adapter: adapter,
		scopes:  slices.Clone(c.Scopes),
		err:     adapter.invalid,
		oauth:   oauth2.Config{ClientID: c.ClientID, ClientSecret: c.ClientSecret, RedirectURL: c.RedirectURL},
	}
	if conf.err == nil && len(c.Scopes) > 0 && !adapter.takesScopes() {
		conf.err = p.mistake("this provider knows no scopes, leave oauth2.Config.Scopes empty")
	}
	return &Config{hide(conf)}
}

// takesScopes reports whether scopes are sent to the consent page.
func (p *Provider) takesScopes() bool {
	values, changed := p.Consent.Params["scope"]
	if !changed || len(values) > 0 {
		return true
	}
	for _, values := range p.Consent.Params {
		for _, v := range values {
			if slices.Contains(namesIn(v), "scope") {
				return true
			}
		}
	}
	return false
}

// Context returns a context under which a plain *oauth2.Config that has
// p.Endpoint speaks p's language: its Exchange, and the token sources and clients
// that it makes. The *http.Client that ctx carries as oauth2.HTTPClient, or else
// http.DefaultClient, does the work underneath. Calling it twice is harmless. A
// mistake in p is the error of each token request, before anything is sent.
//
// Context checks p at every call. [Provider.Config] does so once, and its requests are
// faster.
//
// A plain Config's AuthCodeURL takes no context: pass its result to p.AuthCodeURL.
// Without the context, x/oauth2 sends its own form; what the provider answers to
// that can't be adapted, but [KindOf] recognizes it for the providers defined here.
//
// How the client authenticates is said by p alone. If the AuthStyle of the plain
// Config isn't set, x/oauth2 makes a request that fails a second time; it isn't sent
// again, but gets the first answer. A plain Config can't have variables in what
// identifies a connection, its URLs and its refreshes, and no key: that is a mistake.
func (p Provider) Context(ctx context.Context) context.Context {
	return (&transport{adapter: newAdapter(p)}).context(ctx)
}

// clone returns a copy of p that shares no map or slice with it.
func (p Provider) clone() Provider {
	p.APIURLs = slices.Clone(p.APIURLs)
	p.Vars = cloneLists(p.Vars)
	p.Consent.Params = p.Consent.Params.clone()
	p.Consent.Scopes = slices.Clone(p.Consent.Scopes)
	p.Callback = p.Callback.clone()
	for _, s := range []*AuthStyle{&p.Style, &p.Exchange, &p.Refresh, &p.Revoke, &p.Introspect} {
		*s = s.clone()
	}
	p.Answer = p.Answer.clone()
	p.API = p.API.clone()
	return p
}

// mistake makes an error of the program's own, found before anything was sent. Its
// text names p.
func (p *Provider) mistake(format string, args ...any) error {
	return tokenerror.NotSent(p.errorf(format, args...))
}

// errorf makes an error whose text names p.
func (p *Provider) errorf(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if p.Name == "" {
		return fmt.Errorf("endpoints: %w", err)
	}
	return fmt.Errorf("endpoints: %s: %w", p.Name, err)
}

// originOf returns the origin of a URL as text. Of one that has variables, it is what
// stands where the origin is, with its braces.
func originOf(rawURL string) string {
	if o, err := httpclient.ParseOrigin(rawURL); err == nil {
		return o.String()
	}
	head, rest, found := strings.Cut(rawURL, "://")
	switch {
	case !strings.Contains(rawURL, "{"):
		return ""
	case !found || strings.Contains(head, "/"): // it begins with a variable that is a URL
		before, _, _ := strings.Cut(rawURL, "/")
		return before
	}
	host, _, _ := strings.Cut(rest, "/")
	return head + "://" + host
}

// override sets the field to the value, unless that is the zero value.
func override[T comparable](field *T, value T) {
	var zero T
	if value != zero {
		*field = value
	}
}
