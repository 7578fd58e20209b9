package endpoints

import (
	"context"
	"net/http"
	"strings"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/origin"
)

// Client returns an HTTP client that sends t, refreshed when it expires, to the
// origins of Provider.APIURLs. A request to another origin is an error; when a
// redirect leads there, it is followed without the token, wherever it goes then.
//
// The token is sent as a bearer token (RFC 6750), whatever its token_type is. A
// request with another kind of Authorization, such as the client's credentials, is
// sent as it is.
func (c *Config) Client(ctx context.Context, t *oauth2.Token) *http.Client {
	conf := c.config()
	apis, err := origin.ParseSet(conf.APIURLs)
	switch {
	case conf.err != nil:
		err = conf.err
	case err != nil || len(apis) == 0:
		err = conf.mistake("Provider.APIURLs must say where the API is that the token is for")
	}
	return &http.Client{Transport: &apiTransport{
		provider: &conf.Provider, apis: apis, err: err, source: c.TokenSource(ctx, t), base: clientOf(ctx).Transport,
	}}
}

// clientOf returns the client that ctx carries for x/oauth2.
func clientOf(ctx context.Context) *http.Client {
	if c, ok := ctx.Value(oauth2.HTTPClient).(*http.Client); ok && c != nil {
		return c
	}
	return http.DefaultClient
}

// apiTransport is the http.RoundTripper of Client: it lets the token out to the
// API's origins only.
type apiTransport struct {
	provider *Provider
	apis     origin.Set
	err      error // a mistake, which every request reports
	source   oauth2.TokenSource
	base     http.RoundTripper // nil means http.DefaultTransport
}

// RoundTrip implements http.RoundTripper.
func (t *apiTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.err != nil {
		return nil, closing(r, t.err)
	}
	if t.apis.Left(r) {
		return t.next().RoundTrip(r)
	}
	if !t.apis.Takes(r) {
		return nil, closing(r, t.provider.mistake("the token is for %s and is not sent to %s", t.apis, destination(r)))
	}
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if scheme != "" && !strings.EqualFold(scheme, "Bearer") {
		return t.next().RoundTrip(r)
	}
	token, err := t.source.Token()
	if err != nil {
		return nil, closing(r, err)
	}
	authorized := *r
	authorized.Header = r.Header.Clone()
	if authorized.Header == nil {
		authorized.Header = http.Header{}
	}
	authorized.Header.Set("Authorization", "Bearer "+token.AccessToken)
	resp, err := t.next().RoundTrip(&authorized)
	if resp != nil {
		resp.Request = r // in which there is no token
	}
	return resp, err
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
