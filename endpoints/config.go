package endpoints

import (
	"cmp"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strconv"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/assertion"
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
	err      error         // a mistake in it, which every method reports
	oauth    oauth2.Config // without the endpoints and the scopes
	key      *assertion.Key
}

func (c *Config) config() *config {
	if c == nil || c.hidden == nil {
		p := &adapter{}
		return &config{adapter: p, err: p.mistake("a Config is made by Provider.Config"), oauth: oauth2.Config{}}
	}
	return c.hidden()
}

// WithKey returns a copy of c that signs the assertions of [PrivateKeyJWT] with signer:
// an RSA key of at least 2048 bits, an ECDSA key of the curve P-256, P-384 or P-521, or an
// Ed25519 key, in memory or in a KMS. Requests that are made at the same time use it at the
// same time, and wait for it without a limit of time.
//
// The header, which may be nil, are members of the JOSE header (RFC 7515, section 4),
// such as kid or x5t#S256. The alg is that of the key, RS256, ES256, ES384, ES512 or EdDSA,
// unless one that also fits it is in header: PS256, or Ed25519 (RFC 9864).
//
// It is a mistake in the copy if no request of the provider's has such an assertion, or if
// signer can't make one with that header.
func (c *Config) WithKey(signer crypto.Signer, header map[string]string) *Config {
	conf := *c.config()
	conf.key = &assertion.Key{Signer: signer, Header: maps.Clone(header)}
	if conf.err == nil && !conf.takesKey() {
		conf.err = conf.mistake("WithKey has no effect: the client makes no assertion with a key")
	}
	if err := conf.key.Validate(); conf.err == nil && err != nil {
		conf.err = conf.mistake("WithKey: %w", err)
	}
	return &Config{hide(&conf)}
}

// takesKey reports whether a request has an assertion that a key signs.
func (p *Provider) takesKey() bool {
	return slices.ContainsFunc(p.styles(), func(d described) bool {
		return *d.url != "" && p.Style.merge(*d.style).Auth == PrivateKeyJWT
	})
}

// input returns what is known of a request before it is made. t is the token that it is
// about, or nil.
func (c *config) input(grant string, t *oauth2.Token) *input {
	return &input{
		provider: c.adapter, grant: grant, clientID: c.oauth.ClientID, secret: c.oauth.ClientSecret,
		redirectURL: c.oauth.RedirectURL, key: c.key, token: t,
	}
}

// Exchange converts an authorization code into a token. The error is an
// *oauth2.RetrieveError if the provider gave one: see [KindOf].
//
// For a provider's embedded flow, which must not send a redirect_uri, leave
// oauth2.Config.RedirectURL empty or pass oauth2.SetAuthURLParam("redirect_uri", "").
//
// Variables are given as options: those that Authorize and ReadCallback have returned.
func (c *Config) Exchange(ctx context.Context, code string, opts ...oauth2.AuthCodeOption) (*oauth2.Token, error) {
	conf := c.config()
	if conf.err != nil {
		return nil, conf.err
	}
	form := url.Values{"grant_type": {grantExchange}, "code": {code}}
	if conf.oauth.RedirectURL != "" {
		form["redirect_uri"] = []string{conf.oauth.RedirectURL}
	}
	return conf.call(grantExchange, nil).retrieve(ctx, form, opts)
}

// TokenSource returns a source that returns t until it expires, and then refreshes
// it. Nothing is saved: package tokensource does that. All its requests are made
// with ctx. The variables of a request are those that are kept beside the token.
func (c *Config) TokenSource(ctx context.Context, t *oauth2.Token) oauth2.TokenSource {
	conf := c.config()
	if conf.err != nil {
		return failingSource{conf.err}
	}
	r := &refresher{ctx: ctx, conf: conf}
	if t != nil {
		r.last = *t
	}
	return oauth2.ReuseTokenSource(t, r)
}

// refresher is a token source that refreshes at every call. ReuseTokenSource makes
// one call at a time.
type refresher struct {
	ctx  context.Context
	conf *config
	last oauth2.Token // a copy, since whoever has the token may change it
}

func (r *refresher) Token() (*oauth2.Token, error) {
	if r.last.RefreshToken == "" {
		return nil, errors.New("oauth2: token expired and refresh token is not set") // as x/oauth2 says it
	}
	form := url.Values{"grant_type": {grantRefresh}, "refresh_token": {r.last.RefreshToken}}
	last := r.last
	t, err := r.conf.call(grantRefresh, &last).retrieve(r.ctx, form, nil)
	if err == nil {
		r.last = *t
	}
	return t, err
}

// hide puts v where what prints values can't see it.
func hide[T any](v T) func() T { return func() T { return v } }

// Inner makes a token of an object that is kept beside t, such as Slack's
// "authed_user": another token of the same consent, which is refreshed by itself. The
// object's members are beside it, and the variables of t. Its lifetime counts from now,
// so it is to be called with what Exchange has just returned.
func (c *Config) Inner(t *oauth2.Token, name string) (*oauth2.Token, error) {
	conf := c.config()
	if conf.err != nil {
		return nil, conf.err
	}
	if t == nil {
		return nil, conf.mistake("there is no token to look for another in")
	}
	object, ok := find(map[string]any{name: t.Extra(name)}, name).(map[string]any)
	if !ok {
		return nil, conf.mistake("there is no object %q beside the token", name)
	}
	inner := conf.Answer
	inner.TokenIn = ""
	members := asSent(object).(map[string]any)
	issued, err := inner.token(members, grantExchange)
	if err != nil {
		return nil, conf.mistake("the object %q beside the token is none: %w", name, err)
	}
	a := &answer{in: conf.input(grantExchange, t), members: members}
	return conf.tokenOf(a, issued), nil
}

// asSent returns a copy of what is kept beside a token, with numbers as they are read
// from an answer.
func asSent(v any) any {
	switch v := v.(type) {
	case map[string]any:
		members := make(map[string]any, len(v))
		for name, member := range v {
			members[name] = asSent(member)
		}
		return members
	case []any:
		list := make([]any, 0, len(v))
		for _, element := range v {
			list = append(list, asSent(element))
		}
		return list
	case float64:
		return json.Number(strconv.FormatFloat(v, 'f', -1, 64))
	}
	return v
}

// Issuer returns Provider.Issuer, or "" if it isn't known, and whether every callback
// has an iss, as Callback.Iss says. Package pkce compares that with the issuer (RFC 9207).
func (c *Config) Issuer() (issuer string, inCallbacks bool) {
	p := &c.config().Provider
	return p.Issuer, p.Callback.Iss && p.Issuer != ""
}

// Registration returns the client that c's tokens belong to: the provider's issuer and
// the client's id there. The issuer is Provider.Issuer, or else the origin of the token
// URL, such as "https://api.tryfinch.com". Package tokensource calls it, and keeps both
// with each token.
func (c *Config) Registration() (issuer, clientID string) {
	conf := c.config()
	return cmp.Or(conf.Issuer, originOf(conf.Endpoint.TokenURL)), conf.oauth.ClientID
}

// RedirectURL returns the URL that the provider's callbacks arrive at. Package pkce calls it.
func (c *Config) RedirectURL() string { return c.config().oauth.RedirectURL }

// String names the provider and the client id, and never the secret.
func (c Config) String() string {
	conf := c.config()
	return fmt.Sprintf("endpoints.Config(%s, %s)", conf.Name, conf.oauth.ClientID)
}

// LogValue returns what String returns.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// failingSource is the token source of a Config that has a mistake in it.
type failingSource struct{ err error }

func (s failingSource) Token() (*oauth2.Token, error) { return nil, s.err }
