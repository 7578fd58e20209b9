package tokensource

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/httpclient"
	"github.com/oauth2keep/oauth2keep/internal/redact"
	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// API is an optional ability of a [Refresher]: it knows where the provider's API is, and how
// that takes a token and refuses one. *endpoints.Config is an API. The methods are called
// during a request of [Manager.Client], by the goroutine that makes it, and concurrently.
type API interface {
	// APIURLs returns a URL of each origin that t may be sent to, such as a tenant's.
	// Without any it is sent nowhere. Client calls it once for each token, with the whole
	// stored one. Its error is that of the request.
	APIURLs(t *oauth2.Token) ([]string, error)

	// APIHeader returns the header fields of a request with t, such as
	//
	//	Authorization: Bearer …
	//	Example-Version: 2026-01-01
	//
	// Those that have the access token in them replace what a request has under their
	// names; the others are for requests that don't have them. Client calls it once for each
	// token, and before that for one that has nothing beside it. The fields' names are the same
	// for every token.
	APIHeader(t *oauth2.Token) http.Header

	// TokenRejected says whether an answer refuses the token, so that another may help. The
	// code is the API's, if it says that the token has ended, and "" if it doesn't say: then
	// the answer may be a firewall's, and doesn't end a connection. TokenRejected is called
	// for each answer. It must return at once for one that can't refuse a token, must not
	// read a body without a limit, and leaves the body as it was.
	TokenRejected(*http.Response) (code string, rejected bool)
}

// access is where a token may be sent, and how.
type access struct {
	origins httpclient.Origins
	header  http.Header // nil: it is an Authorization, as a bearer token
	err     error       // it can't be sent anywhere
}

// apiSettings are what is known of the API before there is a token.
type apiSettings struct {
	origins httpclient.Origins // of Manager.APIURLs; nil: each token has its own
	scheme  string             // of the Authorization that a token is sent in, such as "Bearer"
	fields  []string           // that a token is sent in, or that SDKs take it to be sent in
	err     error

	names headerNames // of requests
}

// apiSettings returns what is known of the API before there is a token.
func (m *Manager) apiSettings() *apiSettings {
	m.apiOnce.Do(func() {
		m.apiSet.err = errors.New("tokensource: APIHeader of Manager.Config panicked, when it was asked with a token that has nothing beside it")
		m.apiSet.err = m.initAPI(&m.apiSet)
	})
	return &m.apiSet
}

func (m *Manager) initAPI(a *apiSettings) error {
	a.scheme, a.fields = bearerType, []string{"Authorization"}
	set, err := m.settings()
	switch {
	case err != nil:
		return err
	case len(m.APIURLs) > 0:
		if a.origins, err = m.originsOf("Manager.APIURLs[%d]", m.APIURLs); err != nil {
			return err
		}
	case set.api == nil:
		return errNoAPI
	}
	if set.api == nil {
		return nil
	}
	const example = "token"
	for name, values := range set.api.APIHeader(&oauth2.Token{AccessToken: example, TokenType: bearerType}) {
		name = http.CanonicalHeaderKey(name)
		if holds(values, example) && name != "Authorization" {
			a.fields = append(a.fields, name)
		}
		if name == "Authorization" && len(values) == 1 {
			if scheme, _, ok := strings.Cut(values[0], " "); ok {
				a.scheme = scheme
			}
		}
	}
	return nil
}

var errNoAPI = errors.New("tokensource: set Manager.APIURLs to say which origins the tokens are for: Manager.Config doesn't")

// originsOf returns the origins of URLs. Its errors name one by its number, put into a format:
// there may be a password in it.
func (m *Manager) originsOf(numbered string, urls []string) (origins httpclient.Origins, err error) {
	if len(urls) == 0 {
		return nil, errNoAPI
	}
	for i, raw := range urls {
		u, _ := url.Parse(raw)
		o, err := httpclient.OriginOf(u)
		if err != nil {
			return nil, fmt.Errorf("tokensource: "+numbered+" is not an absolute URL", i)
		}
		if err := m.checkSecure(u); err != nil {
			return nil, err
		}
		origins = append(origins, o)
	}
	return origins, nil
}

// accessOf returns where v's token may be sent, and how.
func (s *Source) accessOf(v *view) *access {
	c := s.fastPath.Load()
	if c == nil || c.view != v {
		return s.m.newAccess(s.name, v.record)
	}
	a := c.access.Load()
	if a == nil {
		a = s.m.newAccess(s.name, v.record)
		c.access.Store(a)
	}
	return a
}

func (m *Manager) newAccess(name string, r *record) *access {
	a := &access{origins: m.apiSettings().origins}
	api := m.set.api
	if api == nil {
		return a
	}
	if a.origins == nil {
		urls, err := api.APIURLs(r.token())
		if err == nil {
			a.origins, err = m.originsOf("APIURLs[%d] of Manager.Config", urls)
		}
		if err != nil {
			a.err = fmt.Errorf("tokensource: the token of connection %q can't be sent: %w", name, redact.Error(err, []string{r.AccessToken, r.RefreshToken}))
			return a
		}
	}
	h := api.APIHeader(r.token())
	if v := h["Authorization"]; len(h) == 0 || len(h) == 1 && len(v) == 1 && v[0] == "Bearer "+r.AccessToken {
		return a
	}
	a.header = make(http.Header, len(h))
	for field, values := range h {
		a.header[http.CanonicalHeaderKey(field)] = values
	}
	return a
}

// tokenRejected reports whether an answer is about the token, and the API's code for that if
// it gives one. Without an API that knows, it is a 401 (RFC 6750, section 3).
func (m *Manager) tokenRejected(resp *http.Response) (code string, rejected bool) {
	if m.set.api != nil {
		return m.set.api.TokenRejected(resp)
	}
	if resp.StatusCode != http.StatusUnauthorized {
		return "", false
	}
	code, refusal := tokenerror.Refused(resp.Header)
	if refusal != tokenerror.RefusalToken {
		code = "" // it doesn't say that the connection has ended
	}
	return code, refusal != tokenerror.RefusalOther
}
