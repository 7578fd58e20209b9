package tokensource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client returns an HTTP client that authenticates its requests as the connection.
// It doesn't change the requests that it is given, and may be used, and made, as
// often as one likes.
//
// The token is sent to the origin of the provider's API and no other: a request
// for another origin is an error, and when a redirect leads to one, it is followed
// without the token. The origin is that of Manager.APIURL, or else Config's.
//
// When the API answers 401 the token is refreshed and the request repeated, once,
// if its body can be read again (http.Request.GetBody); otherwise the response is
// handed through and the next request has a new token. If the API refuses a token
// that can't be refreshed, and says that the user must reconnect, that is recorded,
// and [ErrLoginRequired] from then on. Everything else, such as 429, is handed
// through.
func (m *Manager) Client(key string) *http.Client {
	return &http.Client{Transport: &apiTransport{source: m.Source(key)}}
}

// apiTransport is the http.RoundTripper of Client.
type apiTransport struct{ source *Source }

// uselessToken is a new token that the API refused too, right after it was issued.
// Refreshing it would be for nothing until a time.
type uselessToken struct {
	id    string
	until time.Time
}

// uselessFor is how long a refresh isn't tried after a new token was refused as
// well: what is wrong then isn't the token.
const uselessFor = time.Minute

// RoundTrip implements http.RoundTripper.
func (t *apiTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	api, err := t.source.m.api()
	if err != nil {
		return nil, closing(r, err)
	}
	if !sameOrigin(r.URL, api) {
		if r.Response != nil { // net/http follows a redirect
			return t.base().RoundTrip(r)
		}
		return nil, closing(r, fmt.Errorf("tokensource: the token of connection %q is for %s://%s and is not sent to %s://%s",
			t.source.key, api.Scheme, api.Host, r.URL.Scheme, r.URL.Host))
	}
	start := time.Now()
	snap, err := t.source.get(r.Context())
	if err != nil {
		return nil, closing(r, err)
	}
	resp, err := t.base().RoundTrip(authorized(r, snap))
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	return t.refused(r, resp, snap, start)
}

// refused deals with a 401 to a request that began at start.
func (t *apiTransport) refused(r *http.Request, resp *http.Response, snap *snapshot, start time.Time) (*http.Response, error) {
	s := t.source
	code, rejected := s.m.tokenRejected(resp)
	if !rejected {
		return resp, nil
	}
	if u := s.useless.Load(); u != nil && u.id == snap.record.ID && time.Now().Before(u.until) {
		rec, _, err := s.m.read(r.Context(), s.key)
		if err != nil || rec.ID == snap.record.ID {
			return resp, nil
		}
		// Another process has another one, which may be adopted below.
	}
	if snap.record.RefreshToken == "" {
		// Without the provider's word for it, a 401 may be a firewall's.
		if code != "" && s.reject(snap) {
			s.recordRejection(r.Context(), snap, code)
		}
		return resp, nil
	}
	s.reject(snap)
	body, ok := bodyAgain(r)
	if !ok {
		return resp, nil
	}
	fresh, err := s.get(r.Context())
	if err == nil && fresh.times.due(time.Now()) {
		// Another process's token, about to end as well: it could end on the way, and
		// there is but one replay. Its refresh has begun; wait for that.
		s.reject(fresh)
		fresh, err = s.get(r.Context())
	}
	if err != nil || fresh.record.ID == snap.record.ID {
		if body != nil {
			body.Close()
		}
		return resp, nil // the next request gets err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // lets the connection be used again
	resp.Body.Close()
	again := authorized(r, fresh)
	again.Body = body
	resp, err = t.base().RoundTrip(again)
	// A token that was there before, from another process, may just have ended too.
	issued := fresh.record.Obtained.After(start.Round(0))
	if err == nil && resp.StatusCode == http.StatusUnauthorized && issued {
		s.useless.Store(&uselessToken{fresh.record.ID, time.Now().Add(uselessFor)})
	}
	return resp, err
}

// recordRejection records that the API has ended the connection.
func (s *Source) recordRejection(ctx context.Context, snap *snapshot, code string) {
	ctx = context.WithoutCancel(ctx)
	f := failure{Reason: ReasonRejected, Code: code, At: now(), Final: true}
	_, changed, _ := s.m.update(ctx, s.key, cell{}, func(stored *record) *record { return stored.rejected(snap.record.ID, f) })
	if changed { // or else it is gone, replaced or recorded; or the next request will find it out
		s.m.emit(ctx, Event{Kind: EventLoginRequired, Connection: s.key, Reason: f.Reason, Err: &loginError{s.key, f, nil}})
	}
}

// authorized returns a copy of r with the token in it.
func authorized(r *http.Request, snap *snapshot) *http.Request {
	c := r.Clone(r.Context())
	c.Header.Set("Authorization", snap.bearer)
	return c
}

// bodyAgain returns the body of r anew, if that is possible.
func bodyAgain(r *http.Request) (io.ReadCloser, bool) {
	if r.Body == nil || r.Body == http.NoBody {
		return r.Body, true
	}
	if r.GetBody == nil {
		return nil, false
	}
	body, err := r.GetBody()
	return body, err == nil
}

// closing closes the body of a request that isn't sent, as RoundTrip must.
func closing(r *http.Request, err error) error {
	if r.Body != nil {
		r.Body.Close()
	}
	return notSent{err}
}

func (t *apiTransport) base() http.RoundTripper {
	if b := t.source.m.Base; b != nil {
		return b
	}
	return http.DefaultTransport
}

// api returns the URL of the provider's API.
func (m *Manager) api() (*url.URL, error) {
	m.apiOnce.Do(func() { m.apiURL, m.apiErr = m.parseAPI() })
	return m.apiURL, m.apiErr
}

func (m *Manager) parseAPI() (*url.URL, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	raw := m.APIURL
	if c, ok := m.Config.(interface{ APIURLs() []string }); ok && raw == "" {
		if urls := c.APIURLs(); len(urls) > 0 {
			raw = urls[0]
		}
	}
	if raw == "" {
		return nil, errors.New("tokensource: set Manager.APIURL to say which origin the tokens are for: Manager.Config doesn't")
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return nil, errors.New("tokensource: Manager.APIURL is not an absolute URL")
	}
	return u, nil
}

// tokenRejected reports whether a 401 is about the token, and the provider's code
// for that if it gives one (RFC 6750, section 3).
func (m *Manager) tokenRejected(resp *http.Response) (code string, rejected bool) {
	if c, ok := m.Config.(interface {
		TokenRejected(*http.Response) (code string, rejected bool)
	}); ok {
		return c.TokenRejected(resp)
	}
	for _, challenge := range resp.Header.Values("WWW-Authenticate") {
		if _, rest, ok := strings.Cut(challenge, `error="`); ok {
			code, _, _ = strings.Cut(rest, `"`)
			return printableCode(code), code == "invalid_token"
		}
	}
	return "", true
}

// sameOrigin compares scheme, host and port (RFC 6454, section 5).
func sameOrigin(a, b *url.URL) bool {
	return strings.EqualFold(a.Scheme, b.Scheme) &&
		strings.EqualFold(a.Hostname(), b.Hostname()) &&
		portOf(a) == portOf(b)
}

func portOf(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)]
}
