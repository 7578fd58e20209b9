package endpoints

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"strings"

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

// transport adapts token requests and their responses, and passes all other
// traffic on untouched. It is where x/oauth2, which always sends a form and parses
// the answer itself, can be taught a provider's ways.
type transport struct {
	provider Provider
	mistake  error             // in provider; every token request reports it
	base     http.RoundTripper // nil means http.DefaultTransport

	tokenURL, refreshURL, revokeURL string // as net/http prints them
}

func newTransport(p Provider, base http.RoundTripper) *transport {
	mistake := p.Validate()
	if reflect.ValueOf(p.Style).IsZero() {
		mistake = p.validate() // nothing to adapt: x/oauth2 as it is, probing included
	}
	return &transport{
		provider:   p,
		mistake:    mistake,
		base:       base,
		tokenURL:   normalized(p.Endpoint.TokenURL),
		refreshURL: normalized(p.RefreshURL),
		revokeURL:  normalized(p.RevokeURL),
	}
}

// normalized returns the URL as a request for it has it.
func normalized(rawURL string) string {
	r, err := http.NewRequest(http.MethodPost, rawURL, nil)
	if err != nil {
		return ""
	}
	return r.URL.String()
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !t.adapts(r) {
		return t.next().RoundTrip(r)
	}
	form, err := readForm(r)
	if t.mistake != nil {
		return nil, t.mistake
	}
	if err != nil {
		return nil, t.provider.mistake("%w", err)
	}
	sent, secrets, err := t.provider.request(r, form)
	if err != nil {
		return nil, t.provider.mistake("%w", redact.Error(err, secrets))
	}
	resp, err := t.next().RoundTrip(sent)
	if err != nil {
		return nil, redact.Error(err, secrets)
	}
	return t.response(r, resp, &answer{resp: resp, grant: form.Get("grant_type"), secrets: secrets})
}

// adapts reports whether r is a token request as x/oauth2 and Config.Revoke make
// them, and not API traffic or adapted already.
func (t *transport) adapts(r *http.Request) bool {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Method != http.MethodPost || media != formType {
		return false
	}
	if _, adapted := tokenerror.AdaptedFrom(r.Context()); adapted {
		return false // by a transport further up
	}
	switch r.URL.String() {
	case "":
		return false
	case t.tokenURL, t.refreshURL:
		return true
	case t.revokeURL:
		return isRevocation(r.Context())
	}
	return false
}

func (t *transport) next() http.RoundTripper { return baseOf(t.base) }

// CloseIdleConnections lets http.Client's method of that name reach the base.
func (t *transport) CloseIdleConnections() { closeIdle(t.next()) }

// readForm reads and closes the body of r.
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

// response turns the answer to r into what x/oauth2 expects.
func (t *transport) response(r *http.Request, resp *http.Response, a *answer) (*http.Response, error) {
	if resp.Body != nil {
		defer resp.Body.Close()
		a.body, a.err = readAll(resp.Body)
		if a.err != nil && a.err != errTooLarge {
			return nil, redact.Error(t.provider.errorf("can't read the token response: %w", a.err), a.secrets)
		}
	}
	adapt := t.provider.adaptResponse
	if isRevocation(r.Context()) {
		adapt = t.provider.adaptRevocation
	}
	rfc := adapt(a)
	return &http.Response{
		Status:        fmt.Sprintf("%d %s", rfc.status, http.StatusText(rfc.status)),
		StatusCode:    rfc.status,
		Proto:         resp.Proto,
		ProtoMajor:    resp.ProtoMajor,
		ProtoMinor:    resp.ProtoMinor,
		Header:        adaptHeader(resp.Header, a.secrets),
		Body:          io.NopCloser(bytes.NewReader(rfc.body)),
		ContentLength: int64(len(rfc.body)),
		TLS:           resp.TLS,
		Request:       withoutSecrets(r, tokenerror.Adapted{Grant: a.grant, Kind: rfc.kind}),
	}, nil
}

// keptHeaders are the headers of an answer that an error keeps: when to try again,
// and what to quote to the provider's support. Any other may repeat a secret, such
// as Set-Cookie, or make net/http repeat the request, as Location does.
var keptHeaders = []string{"Date", "Retry-After", "X-Request-Id", "Request-Id", "X-Correlation-Id", "Cf-Ray"}

func adaptHeader(h http.Header, secrets []string) http.Header {
	adapted := http.Header{"Content-Type": {"application/json"}}
	for _, name := range keptHeaders {
		if v := strings.TrimSpace(h.Get(name)); v != "" && len(v) <= maxErrorText && redact.Text(v, secrets) == v {
			adapted.Set(name, v)
		}
	}
	return adapted
}

// withoutSecrets returns what an error may know of r. An error keeps the response,
// which leads to its request.
func withoutSecrets(r *http.Request, a tokenerror.Adapted) *http.Request {
	u := *r.URL
	u.User = nil
	bare := &http.Request{Method: r.Method, URL: &u, Host: r.Host, Proto: r.Proto, Header: http.Header{}}
	return bare.WithContext(tokenerror.WithAdapted(context.Background(), a))
}
