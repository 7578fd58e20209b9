package loopback

import (
	"context"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/pkce"
)

// defaultPath is that of a Config without a redirect URL.
const defaultPath = "/callback"

// redirectOf returns the redirect URL that is registered for c, or nil if it has none.
func redirectOf(c pkce.Exchanger) (*url.URL, error) {
	var registered string
	switch c := c.(type) {
	case *oauth2.Config:
		registered = c.RedirectURL
	case pkce.Authorizer:
		registered = c.RedirectURL()
	default:
		if u, err := url.Parse(c.AuthCodeURL("state")); err == nil {
			registered = u.Query().Get("redirect_uri")
		}
	}
	if registered == "" {
		return nil, nil
	}
	u, err := url.Parse(registered)
	if err != nil || u.Scheme != "http" || !slices.Contains([]string{"127.0.0.1", "::1", "localhost"}, strings.ToLower(u.Hostname())) {
		return nil, misconfigured("the redirect URL of Login.Config isn't on the loopback: it must begin with http://127.0.0.1, " +
			"http://[::1] or http://localhost, as it is registered with the provider, or be empty")
	}
	if u.Fragment != "" || u.User != nil {
		return nil, misconfigured("the redirect URL of Login.Config has a fragment or a user")
	}
	return u, nil
}

// clientOf returns the client id that c has, or something else where it doesn't say.
func clientOf(c pkce.Exchanger) string {
	switch c := c.(type) {
	case *oauth2.Config:
		return c.ClientID
	case pkce.Authorizer:
		_, id := c.Registration()
		return id
	}
	return "unknown"
}

// withPort returns u at another port.
func withPort(u *url.URL, port int) *url.URL {
	moved := *u
	moved.Host = net.JoinHostPort(u.Hostname(), strconv.Itoa(port))
	return &moved
}

// redirectTo returns c with another redirect URL, in the authorization request and in the
// exchange.
func redirectTo(c pkce.Exchanger, redirectURL string) pkce.Exchanger {
	if plain, ok := c.(*oauth2.Config); ok {
		return &oauth2.Config{
			ClientID: plain.ClientID, ClientSecret: plain.ClientSecret, Endpoint: plain.Endpoint,
			RedirectURL: redirectURL, Scopes: plain.Scopes,
		}
	}
	r := redirected{c, redirectURL}
	if a, ok := c.(pkce.Authorizer); ok {
		return redirectedAuthorizer{r, a}
	}
	return r
}

// redirected is an Exchanger with another redirect URL.
type redirected struct {
	exchanger   pkce.Exchanger
	redirectURL string
}

// with returns opts with the redirect URL, which nothing changes after that.
func (r redirected) with(opts []oauth2.AuthCodeOption) []oauth2.AuthCodeOption {
	return append(slices.Clone(opts), oauth2.SetAuthURLParam("redirect_uri", r.redirectURL))
}

// AuthCodeURL implements pkce.Exchanger.
func (r redirected) AuthCodeURL(state string, opts ...oauth2.AuthCodeOption) string {
	return r.exchanger.AuthCodeURL(state, r.with(opts)...)
}

// Exchange implements pkce.Exchanger.
func (r redirected) Exchange(ctx context.Context, code string, opts ...oauth2.AuthCodeOption) (*oauth2.Token, error) {
	return r.exchanger.Exchange(ctx, code, r.with(opts)...)
}

// redirectedAuthorizer is an Authorizer with another redirect URL.
type redirectedAuthorizer struct {
	redirected
	authorizer pkce.Authorizer
}

var _ pkce.Authorizer = redirectedAuthorizer{}

// Registration implements pkce.Authorizer.
func (r redirectedAuthorizer) Registration() (issuer, clientID string) {
	return r.authorizer.Registration()
}

// RedirectURL implements pkce.Authorizer.
func (r redirectedAuthorizer) RedirectURL() string { return r.redirectURL }

// Issuer implements pkce.Authorizer.
func (r redirectedAuthorizer) Issuer() (issuer string, inCallbacks bool) {
	return r.authorizer.Issuer()
}

// Authorize implements pkce.Authorizer.
func (r redirectedAuthorizer) Authorize(ctx context.Context, state, verifier string, opts ...oauth2.AuthCodeOption) (string, map[string]string, error) {
	return r.authorizer.Authorize(ctx, state, verifier, r.with(opts)...)
}

// ReadCallback implements pkce.Authorizer.
func (r redirectedAuthorizer) ReadCallback(callback url.Values) (url.Values, map[string]string) {
	return r.authorizer.ReadCallback(callback)
}
