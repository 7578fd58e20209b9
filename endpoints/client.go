package endpoints

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/httpclient"
)

// Client returns an HTTP client that sends t, refreshed when it expires, to the
// origins of Provider.APIURLs. A request to another origin is an error; when a
// redirect leads there, it is followed without the token, wherever it goes then.
//
// The token is sent as Provider.API says: as a bearer token (RFC 6750) if it says
// nothing else, whatever its token_type is. A request with another kind of
// Authorization, such as the client's credentials, is sent as it is.
func (c *Config) Client(ctx context.Context, t *oauth2.Token) *http.Client {
	conf := c.config()
	api := &apiTransport{config: c, err: conf.err, source: c.TokenSource(ctx, t), base: clientOf(ctx).Transport}
	switch {
	case conf.err != nil:
	case len(conf.APIURLs) == 0:
		api.err = conf.mistake("Provider.APIURLs must say where the API is that the token is for")
	default:
		_, api.err = api.take(t)
	}
	return &http.Client{Transport: api}
}

// clientOf returns the client that ctx carries for x/oauth2.
func clientOf(ctx context.Context) *http.Client { return httpclient.From(ctx, http.DefaultClient) }

// apiTransport is the http.RoundTripper of Client: it lets the token out to the
// API's origins only.
type apiTransport struct {
	config *Config
	err    error // a mistake, which every request reports
	source oauth2.TokenSource
	base   http.RoundTripper // nil means http.DefaultTransport

	last atomic.Pointer[access]
}

// access is what a token opens.
type access struct {
	token  *oauth2.Token
	apis   httpclient.Origins
	header http.Header
}

// take returns what t opens.
func (t *apiTransport) take(token *oauth2.Token) (*access, error) {
	if a := t.last.Load(); a != nil && a.token == token {
		return a, nil
	}
	urls, err := t.config.APIURLs(token)
	if err != nil {
		return nil, err
	}
	apis, err := httpclient.ParseOrigins(urls)
	if err != nil {
		return nil, t.config.config().mistake("APIURLs: %w", err)
	}
	a := &access{token: token, apis: apis, header: t.config.APIHeader(token)}
	t.last.Store(a)
	return a, nil
}

// isOwn reports whether h has an Authorization, under whatever case, that is neither a
// bearer token nor of the scheme of a's token.
func (a *access) isOwn(h http.Header) bool {
	tokens := schemeOf(a.header.Get("Authorization"))
	for name, values := range h {
		for _, v := range values {
			scheme := schemeOf(v)
			if strings.EqualFold(name, "Authorization") && scheme != "" && scheme != "bearer" && scheme != tokens {
				return true
			}
		}
	}
	return false
}

func schemeOf(authorization string) string {
	scheme, _, _ := strings.Cut(strings.TrimLeft(authorization, " \t"), " ")
	return strings.ToLower(scheme)
}

// on returns a copy of h with what a request with the token has to have, and without an
// Authorization of another token. h has the last word on what holds no token.
func (a *access) on(h http.Header) http.Header {
	all := make(http.Header, len(h)+len(a.header))
	maps.Copy(all, a.header)
	for name, values := range h {
		field := http.CanonicalHeaderKey(name)
		if field == "Authorization" || strings.Contains(a.header.Get(field), a.token.AccessToken) {
			continue
		}
		if _, tokens := a.header[field]; tokens {
			delete(all, field)
		}
		all[name] = slices.Clone(values)
	}
	return all
}

// RoundTrip implements http.RoundTripper.
func (t *apiTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.err != nil {
		return nil, closing(r, t.err)
	}
	known := t.last.Load()
	if known.apis.Left(r) {
		return t.next().RoundTrip(r)
	}
	if err := t.refuse(r, known); err != nil {
		return nil, closing(r, err)
	}
	if known.isOwn(r.Header) {
		return t.next().RoundTrip(r)
	}
	token, err := t.source.Token()
	if err != nil {
		return nil, closing(r, err)
	}
	a, err := t.take(token)
	if err == nil && a != known {
		err = t.refuse(r, a) // the API of a new token may be elsewhere
	}
	if err != nil {
		return nil, closing(r, err)
	}
	authorized := *r
	authorized.Header = a.on(r.Header)
	resp, err := t.next().RoundTrip(&authorized)
	if resp != nil {
		resp.Request = r // in which there is no token
	}
	return resp, err
}

// refuse reports a request that no token goes along with.
func (t *apiTransport) refuse(r *http.Request, a *access) error {
	if a.apis.Takes(r) {
		return nil
	}
	return t.config.config().mistake("the token is for %s and is not sent to %s", a.apis, destination(r))
}

// CloseIdleConnections lets http.Client's method of that name reach the base.
func (t *apiTransport) CloseIdleConnections() { closeIdle(t.next()) }

func (t *apiTransport) next() http.RoundTripper { return baseOf(t.base) }

// baseOf returns what net/http uses for base.
func baseOf(base http.RoundTripper) http.RoundTripper {
	if base != nil {
		return base
	}
	return http.DefaultTransport
}

func closeIdle(base http.RoundTripper) {
	if c, ok := base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// destination is where r goes, for an error.
func destination(r *http.Request) string {
	if r.URL == nil {
		return "a request without a URL"
	}
	to := r.URL.Scheme + "://" + r.URL.Host
	if r.Host != "" && r.Host != r.URL.Host {
		to += " for the host " + r.Host
	}
	return to
}

// closing closes the body of a request that isn't sent, as RoundTrip must.
func closing(r *http.Request, err error) error {
	if r.Body != nil {
		r.Body.Close()
	}
	return err
}
