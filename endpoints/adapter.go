package endpoints

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/oauth2keep/oauth2keep/internal/httpclient"
	"github.com/oauth2keep/oauth2keep/internal/redact"
	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// adapter is a Provider that was read and checked, once.
type adapter struct {
	Provider       // a copy, which nobody changes
	invalid  error // what is wrong with it; every token request reports it

	kept []string // the names of what later requests need

	// By grant, read when they are needed: most adapters that a context is made for have
	// one request.
	conversations [5]atomic.Pointer[conversation]
}

func newAdapter(p Provider) *adapter {
	a := &adapter{Provider: p.clone()}
	switch m := a.allMistakes(); len(m) {
	case 0:
	case 1:
		a.invalid = a.mistake("%w", m[0])
	default: // in one line, and short enough to be shown whole
		a.invalid = a.mistake("%w (Provider.Validate names %d more)", m[0], len(m)-1)
	}
	a.kept = a.keptNames()
	return a
}

// keptNames returns the names of the variables that are needed after an exchange.
func (p *adapter) keptNames() []string {
	names := slices.Clone(p.Callback.Keep)
	if len(p.Vars) == 0 {
		return names
	}
	add := func(texts ...string) {
		for _, text := range texts {
			for _, name := range namesIn(text) {
				if _, variable := p.Vars[name]; variable && !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
	}
	add(p.Endpoint.TokenURL, p.RefreshURL, p.RevokeURL, p.IntrospectURL)
	add(p.APIURLs...)
	add(slices.Collect(maps.Values(p.API.Header))...)
	for _, s := range []AuthStyle{p.Style, p.Refresh, p.Revoke, p.Introspect} {
		add(slices.Collect(maps.Values(s.Header))...)
		for _, values := range s.Params {
			add(values...)
		}
	}
	slices.Sort(names)
	return names
}

// conversationOf returns how requests of a grant are made. A grant that has no style of
// its own has that of all.
func (p *adapter) conversationOf(grant string) *conversation {
	i, narrow, rawURL := 0, &AuthStyle{}, p.Endpoint.TokenURL
	switch grant {
	case grantExchange:
		i, narrow = 1, &p.Exchange
	case grantRefresh:
		i, narrow, rawURL = 2, &p.Refresh, cmp.Or(p.RefreshURL, rawURL)
	case grantRevoke:
		i, narrow, rawURL = 3, &p.Revoke, p.RevokeURL
	case grantIntrospect:
		i, narrow, rawURL = 4, &p.Introspect, p.IntrospectURL
	}
	c := p.conversations[i].Load()
	if c == nil {
		c = p.newConversation(*narrow, rawURL)
		p.conversations[i].Store(c)
	}
	return c
}

// send has base send what a.in describes, in place of r, as the provider wants it, and
// returns the answer in the form that x/oauth2 reads.
func (p *adapter) send(r *http.Request, base http.RoundTripper, a *answer) (*http.Response, error) {
	a.in.read(r)
	a.asked = r
	var err error
	if a.sent, a.params, err = p.request(r, a.in); err != nil {
		return nil, p.mistake("%w", redact.Error(err, a.secrets()))
	}
	if a.resp, err = httpclient.RoundTripOnce(base, a.sent); err != nil {
		return nil, redact.Error(err, a.secrets())
	}
	if a.resp == nil {
		return nil, p.errorf("a %T has returned neither an answer nor an error", base)
	}
	return p.response(r, a)
}

// response returns the adapted form of the answer to r. A call's success is empty: the
// call has what was in it.
func (p *adapter) response(r *http.Request, a *answer) (*http.Response, error) {
	resp := a.resp
	a.status = resp.StatusCode
	if resp.Body != nil {
		defer resp.Body.Close()
		a.body, a.err = readAll(resp.Body)
		if a.err != nil && a.err != errTooLarge {
			return nil, redact.Error(p.errorf("can't read the token response: %w", a.err), a.secrets())
		}
	}
	rfc := p.adapt(a)
	if a.call != nil && !isFailure(rfc.status) {
		return &http.Response{StatusCode: rfc.status, Body: http.NoBody, Request: r}, nil
	}
	return a.rfcResponse(r, rfc), nil
}

// rfcResponse returns the answer to r in its adapted form.
func (a *answer) rfcResponse(r *http.Request, rfc adapted) *http.Response {
	resp := a.resp
	adapted := &http.Response{
		Status:        strconv.Itoa(rfc.status) + " " + http.StatusText(rfc.status),
		StatusCode:    rfc.status,
		Proto:         resp.Proto,
		ProtoMajor:    resp.ProtoMajor,
		ProtoMinor:    resp.ProtoMinor,
		Header:        http.Header{"Content-Type": {"application/json"}},
		Body:          io.NopCloser(bytes.NewReader(rfc.body)),
		ContentLength: int64(len(rfc.body)),
		TLS:           resp.TLS,
		Request:       r,
	}
	if isFailure(rfc.status) { // an error keeps the response
		adapted.Request = withoutSecrets(r, tokenerror.Adapted{Grant: a.in.grant, Kind: rfc.kind})
		keepHeaders(adapted.Header, resp.Header, a.secrets())
	}
	return adapted
}

// keepHeaders copies to dst what an error may keep of the header src.
func keepHeaders(dst, src http.Header, secrets []string) {
	for _, name := range redact.KeptHeaders {
		if v := strings.TrimSpace(src.Get(name)); v != "" && len(v) <= maxErrorText && redact.Text(v, secrets) == v {
			dst.Set(name, v)
		}
	}
}

// withoutSecrets returns what an error may know of r. An error keeps the response,
// which leads to its request.
func withoutSecrets(r *http.Request, a tokenerror.Adapted) *http.Request {
	bare := &http.Request{Method: r.Method, URL: printable(r.URL), Host: r.Host, Proto: r.Proto, Header: http.Header{}}
	return bare.WithContext(tokenerror.WithAdapted(context.Background(), a))
}

// printable returns what an error may know of a URL, in whose query there are keys.
func printable(u *url.URL) *url.URL {
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
}
