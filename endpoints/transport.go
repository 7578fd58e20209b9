package endpoints

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/redact"
	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

const (
	// maxBody is the most that is read of a request's or a response's body, in
	// bytes. Token responses are a few kilobytes; more comes from a broken or
	// hostile server.
	maxBody = 1 << 20

	formType = "application/x-www-form-urlencoded"
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
	a.invalid = a.Validate()
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

// transport adapts the token requests of a plain *oauth2.Config and their responses, and
// passes all other traffic on untouched. It is where x/oauth2, which always sends a form
// and parses the answer itself, can be taught a provider's ways.
type transport struct {
	*adapter
	base   http.RoundTripper // nil means http.DefaultTransport
	probes probes
}

// context returns ctx with a client whose token requests t adapts. The client that
// ctx carries, or else http.DefaultClient, does the work underneath.
func (t *transport) context(ctx context.Context) context.Context {
	client := *clientOf(ctx)
	t.base = client.Transport
	client.Transport = t
	return context.WithValue(ctx, oauth2.HTTPClient, &client)
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !t.adapts(r) {
		return t.next().RoundTrip(r)
	}
	form, err := readForm(r)
	if t.invalid != nil {
		return nil, t.invalid
	}
	if err != nil {
		return nil, t.mistake("%w", err)
	}
	if err := t.plainMistake(form.Get("grant_type")); err != nil {
		return nil, err
	}
	return t.probes.once(r, form, func() (*http.Response, error) {
		in := &input{provider: t.adapter, grant: form.Get("grant_type"), vars: t.takeVars(form), rfc: form}
		return t.send(r, t.next(), &answer{in: in})
	})
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
	if a.resp, err = base.RoundTrip(a.sent); err != nil {
		return nil, redact.Error(err, a.secrets())
	}
	if a.resp == nil {
		return nil, p.errorf("a %T has returned neither an answer nor an error", base)
	}
	return p.response(r, a)
}

// adapts reports whether r is a token request as x/oauth2 makes them, and not API traffic
// or adapted already.
func (t *transport) adapts(r *http.Request) bool {
	if _, adapted := tokenerror.AdaptedFrom(r.Context()); adapted {
		return false // by a transport further up
	}
	if r.Method != http.MethodPost || mediaOf(r.Header) != formType {
		return false
	}
	return t.conversationOf(grantExchange).isFor(r.URL) || t.conversationOf(grantRefresh).isFor(r.URL)
}

// isFor reports whether requests of the conversation go to u.
func (c *conversation) isFor(u *url.URL) bool {
	if c.at != nil {
		return *u == *c.at || u.String() == c.at.String()
	}
	return len(c.url.slots) > 0 && matchesCode(c.url.sample("*"), u.String())
}

func (t *transport) next() http.RoundTripper { return baseOf(t.base) }

// CloseIdleConnections lets http.Client's method of that name reach the base.
func (t *transport) CloseIdleConnections() { closeIdle(t.next()) }

// mediaOf returns the media type of a body.
func mediaOf(h http.Header) string {
	contentType := h.Get("Content-Type")
	if contentType == formType {
		return formType
	}
	media, _, _ := mime.ParseMediaType(contentType)
	return media
}

// readForm reads and closes the body of r, which must be a form.
func readForm(r *http.Request) (url.Values, error) {
	if r.Body == nil {
		return url.Values{}, nil
	}
	defer r.Body.Close()
	body, err := readAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("can't read the token request: %w", err)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errors.New("the token request is not a form") // err would quote it
	}
	return form, nil
}

var errTooLarge = fmt.Errorf("it is larger than %d bytes", maxBody)

// readAll reads at most maxBody bytes.
func readAll(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxBody+1))
	if err == nil && len(body) > maxBody {
		return body[:maxBody], errTooLarge
	}
	return body, err
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

// keptHeaders are the headers of an answer that an error keeps: when to try again,
// and what to quote to the provider's support. Any other may repeat a secret, such
// as Set-Cookie, or make net/http repeat the request, as Location does.
var keptHeaders = []string{"Date", "Retry-After", "X-Request-Id", "Request-Id", "X-Correlation-Id", "Cf-Ray"}

func keepHeaders(to, from http.Header, secrets []string) {
	for _, name := range keptHeaders {
		if v := strings.TrimSpace(from.Get(name)); v != "" && len(v) <= maxErrorText && redact.Text(v, secrets) == v {
			to.Set(name, v)
		}
	}
}

// withoutSecrets returns what an error may know of r. An error keeps the response,
// which leads to its request.
func withoutSecrets(r *http.Request, a tokenerror.Adapted) *http.Request {
	u := *r.URL
	u.User = nil
	bare := &http.Request{Method: r.Method, URL: &u, Host: r.Host, Proto: r.Proto, Header: http.Header{}}
	return bare.WithContext(tokenerror.WithAdapted(context.Background(), a))
}
