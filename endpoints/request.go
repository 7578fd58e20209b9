package endpoints

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/assertion"
	"github.com/oauth2keep/oauth2keep/internal/httpclient"
	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// The grants of [Request.Grant].
const (
	grantExchange   = "authorization_code"
	grantRefresh    = "refresh_token"
	grantRevoke     = "revoke"
	grantIntrospect = "introspect"
	grantClient     = "client" // of Config.SendAsClient
	grantDeviceAuth = "device_authorization"
	grantDevice     = tokenerror.DeviceGrant
)

// conversation is how one kind of request is made: an AuthStyle that was read.
type conversation struct {
	style   AuthStyle // with that of Provider.Style
	auth    ClientAuth
	url     template
	at      *url.URL // url, if it is the same for all
	patches []patch  // in their order
	header  []headerTemplate
	moved   []string // the names that the header uses: those are not sent as parameters
}

type headerTemplate struct {
	name  string
	value template
}

// newConversation reads a style for requests to a URL.
func (p *Provider) newConversation(narrow AuthStyle, rawURL string) *conversation {
	c := &conversation{style: p.Style.merge(narrow), url: parseTemplate(rawURL)}
	c.auth = cmp.Or(c.style.Auth, authOf(p.Endpoint.AuthStyle))
	if len(c.url.slots) == 0 {
		c.at, _ = url.Parse(rawURL)
		if c.at != nil {
			c.at.Host = strings.TrimSuffix(c.at.Host, ":") // as http.NewRequest does
		}
	}
	header := mergedHeader(p.Style.Header, narrow.Header)
	if c.auth == AccessTokenAuth {
		header = mergedHeader(header, p.apiHeader())
	} else {
		c.patches = append(c.patches, p.Style.Params.compile())
	}
	c.patches = append(c.patches, narrow.Params.compile())
	c.header = compileHeader(header)
	for _, h := range c.header {
		c.moved = append(c.moved, h.value.names()...)
	}
	return c
}

func compileHeader(header map[string]string) []headerTemplate {
	var all []headerTemplate
	for _, name := range slices.Sorted(maps.Keys(header)) {
		all = append(all, headerTemplate{name, parseTemplate(header[name])})
	}
	return all
}

// target returns the URL of a request.
func (c *conversation) target(in *input) (*url.URL, error) {
	if c.at != nil {
		u := *c.at
		return &u, nil
	}
	filled, err := c.url.fillURL(in.value, &in.provider.Provider)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(filled)
	if err != nil {
		return nil, fmt.Errorf("%s doesn't become a URL by the values of its variables", c.url.withoutQuery()) // err would quote them
	}
	return u, nil
}

// input is what one request is made of, beside its Provider.
type input struct {
	provider    *adapter
	grant       string // as Request.Grant, or another grant_type
	clientID    string
	secret      string
	redirectURL string
	key         *assertion.Key
	token       *oauth2.Token // that the request is about, or nil
	vars        url.Values    // given by an option
	special     *conversation // in place of that of the grant
	at          *url.URL      // where a call's request goes
	body        []byte        // JSON to send in place of the parameters

	rfc     url.Values // the RFC's parameters, and before they are read, the options as well
	options url.Values // of the call, but for the variables
}

// rfcParams are the parameters of RFC 6749, RFC 7636, RFC 7009 and RFC 8628 by grant. What
// else a request has is an option.
var rfcParams = map[string][]string{
	grantExchange:   {"grant_type", "client_id", "client_secret", "code", "redirect_uri", "code_verifier", "state"},
	grantRefresh:    {"grant_type", "client_id", "client_secret", "refresh_token"},
	grantRevoke:     {"client_id", "client_secret", "token"},
	grantIntrospect: {"client_id", "client_secret", "token"},
	grantClient:     {"client_id", "client_secret"},
	grantDeviceAuth: {"client_id", "client_secret", "scope"},
	grantDevice:     {"grant_type", "client_id", "client_secret", "device_code"},
}

// rfcParamsOfOthers are those of the grants that have no style of their own.
var rfcParamsOfOthers = []string{
	"grant_type", "client_id", "client_secret", "scope", "device_code", "username", "password", "refresh_token", "assertion",
}

// takeOptions moves the options of a call out of params. These are the parameters that aren't
// in names, which are the RFC's, and those in names that have no value: by such an option the
// caller keeps a parameter of the RFC out of the request.
func takeOptions(params url.Values, names []string) (options url.Values) {
	for name, values := range params {
		if slices.Contains(names, name) && len(values) > 0 && values[0] != "" {
			continue
		}
		if options == nil {
			options = make(url.Values)
		}
		options[name] = values
		delete(params, name)
	}
	return options
}

// read takes the options and the client's credentials out of the parameters of r, a request of
// x/oauth2 or of a call.
func (in *input) read(r *http.Request) {
	names, ok := rfcParams[in.grant]
	if !ok {
		names = rfcParamsOfOthers
	}
	in.options = takeOptions(in.rfc, names)
	if id, secret, ok := basicAuth(r); ok && in.clientID == "" {
		in.clientID, in.secret = id, secret
	}
	in.clientID = cmp.Or(in.clientID, in.rfc.Get("client_id"))
	in.secret = cmp.Or(in.secret, in.rfc.Get("client_secret"))
	delete(in.rfc, "client_id")
	delete(in.rfc, "client_secret")
	in.redirectURL = cmp.Or(in.redirectURL, in.rfc.Get("redirect_uri"))
}

// value returns what a name in braces stands for.
func (in *input) value(name string) (string, error) {
	if v, ok := in.parameter(name); ok {
		return v, nil
	}
	v := in.vars.Get(name)
	if v == "" {
		v = beside(in.token, name)
	}
	if v == "" {
		return in.provider.defaultOf(name), nil
	}
	return v, in.provider.checkVar(name, v)
}

// gives reports whether a variable has a value in the request that isn't its default.
func (in *input) gives(name string) bool {
	return in.vars.Get(name) != "" || beside(in.token, name) != ""
}

// parameter returns what the RFC has under that name, sent or not.
func (in *input) parameter(name string) (v string, ok bool) {
	switch name {
	case "client_id":
		return in.clientID, true
	case "client_secret":
		return in.secret, true
	case "random":
		return newUUID(), true
	case "redirect_uri":
		if _, out := in.options[name]; out {
			return "", true // an option has kept it out
		}
		return cmp.Or(in.rfc.Get(name), in.redirectURL), true
	case "access_token", "token_type", "refresh_token":
		if in.token != nil {
			v = map[string]string{
				"access_token": in.token.AccessToken, "token_type": in.token.TokenType, "refresh_token": in.token.RefreshToken,
			}[name]
		}
		return cmp.Or(v, in.rfc.Get(name)), true
	}
	if values, sent := in.rfc[name]; sent && len(values) > 0 {
		return values[0], true
	}
	return "", false
}

// newUUID returns a random UUID (RFC 9562, section 5.4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// conversation returns how the request is made.
func (in *input) conversation() *conversation {
	if in.special != nil {
		return in.special
	}
	return in.provider.conversationOf(in.grant)
}

// request returns the request to send in place of r, and its parameters as the
// provider calls them. It doesn't change r.
func (p *adapter) request(r *http.Request, in *input) (sent *http.Request, theirs url.Values, err error) {
	c := in.conversation()
	sent = r.Clone(tokenerror.WithAdapted(r.Context(), tokenerror.Adapted{Grant: in.grant}))
	sent.Body, sent.GetBody, sent.ContentLength, sent.Host = nil, nil, 0, ""
	sent.Method = c.style.Method
	sent.Header.Del("Authorization")
	sent.Header.Del("Cookie") // see addCookies
	sent.Header.Set("Accept", "application/json")
	if sent.URL, err = c.target(in); err != nil {
		return sent, nil, err
	}
	if theirs, err = c.params(sent, in); err != nil {
		return sent, nil, err
	}
	if err = c.setHeader(sent, in); err != nil {
		return sent, theirs, err
	}
	if p.Request != nil {
		if err = p.Request(&Request{Grant: in.grant, Params: theirs, HTTP: sent, value: in.value}); err != nil {
			return sent, theirs, fmt.Errorf("Request: %w", err)
		}
		for name := range sent.Header {
			if isIdempotencyKey(name) {
				return sent, theirs, fmt.Errorf("Request: the header %s %s", name, wouldRepeat)
			}
		}
	}
	addCookies(sent, r)
	if sent.Body != nil {
		return sent, theirs, resetBody(sent)
	}
	if in.body != nil {
		sent.Header.Set("Content-Type", "application/json")
		setBody(sent, in.body)
		return sent, theirs, nil
	}
	encode(sent, theirs, c.style.Body)
	return sent, theirs, nil
}

// addCookies gives sent those of r, which http.Client's jar has put there, unless it goes
// to another origin, by the definition or by a hook.
func addCookies(sent, r *http.Request) {
	if jar := r.Header["Cookie"]; jar != nil && httpclient.SameOrigin(sent.URL, r.URL) {
		sent.Header.Set("Cookie", strings.Join(append(sent.Header["Cookie"], jar...), "; "))
	}
}

// params returns the parameters of the request, under the names of the provider.
func (c *conversation) params(sent *http.Request, in *input) (url.Values, error) {
	if in.provider.Consent.PKCE == NoPKCE {
		delete(in.rfc, "code_verifier")
		delete(in.options, "code_verifier")
	}
	if err := c.authenticate(sent, in); err != nil {
		return nil, err
	}
	params := maps.Clone(in.rfc)
	if c.auth == AccessTokenAuth {
		clear(params)
	}
	for _, name := range c.moved {
		delete(params, name)
	}
	for _, patch := range c.patches {
		if err := patch.apply(params, in.value); err != nil {
			return nil, err
		}
	}
	finish(params, in.options)
	return params, nil
}

func (c *conversation) setHeader(sent *http.Request, in *input) error {
	for _, h := range c.header {
		v, known, err := h.value.fill(in.value)
		if err != nil {
			return err
		}
		if strings.ContainsFunc(v, isControl) {
			return fmt.Errorf("the value of the header %s isn't accepted", h.name)
		}
		if known {
			sent.Header.Set(h.name, v)
		}
	}
	return nil
}

// basicAuth returns the client's credentials as x/oauth2 puts them into the header:
// form-encoded first (RFC 6749, section 2.3.1).
func basicAuth(r *http.Request) (id, secret string, ok bool) {
	id, secret, ok = r.BasicAuth()
	if !ok {
		return "", "", false
	}
	if s, err := url.QueryUnescape(id); err == nil {
		id = s
	}
	if s, err := url.QueryUnescape(secret); err == nil {
		secret = s
	}
	return id, secret, true
}

// uses returns the names that the parameters and headers of a request use.
func (c *conversation) uses() []string {
	names := slices.Clone(c.moved)
	for _, patch := range c.patches {
		names = append(names, patch.moved...)
	}
	return names
}
