package tokensource

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/oauth2keep/oauth2keep/internal/httpclient"
	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// Client returns an HTTP client that authenticates its requests as the connection, with
// a bearer token (RFC 6750) or as Config says, if it is an [API]. It doesn't change the
// requests that it is given, and may be used, and made, as often as one likes.
//
// The token is sent to the origins of the provider's API and no other: those of
// Manager.APIURLs, or else Config's for the token. A request for another origin, by its URL
// or its Host, is an error. When a redirect leads to one, it is followed without the token,
// and without one that the caller has put into the request, and so is every redirect after
// that, wherever it leads. A request that has an Authorization of its own, of another scheme
// than the token's, keeps it, and goes to these origins alone, too, as soon as there is a token.
//
// When the API answers 401, or what Config knows to be a refusal, the token is refreshed and
// the request repeated, once, if its body can be read again (http.Request.GetBody). Where it
// isn't repeated, and for any other answer, such as 429, the response is handed through:
//
//	the API refuses the token, and                     the next request
//	the body can't be read again                       has a new token
//	the refresh fails                                  gets the error
//	there is no refresh token, and the API says        gets ErrLoginRequired; it is recorded,
//	that the token has ended                           and Status says so at once
//
// If the API refuses the new token too, none is asked for in the next minute. A response
// that refuses it comes up to 50 ms and a read of the store later, since all requests share
// a look whether another process has a token.
func (m *Manager) Client(name string) *http.Client {
	return &http.Client{Transport: &apiTransport{source: m.Source(name)}}
}

// apiTransport is the http.RoundTripper of Client.
type apiTransport struct{ source *Source }

// RoundTrip implements http.RoundTripper.
func (t *apiTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL == nil {
		return nil, closing(r, errors.New("tokensource: the request has no URL"))
	}
	if r.Context().Value(tokenRequest{}) != nil {
		return t.handOver(r) // it is what a token request is made with
	}
	api := t.source.m.apiSettings()
	if api.err != nil {
		return nil, closing(r, api.err)
	}
	if api.origins != nil || r.Response != nil {
		if known := t.origins(api); known != nil {
			if with, err := t.takesToken(r, known); err != nil {
				return nil, closing(r, err)
			} else if !with {
				return t.without(r, api)
			}
		}
	}
	kind := api.names.kindOf(r.Header, api.scheme)
	if kind == headerOwn {
		if err := t.refuseOwn(r, api); err != nil {
			return nil, closing(r, err)
		}
		return t.handOver(r)
	}
	v, err := t.source.get(r.Context())
	if err != nil {
		if known := t.origins(api); known != nil {
			if _, elsewhere := t.takesToken(r, known); elsewhere != nil {
				err = elsewhere
			}
		}
		return nil, closing(r, err)
	}
	a := t.source.accessOf(v)
	if a.err != nil {
		return nil, closing(r, a.err)
	}
	if api.origins == nil {
		if with, err := t.takesToken(r, a.origins); err != nil {
			return nil, closing(r, err)
		} else if !with {
			return t.without(r, api)
		}
	}
	resp, err := t.send(r, kind, r.Body, v, a)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusUnauthorized && t.source.m.set.api == nil {
		return resp, nil
	}
	return t.repeatIfRefused(r, kind, resp, v)
}

// origins returns the origins that tokens may be sent to, as far as that is known without
// a look at the record: those that were configured, or those of the token that is known,
// also if it has ended.
func (t *apiTransport) origins(api *apiSettings) httpclient.Origins {
	if api.origins == nil {
		if v := t.source.known(); v.record != nil && v.record.AccessToken != "" {
			return t.source.accessOf(v).origins
		}
	}
	return api.origins
}

// refuseOwn returns an error if r, which has an Authorization of its own, goes to another
// origin than the token would. It takes a look at the record, and no refresh, to know.
func (t *apiTransport) refuseOwn(r *http.Request, api *apiSettings) error {
	if api.origins != nil || r.Response != nil {
		return nil // it was seen already
	}
	s := t.source
	check := func() error {
		known := t.origins(api)
		if known == nil {
			return nil // there is no token
		}
		_, err := t.takesToken(r, known)
		return err
	}
	v := s.knownOrRead(r.Context())
	err := check()
	if err != nil && v.isStale(time.Now(), s.m.set.stale) { // perhaps there is a token for it by now
		s.lookNow(r.Context())
		err = check()
	}
	return err
}

// without makes a request without the token. That mustn't come along from the request that was
// redirected, either: an SDK may have put it there, and net/http copies such a header field to any
// host, or to another port of that host.
func (t *apiTransport) without(r *http.Request, api *apiSettings) (*http.Response, error) {
	c := new(http.Request)
	*c = *r
	c.Header = withoutToken(r.Header, api)
	resp, err := t.handOver(c)
	if resp != nil {
		resp.Request = r
	}
	return resp, err
}

// CloseIdleConnections is for http.Client's method of that name.
func (t *apiTransport) CloseIdleConnections() {
	(&http.Client{Transport: t.base()}).CloseIdleConnections()
}

// takesToken reports whether the token goes with r. It is an error to ask for that where
// it mustn't go.
func (t *apiTransport) takesToken(r *http.Request, origins httpclient.Origins) (bool, error) {
	switch {
	case r.Response != nil: // net/http follows a redirect
		return !origins.Left(r), nil
	case r.URL.Host == "":
		return false, fmt.Errorf("tokensource: %q is not an absolute URL, such as %v", r.URL.Path, origins)
	case !origins.Takes(r):
		return false, fmt.Errorf("tokensource: the token of connection %q is for %v and is not sent to %s", t.source.name, origins, hostOf(r))
	}
	return true, nil
}

// hostOf is where r goes, for an error.
func hostOf(r *http.Request) string {
	if r.Host != "" && r.Host != r.URL.Host {
		return fmt.Sprintf("%s://%s as host %q", r.URL.Scheme, r.URL.Host, r.Host)
	}
	return r.URL.Scheme + "://" + r.URL.Host
}

// send sends a copy of r, whose header is of that kind, with the token in it.
func (t *apiTransport) send(r *http.Request, kind headerKind, body io.ReadCloser, v *view, a *access) (*http.Response, error) {
	c := new(http.Request)
	*c = *r // what both share, a RoundTripper doesn't change
	c.Body = body
	if a.header == nil {
		c.Header = withBearer(r.Header, kind, v.bearer[:])
	} else {
		c.Header = withFields(r.Header, a.header, v.record.AccessToken)
	}
	resp, err := t.handOver(c)
	if resp != nil {
		resp.Request = r // without the token
	}
	return resp, err
}

// handOver has Manager.Base make a request.
func (t *apiTransport) handOver(r *http.Request) (*http.Response, error) {
	resp, err := t.base().RoundTrip(r)
	if resp == nil && err == nil {
		err = fmt.Errorf("tokensource: Manager.Base, a %T, returned neither a response nor an error", t.base())
	}
	return resp, err
}

// repeatIfRefused returns resp, or, if it refuses v's token, the answer to the request with another
// token.
func (t *apiTransport) repeatIfRefused(r *http.Request, kind headerKind, resp *http.Response, v *view) (*http.Response, error) {
	s := t.source
	code, rejected := s.m.tokenRejected(resp)
	if !rejected {
		return resp, nil
	}
	if v.record.RefreshToken == "" && !s.m.set.twoLegged {
		// Without the provider's word for it, a 401 may be a firewall's.
		if code != "" {
			s.recordRejection(v, code)
		}
		return resp, nil
	}
	if !s.reject(v) && !s.replacedElsewhere(r.Context(), v) {
		return resp, nil // another token is of no use
	}
	body, ok := bodyAgain(r)
	if !ok {
		return resp, nil
	}
	fresh, access := t.another(r, v)
	if fresh == nil {
		if body != nil {
			body.Close()
		}
		return resp, nil
	}
	drain(resp.Body)
	resp, err := t.send(r, kind, body, fresh, access)
	if err == nil {
		if _, rejected := s.m.tokenRejected(resp); rejected {
			s.reject(fresh)
		}
	}
	return resp, err
}

// another returns the token that r can be repeated with instead of v's, or nil.
func (t *apiTransport) another(r *http.Request, v *view) (*view, *access) {
	s := t.source
	fresh, err := s.get(r.Context())
	if err == nil && fresh.due(time.Now()) {
		// Another process's token, about to end as well: it could end on the way, and
		// there is but one replay. Its refresh has begun; wait for that.
		select {
		case <-s.start(r.Context()).done:
		case <-r.Context().Done():
		}
		fresh, err = s.get(r.Context())
	}
	if err != nil || fresh.record.ID == v.record.ID {
		return nil, nil // the next request gets err
	}
	access := s.accessOf(fresh)
	if with, err := t.takesToken(r, access.origins); !with || err != nil || access.err != nil {
		return nil, nil // the API is elsewhere now
	}
	return fresh, access
}

// drain reads what is left of a body, a little and for a moment at most, so that its
// connection can be used again, and closes it.
func drain(body io.ReadCloser) {
	if body == nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = recover() }() // of the body of a Base of the program's own: nobody reads it
		defer body.Close()
		_, _ = io.Copy(io.Discard, io.LimitReader(body, 64<<10))
	}()
	moment := time.NewTimer(drainTime)
	defer moment.Stop()
	select {
	case <-done:
	case <-moment.C:
		body.Close()
	}
}

const drainTime = 100 * time.Millisecond

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
	return tokenerror.NotSent(err)
}

func (t *apiTransport) base() http.RoundTripper {
	if b := t.source.m.Base; b != nil {
		return b
	}
	return http.DefaultTransport
}
