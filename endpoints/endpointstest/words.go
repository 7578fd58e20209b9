package endpointstest

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// The requests of a definition: the consent page, and what AuthStyle describes.
const (
	atConsent         = "consent"
	atExchange        = "authorization_code"
	atRefresh         = "refresh_token"
	atRevoke          = "revoke"
	atIntrospect      = "introspect"
	atDeviceAuth      = "device_authorization"
	atDevice          = "urn:ietf:params:oauth:grant-type:device_code" // RFC 8628, section 3.4
	clientCredentials = "client_credentials"
)

// conversation is one kind of request as a definition says that it comes.
type conversation struct {
	grant    string
	method   string
	body     endpoints.BodyFormat
	auth     endpoints.ClientAuth
	audience string
	params   map[string][]string // of each parameter the values, with names in braces
	header   map[string]string   // the same, by the canonical name
	optional map[string]bool     // names in braces that a client may have no value for
}

// parameters are those that the RFCs have, but for the client's.
var parameters = map[string][]string{
	atConsent:         {"response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method"},
	atExchange:        {"grant_type", "code", "redirect_uri", "code_verifier"},
	atRefresh:         {"grant_type", "refresh_token"},
	atRevoke:          {"token"},
	atIntrospect:      {"token"},
	atDeviceAuth:      {"scope"},
	atDevice:          {"grant_type", "device_code"},
	clientCredentials: {"grant_type", "scope"},
}

// clientParameters are those with which a client authenticates.
var clientParameters = map[endpoints.ClientAuth][]string{
	endpoints.ClientSecretPost: {"client_id", "client_secret"},
	endpoints.PublicClient:     {"client_id"},
	endpoints.PrivateKeyJWT:    {"client_id", "client_assertion_type", "client_assertion"},
	endpoints.ClientSecretJWT:  {"client_id", "client_assertion_type", "client_assertion"},
}

// consentConversation is what p's consent page is asked.
func consentConversation(p *endpoints.Provider) *conversation {
	c := &conversation{grant: atConsent, method: http.MethodGet, body: endpoints.QueryBody}
	c.start(p, nil)
	c.patch(p.Consent.Params)
	return c
}

// styled is what p says of one of the requests that AuthStyle describes. What narrow
// says goes before what Style says.
func styled(p *endpoints.Provider, grant string, narrow endpoints.AuthStyle) *conversation {
	wide := p.Style
	c := &conversation{
		grant:    grant,
		method:   cmp.Or(narrow.Method, wide.Method, http.MethodPost),
		body:     narrow.Body,
		auth:     cmp.Or(narrow.Auth, wide.Auth),
		audience: cmp.Or(narrow.Audience, wide.Audience),
		header:   make(map[string]string),
	}
	if c.body == "" && narrow.Method != http.MethodGet {
		c.body = wide.Body
	}
	if c.body == "" {
		c.body = endpoints.FormBody
		if c.method == http.MethodGet {
			c.body = endpoints.QueryBody
		}
	}
	if c.auth == "" {
		c.auth = endpoints.ClientSecretPost
		if p.Endpoint.AuthStyle == oauth2.AuthStyleInHeader {
			c.auth = endpoints.ClientSecretBasic
		}
	}
	for _, header := range []map[string]string{wide.Header, narrow.Header} {
		for name, template := range header {
			c.header[http.CanonicalHeaderKey(name)] = template
		}
	}
	if c.auth == endpoints.AccessTokenAuth {
		maps.Copy(c.header, apiHeader(p))
		c.start(p, []string{})
		c.patch(narrow.Params)
		return c
	}
	c.start(p, slices.Concat(parameters[grant], clientParameters[c.auth]))
	for _, template := range c.header {
		c.move(template)
	}
	c.patch(wide.Params)
	c.patch(narrow.Params)
	c.leaveOut()
	return c
}

// leaveOut takes away the values that need a parameter which there is in other
// requests only, as those of Style may.
func (c *conversation) leaveOut() {
	has := slices.Concat(parameters[c.grant], []string{"client_id", "client_secret", "client_assertion", "client_assertion_type", "redirect_uri"})
	if c.grant != atExchange && c.grant != clientCredentials {
		has = append(has, "access_token", "refresh_token", "token_type")
	}
	var others []string
	for _, names := range parameters {
		others = append(others, names...)
	}
	others = append(others, "access_token", "token_type")
	needsOther := func(template string) bool {
		return slices.ContainsFunc(namesIn(template), func(name string) bool {
			return slices.Contains(others, name) && !slices.Contains(has, name)
		})
	}
	for name, templates := range c.params {
		if c.params[name] = slices.DeleteFunc(templates, needsOther); len(c.params[name]) == 0 {
			delete(c.params, name)
		}
	}
	maps.DeleteFunc(c.header, func(_, template string) bool { return needsOther(template) })
	c.optional["refresh_token"] = c.grant != atRefresh // there may be none
}

// start begins with the parameters of the RFC.
func (c *conversation) start(p *endpoints.Provider, rfc []string) {
	if rfc == nil {
		rfc = parameters[c.grant]
	}
	c.params = make(map[string][]string)
	for _, name := range rfc {
		if p.Consent.PKCE == endpoints.NoPKCE && strings.HasPrefix(name, "code_") {
			continue
		}
		c.params[name] = []string{"{" + name + "}"}
	}
	c.optional = map[string]bool{"state": true, "scope": true}
	for name := range p.Vars {
		c.optional[name] = true
	}
	for _, name := range p.Callback.Keep {
		c.optional[name] = true
	}
}

// patch applies what a definition says of the parameters: those with values are sent
// with them, those without are not sent, and those that are sent in another place
// aren't sent in their own.
func (c *conversation) patch(params endpoints.Params) {
	for _, templates := range params {
		for _, template := range templates {
			c.move(template)
		}
	}
	for name, templates := range params {
		if len(templates) == 0 {
			delete(c.params, name)
			continue
		}
		c.params[name] = slices.Clone(templates)
	}
}

func (c *conversation) move(template string) {
	for _, name := range namesIn(template) {
		delete(c.params, name)
	}
}

// sends reports whether a name in braces is part of the request.
func (c *conversation) sends(name string) bool {
	for _, templates := range c.params {
		if slices.Contains(namesIn(templates...), name) {
			return true
		}
	}
	return slices.Contains(namesIn(slices.Collect(maps.Values(c.header))...), name)
}

// apiHeader returns the headers that p's API takes, by their canonical names, and
// among them the one with the access token.
func apiHeader(p *endpoints.Provider) map[string]string {
	h := make(map[string]string)
	hasToken := false
	for name, template := range p.API.Header {
		h[http.CanonicalHeaderKey(name)] = template
		hasToken = hasToken || slices.Contains(namesIn(template), "access_token")
	}
	if !hasToken {
		h["Authorization"] = "Bearer {access_token}"
	}
	return h
}

// apiConversation is a call of p's API: its parameters are its own affair.
func apiConversation(p *endpoints.Provider) *conversation {
	c := &conversation{auth: endpoints.AccessTokenAuth, header: apiHeader(p)}
	c.start(p, []string{})
	return c
}

// later returns the variables that p uses after an exchange.
func later(p *endpoints.Provider) []string {
	texts := append([]string{p.RefreshURL, p.RevokeURL, p.IntrospectURL}, p.APIURLs...)
	if p.RefreshURL == "" {
		texts = append(texts, p.Endpoint.TokenURL)
	}
	for _, style := range []endpoints.AuthStyle{p.Style, p.Refresh, p.Revoke, p.Introspect} {
		for _, templates := range style.Params {
			texts = append(texts, templates...)
		}
		texts = slices.AppendSeq(texts, maps.Values(style.Header))
	}
	texts = slices.AppendSeq(texts, maps.Values(p.API.Header))
	names := slices.DeleteFunc(namesIn(texts...), func(name string) bool {
		_, declared := p.Vars[name]
		return !declared
	})
	slices.Sort(names)
	return slices.Compact(names)
}
