package endpoints

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"

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

// adapter is a Provider that was checked, once, and what follows from it.
type adapter struct {
	Provider         // a copy, which nobody changes
	invalid    error // what is wrong with it; every token request reports it
	tokenURL   string
	refreshURL string // this and the others as net/http prints them
	revokeURL  string
}

func newAdapter(p Provider) *adapter {
	p = p.clone()
	invalid := p.Validate()
	if reflect.ValueOf(p.Style).IsZero() {
		invalid = p.validate() // nothing to adapt: x/oauth2 as it is, probing included
	}
	return &adapter{
		Provider:   p,
		invalid:    invalid,
		tokenURL:   normalized(p.Endpoint.TokenURL),
		refreshURL: normalized(p.RefreshURL),
		revokeURL:  normalized(p.RevokeURL),
	}
}

// context returns ctx with a client whose token requests t adapts. The client that
// ctx carries, or else http.DefaultClient, does the work underneath.
func (t *transport) context(ctx context.Context) context.Context {
	client := *clientOf(ctx)
	t.base = client.Transport
	client.Transport = t
	return context.WithValue(ctx, oauth2.HTTPClient, &client)
}

// transport adapts token requests and their responses, and passes all other
// traffic on untouched. It is where x/oauth2, which always sends a form and parses
// the answer itself, can be taught a provider's ways.
type transport struct {
	*adapter
	base http.RoundTripper // nil means http.DefaultTransport

	// A transport that is made for one call keeps what the provider sent, so that
	// x/oauth2, which reads an answer twice and numbers as a float64, needn't.
	forOne   bool
	received map[string]any

	// known, if set, returns secrets that may come back though they aren't sent. What
	// prints t can't look into a function.
	known func() []string
}

// normalized returns the URL as a request for it has it.
func normalized(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	u.Host = strings.TrimSuffix(u.Host, ":") // as http.NewRequest does
	return u.String()
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !t.adapts(r) {
		return t.next().RoundTrip(r)
	}
	form, params, err := readForm(r)
	if t.invalid != nil {
		return nil, t.invalid
	}
	if err != nil {
		return nil, t.mistake("%w", err)
	}
	var sent *http.Request
	a := &answer{grant: params.Get("grant_type")}
	a.requestSecrets = func() []string { // only an error asks for them
		original, _ := url.ParseQuery(form)
		secrets := append(requestSecrets(r, original), requestSecrets(sent, params)...)
		if t.known != nil {
			secrets = append(secrets, t.known()...)
		}
		return secrets
	}
	sent, params, err = t.request(r, params)
	if err != nil {
		return nil, t.mistake("%w", redact.Error(err, a.secrets()))
	}
	a.resp, err = t.next().RoundTrip(sent)
	if err != nil {
		return nil, redact.Error(err, a.secrets())
	}
	return t.response(r, a)
}

// adapts reports whether r is a token request as x/oauth2 and Config.Revoke make
// them, and not API traffic or adapted already.
func (t *transport) adapts(r *http.Request) bool {
	if r.Method != http.MethodPost || mediaOf(r.Header) != formType {
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
func readForm(r *http.Request) (form string, params url.Values, err error) {
	if r.Body == nil {
		return "", url.Values{}, nil
	}
	defer r.Body.Close()
	body, err := readAll(r.Body)
	if err != nil {
		return "", nil, fmt.Errorf("can't read the token request: %w", err)
	}
	form = string(body)
	params, err = url.ParseQuery(form)
	if err != nil {
		return "", nil, errors.New("the token request is not a form") // err would quote it
	}
	return form, params, nil
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
func (t *transport) response(r *http.Request, a *answer) (*http.Response, error) {
	resp := a.resp
	if resp.Body != nil {
		defer resp.Body.Close()
		a.body, a.err = readAll(resp.Body)
		if a.err != nil && a.err != errTooLarge {
			return nil, redact.Error(t.errorf("can't read the token response: %w", a.err), a.secrets())
		}
	}
	adapt := t.adaptResponse
	if isRevocation(r.Context()) {
		adapt = t.adaptRevocation
	}
	rfc := adapt(a)
	if rfc.members != nil {
		rfc = t.success(a, rfc)
	}
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
		adapted.Request = withoutSecrets(r, tokenerror.Adapted{Grant: a.grant, Kind: rfc.kind})
		keepHeaders(adapted.Header, resp.Header, a.secrets())
	}
	return adapted, nil
}

// success encodes the members of a token response for x/oauth2. If t is made for one
// call, x/oauth2 is handed no more than what it reads itself, and the rest is kept.
func (t *transport) success(a *answer, rfc adapted) adapted {
	members := rfc.members
	var err error
	if t.Style.Response != nil { // which may have put values of any type there
		rfc.body, err = json.Marshal(members)
		if err == nil {
			members, err = decodeMembers("", rfc.body)
		}
	}
	n := numbers{decoded: t.forOne}
	n.exact(members)
	switch {
	case err != nil:
	case t.forOne:
		t.received, rfc.body = members, marshalToken(members)
	case rfc.asSent && !n.changed && trim(a.body)[0] == '{':
		rfc.body = trim(a.body)
	default:
		rfc.body, err = json.Marshal(members)
	}
	if err != nil {
		return t.unreadable(a, errNotJSON)
	}
	return rfc
}

// marshalToken makes a JSON object of what x/oauth2 reads of a token response.
func marshalToken(members map[string]any) []byte {
	body := append(make([]byte, 0, 512), '{')
	for _, name := range []string{"access_token", "token_type", "refresh_token"} {
		if s, ok := members[name].(string); ok {
			body = append(appendString(append(appendString(body, name), ':'), s), ',')
		}
	}
	seconds, _ := members["expires_in"].(float64) // 0 is none to x/oauth2
	return append(strconv.AppendInt(append(body, `"expires_in":`...), int64(seconds), 10), '}')
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
