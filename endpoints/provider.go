package endpoints

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/origin"
	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// Provider describes one OAuth 2.0 provider: where its endpoints are and how they
// depart from RFC 6749. A Provider is a plain value: copy one to change it, for
// instance to point it at another host, and give the copy maps and slices of its
// own instead of writing into those that it shares. The zero value of every field
// but the endpoint means "as RFC 6749 says".
type Provider struct {
	// Name is used in error messages.
	Name string

	// Issuer is the provider's issuer identifier (RFC 8414, section 2; RFC 9207), a
	// URL, if it has one. Package tokensource binds tokens to it: see
	// [Config.Registration].
	Issuer string

	// Endpoint holds the provider's URLs. Endpoint.AuthStyle must be set: with
	// oauth2.AuthStyleAutoDetect, x/oauth2 sends a failed request a second time in
	// the other style, which spends a single-use code or refresh token twice.
	Endpoint oauth2.Endpoint

	// RefreshURL is where refresh_token grants go. If empty, they go to
	// Endpoint.TokenURL.
	RefreshURL string

	// RevokeURL is where tokens are revoked (RFC 7009). If empty, the provider
	// can't revoke them and Config.Revoke says so.
	RevokeURL string

	// APIURLs are URLs of the provider's API. Their origins (scheme, host and port)
	// are the only ones that the clients made by this module send access tokens
	// to.
	APIURLs []string

	// InsecureHTTP allows http URLs at other hosts than this machine, where the
	// network can read secrets and tokens (OAuth 2.1, section 1.5). Without it,
	// such a URL is a mistake.
	InsecureHTTP bool

	// AuthParams, ExchangeParams and RefreshParams are sent with the authorization
	// request, the authorization_code grant and the refresh_token grant, unless
	// the request has a parameter of that name already. They can't set grant_type
	// or anything else that belongs to a single request.
	AuthParams     map[string]string
	ExchangeParams map[string]string
	RefreshParams  map[string]string

	// DefaultScopes are requested if oauth2.Config.Scopes is empty.
	DefaultScopes []string

	// Style is how the provider's requests and responses look.
	Style AuthStyle
}

// Config returns c as a client of p. It keeps no reference to c.
//
// The URLs of p are used, except those that c.Endpoint sets itself; to move
// revocation and the API to another host as well, change a copy of p instead. Where
// c.Endpoint.TokenURL has another origin than p's, p.Issuer isn't used.
// c.Scopes become whatever p calls them. A mistake in p or c, such as
// contradictory settings, is returned by every method of Config that can fail,
// before anything is sent; [Provider.Validate] tells earlier.
func (p Provider) Config(c oauth2.Config) *Config {
	if c.Endpoint.TokenURL != "" && originOf(c.Endpoint.TokenURL) != originOf(p.Endpoint.TokenURL) {
		p.Issuer = "" // that of another server
	}
	override(&p.Endpoint.AuthURL, c.Endpoint.AuthURL)
	override(&p.Endpoint.TokenURL, c.Endpoint.TokenURL)
	override(&p.Endpoint.DeviceAuthURL, c.Endpoint.DeviceAuthURL)
	override(&p.Endpoint.AuthStyle, c.Endpoint.AuthStyle)
	adapter := newAdapter(p)
	conf := &config{
		adapter: adapter,
		scopes:  slices.Clone(c.Scopes),
		err:     adapter.Validate(),
		oauth: &oauth2.Config{
			ClientID:     c.ClientID,
			ClientSecret: c.ClientSecret,
			Endpoint:     p.Endpoint,
			RedirectURL:  c.RedirectURL,
		},
	}
	if conf.err == nil && len(c.Scopes) > 0 && p.Style.omits("scope") {
		conf.err = p.mistake("this provider knows no scopes, leave oauth2.Config.Scopes empty")
	}
	return &Config{func() *config { return conf }}
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
func (p Provider) Context(ctx context.Context) context.Context {
	return (&transport{adapter: newAdapter(p)}).context(ctx)
}

// AuthCodeURL returns p's form of the consent page's URL that a plain
// *oauth2.Config's AuthCodeURL has returned: with the provider's own parameters,
// its names for the scopes, and without what it doesn't take.
//
//	u := endpoints.Finch.AuthCodeURL(conf.AuthCodeURL(state))
//
// An empty value removes a parameter. AuthCodeURL returns "" if plain isn't such a
// URL, or if there is a mistake in p. [Config.AuthCodeURL] needs none of this.
func (p Provider) AuthCodeURL(plain string) string {
	authURL, query := p.Endpoint.AuthURL, strings.TrimPrefix(plain, p.Endpoint.AuthURL)
	if query == plain { // the Config has an AuthURL of its own
		authURL, query, _ = strings.Cut(plain, "?")
	}
	params, err := url.ParseQuery(strings.TrimLeft(query, "?&"))
	if err != nil || authURL == "" || p.Validate() != nil {
		return ""
	}
	return p.consentURL(authURL, params)
}

// consentURL adds params, as x/oauth2 makes them, to authURL in p's own terms. What
// stands in authURL itself is kept as it is.
func (p *Provider) consentURL(authURL string, params url.Values) string {
	s := &p.Style
	scopes := strings.Fields(params.Get("scope"))
	if !params.Has("scope") {
		scopes = p.DefaultScopes
	}
	if !s.omits("scope") {
		params.Del("scope")
		if len(scopes) > 0 && !params.Has(s.scopeParam()) {
			params.Set(s.scopeParam(), strings.Join(scopes, s.scopeSeparator()))
		}
	}
	addMissing(params, p.AuthParams)
	for param := range s.HeaderParams {
		params.Del(param) // the consent page is visited by a browser
	}
	base, fragment, hasFragment := strings.Cut(authURL, "#")
	separator := "?"
	if strings.Contains(base, "?") {
		separator = "&"
	}
	consent := base + separator + s.params(params).Encode()
	if hasFragment {
		consent += "#" + fragment // the RFC forbids it, WeChat demands it
	}
	return consent
}

// Validate reports the first setting of p that is missing, unknown or contradicts
// another.
func (p Provider) Validate() error {
	if err := p.validate(); err != nil {
		return err
	}
	if p.Endpoint.AuthStyle == oauth2.AuthStyleAutoDetect {
		return p.mistake("Endpoint.AuthStyle must be set: auto-detection would spend a single-use code twice")
	}
	return nil
}

// validate is Validate without the demand for an explicit AuthStyle.
func (p *Provider) validate() error {
	if err := p.validateURLs(); err != nil {
		return p.mistake("%w", err)
	}
	if s := p.Endpoint.AuthStyle; s < oauth2.AuthStyleAutoDetect || s > oauth2.AuthStyleInHeader {
		return p.mistake("unknown Endpoint.AuthStyle %d", s)
	}
	if err := p.Style.validate(); err != nil {
		return p.mistake("%w", err)
	}
	if err := p.validateParams(); err != nil {
		return p.mistake("%w", err)
	}
	return nil
}

func (p *Provider) validateURLs() error {
	type field struct{ name, url string }
	urls := []field{{"Endpoint.TokenURL", p.Endpoint.TokenURL}}
	for _, optional := range []field{
		{"Issuer", p.Issuer}, {"Endpoint.AuthURL", p.Endpoint.AuthURL}, {"RefreshURL", p.RefreshURL}, {"RevokeURL", p.RevokeURL},
	} {
		if optional.url != "" {
			urls = append(urls, optional)
		}
	}
	for _, u := range p.APIURLs {
		urls = append(urls, field{"APIURLs", u})
	}
	for _, u := range urls {
		parsed, err := url.Parse(u.url)
		if err == nil {
			_, err = origin.Of(parsed)
		}
		switch {
		case err != nil:
			return fmt.Errorf("%s must be an absolute http or https URL", u.name)
		case !p.InsecureHTTP && !origin.Secure(parsed):
			return fmt.Errorf("%s must be an https URL, or one of http at this machine; InsecureHTTP allows others", u.name)
		case u.name == "Issuer" && (parsed.RawQuery != "" || parsed.Fragment != ""):
			return fmt.Errorf("%s can't have a query or a fragment", u.name)
		}
	}
	if p.Style.RevokeWithBearer && p.RevokeURL == "" {
		return errors.New("Style.RevokeWithBearer needs a RevokeURL")
	}
	return nil
}

// ownParams are the parameters that differ from one request to the next, or that
// have a field of their own.
var ownParams = []string{
	"grant_type", "client_id", "client_secret", "code", "refresh_token",
	"code_verifier", "code_challenge", "code_challenge_method", "state", "token",
}

func (p *Provider) validateParams() error {
	for _, set := range []struct {
		field  string
		params map[string]string
		others []string
	}{
		{"AuthParams", p.AuthParams, []string{p.Style.scopeParam()}},
		{"ExchangeParams", p.ExchangeParams, nil},
		{"RefreshParams", p.RefreshParams, p.Style.OmitAtRefresh},
	} {
		for _, name := range slices.Sorted(maps.Keys(set.params)) {
			switch {
			case name == "" || slices.Contains(ownParams, name) || slices.Contains(set.others, name):
				return fmt.Errorf("%s can't set the parameter %q", set.field, name)
			case p.Style.omits(name):
				return fmt.Errorf("%s sets %s, which Style omits", set.field, name)
			case p.Style.isRequestName(name):
				return fmt.Errorf("%s sets %s, which is another parameter's name in Style.RequestNames", set.field, name)
			}
		}
	}
	if len(p.DefaultScopes) > 0 && p.Style.omits("scope") {
		return errors.New("DefaultScopes are set, but Style omits scope")
	}
	return nil
}

// clone returns a copy of p that shares no map or slice with it.
func (p Provider) clone() Provider {
	p.APIURLs = slices.Clone(p.APIURLs)
	p.AuthParams = maps.Clone(p.AuthParams)
	p.ExchangeParams = maps.Clone(p.ExchangeParams)
	p.RefreshParams = maps.Clone(p.RefreshParams)
	p.DefaultScopes = slices.Clone(p.DefaultScopes)
	p.Style = p.Style.clone()
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

// originOf returns the origin of a URL as text, or "" if it has none.
func originOf(rawURL string) string {
	o, _ := origin.Parse(rawURL)
	return o.String()
}

// override sets the field to the value, unless that is the zero value.
func override[T comparable](field *T, value T) {
	var zero T
	if value != zero {
		*field = value
	}
}
