package endpoints

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"
)

// Config is an OAuth 2.0 client of one [Provider], made by [Provider.Config]. It
// has the methods of *oauth2.Config that a program needs, and takes its place
// where an interface asks for them. It is safe for concurrent use. Those methods of
// a zero Config that can fail return an error.
//
// As with *oauth2.Config, the context of a call may carry the *http.Client to use,
// under the key oauth2.HTTPClient.
type Config struct {
	// What prints values follows pointers, and doesn't ask the fields of another
	// struct how they want to be printed, but it can't look into a function.
	hidden func() *config
}

// config is what a Config holds: the application's and the provider's secrets.
type config struct {
	*adapter // of the provider
	scopes   []string
	err      error // a mistake in it, which every method reports
	oauth    *oauth2.Config
}

func (c *Config) config() *config {
	if c.hidden == nil {
		p := &adapter{}
		return &config{adapter: p, err: p.mistake("a Config is made by Provider.Config"), oauth: &oauth2.Config{}}
	}
	return c.hidden()
}

// AuthCodeURL returns the URL of the provider's consent page. State is returned by
// the provider to the callback unchanged; package pkce makes and checks it. An
// option overrides the provider's own parameter of the same name, and an empty
// value removes a parameter. AuthCodeURL returns "" if the Config has a mistake in
// it, which every other method reports, or if the provider has no AuthURL.
func (c *Config) AuthCodeURL(state string, opts ...oauth2.AuthCodeOption) string {
	conf := c.config()
	authURL := conf.oauth.Endpoint.AuthURL
	if conf.err != nil || authURL == "" {
		return ""
	}
	// Only x/oauth2 can apply an option. Without an AuthURL, the parameters are all
	// that it returns.
	bare := &oauth2.Config{ClientID: conf.oauth.ClientID, RedirectURL: conf.oauth.RedirectURL, Scopes: conf.scopes}
	params, err := url.ParseQuery(strings.TrimPrefix(bare.AuthCodeURL(state, opts...), "?"))
	if err != nil {
		return "" // not reached: x/oauth2 has encoded it
	}
	return conf.consentURL(authURL, params)
}

// Exchange converts an authorization code into a token. The error is an
// *oauth2.RetrieveError if the provider gave one: see [KindOf].
//
// For a provider's embedded flow, which must not send a redirect_uri, leave
// oauth2.Config.RedirectURL empty or pass oauth2.SetAuthURLParam("redirect_uri", "").
func (c *Config) Exchange(ctx context.Context, code string, opts ...oauth2.AuthCodeOption) (*oauth2.Token, error) {
	conf := c.config()
	if conf.err != nil {
		return nil, conf.err
	}
	return conf.retrieve(ctx, nil, func(ctx context.Context) (*oauth2.Token, error) {
		return conf.oauth.Exchange(ctx, code, opts...)
	})
}

// TokenSource returns a source that returns t until it expires, and then refreshes
// it. Nothing is saved: package tokensource does that. All its requests are made
// with ctx.
func (c *Config) TokenSource(ctx context.Context, t *oauth2.Token) oauth2.TokenSource {
	conf := c.config()
	if conf.err != nil {
		return failingSource{conf.err}
	}
	r := &refresher{ctx: ctx, conf: conf, last: t}
	if t == nil {
		r.last = new(oauth2.Token)
	}
	return oauth2.ReuseTokenSource(t, r)
}

// refresher is a token source that refreshes at every call. ReuseTokenSource makes
// one call at a time.
type refresher struct {
	ctx  context.Context
	conf *config
	last *oauth2.Token
}

func (r *refresher) Token() (*oauth2.Token, error) {
	t, err := r.conf.retrieve(r.ctx, r.last, func(ctx context.Context) (*oauth2.Token, error) {
		return r.conf.oauth.TokenSource(ctx, &oauth2.Token{RefreshToken: r.last.RefreshToken}).Token()
	})
	if err == nil {
		r.last = t
	}
	return t, err
}

// retrieve has x/oauth2 ask for a token in place of last, and returns it with all that
// came beside it.
func (c *config) retrieve(ctx context.Context, last *oauth2.Token, ask func(context.Context) (*oauth2.Token, error)) (*oauth2.Token, error) {
	t := &transport{adapter: c.adapter, forOne: true, known: c.secrets(last)}
	token, err := ask(t.context(ctx))
	if err != nil || t.received == nil {
		return token, err
	}
	return token.WithExtra(t.received), nil
}

// APIURLs returns Provider.APIURLs. Package tokensource asks for them.
func (c *Config) APIURLs() []string { return slices.Clone(c.config().APIURLs) }

// Issuer returns Provider.Issuer, or "" if it isn't known. Package pkce compares it with
// the iss of a callback (RFC 9207).
func (c *Config) Issuer() string { return c.config().Provider.Issuer }

// Registration returns the client that c's tokens belong to: the provider's issuer and
// the client's id there. The issuer is Provider.Issuer, or else the origin of the token
// URL, such as "https://api.tryfinch.com". Package tokensource asks, and keeps both
// with each token.
func (c *Config) Registration() (issuer, clientID string) {
	conf := c.config()
	return cmp.Or(conf.Issuer, originOf(conf.Endpoint.TokenURL)), conf.oauth.ClientID
}

// String names the provider and the client id, and never the secret.
func (c Config) String() string {
	conf := c.config()
	return fmt.Sprintf("endpoints.Config(%s, %s)", conf.Name, conf.oauth.ClientID)
}

// secrets returns those that the provider knows, whatever it is sent.
func (c *config) secrets(t *oauth2.Token) func() []string {
	return func() []string {
		if t == nil {
			return []string{c.oauth.ClientSecret}
		}
		return []string{c.oauth.ClientSecret, t.AccessToken, t.RefreshToken}
	}
}

// failingSource is the token source of a Config that has a mistake in it.
type failingSource struct{ err error }

func (s failingSource) Token() (*oauth2.Token, error) { return nil, s.err }
