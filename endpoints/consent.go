package endpoints

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"
)

// Consent describes the authorization request, the URL of the consent page.
type Consent struct {
	// Params are the parameters that differ from the RFC's: response_type,
	// client_id, redirect_uri, scope, state, code_challenge and
	// code_challenge_method.
	//
	// They are added to the query of Endpoint.AuthURL, or after the "?" in its
	// fragment if it has one there.
	Params Params `json:"params,omitzero"`

	// Scopes are requested if oauth2.Config.Scopes is empty.
	Scopes []string `json:"scopes,omitzero"`

	// ScopeSeparator stands between two scopes in the URL, exactly as written
	// here: "," or "%20". Empty means "+", which is a space.
	ScopeSeparator string `json:"scope_separator,omitzero"`

	// PKCE is how the code challenge is made (RFC 7636): by [S256], [S256Hex] or
	// [PlainPKCE], or not at all, [NoPKCE]. Empty means [S256].
	PKCE string `json:"code_challenge_method,omitzero"`
}

// The code challenge methods of Consent.PKCE (RFC 7636, section 4.2). They are of the type
// string, so that none is taken for a [ClientAuth], which has a "none" of its own.
const (
	S256      string = "S256"     // base64url of the verifier's SHA-256
	S256Hex   string = "S256-hex" // called S256, but in hexadecimal: TikTok's desktop apps
	PlainPKCE string = "plain"    // the verifier itself
	NoPKCE    string = "none"     // no challenge and no verifier
)

var pkceMethods = []string{S256, S256Hex, PlainPKCE, NoPKCE}

// challenge returns the parameters of RFC 7636 for a verifier.
func (c *Consent) challenge(verifier string) url.Values {
	switch {
	case c.PKCE == NoPKCE || verifier == "":
		return nil
	case c.PKCE == PlainPKCE:
		return url.Values{"code_challenge": {verifier}, "code_challenge_method": {"plain"}}
	}
	return url.Values{"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"}}
}

// adaptChallenge gives a challenge, which may come of an option that x/oauth2 has made, the
// form that the provider takes.
func (c *Consent) adaptChallenge(params url.Values) error {
	switch {
	case c.PKCE == NoPKCE:
		params.Del("code_challenge")
		params.Del("code_challenge_method")
	case c.PKCE == PlainPKCE && params.Get("code_challenge_method") == "S256":
		return errors.New("the provider takes the code challenge method plain alone: give the verifier to Config.Authorize")
	case c.PKCE == S256Hex:
		if sum, err := base64.RawURLEncoding.DecodeString(params.Get("code_challenge")); err == nil && len(sum) == 32 {
			params.Set("code_challenge", hex.EncodeToString(sum))
		}
	}
	return nil
}

// AuthCodeURL returns the URL of the provider's consent page. State is returned by
// the provider to the callback unchanged; package pkce makes and checks it. An
// option replaces the parameter of the same name, and an empty value removes it; the
// option of a variable's name gives that its value. AuthCodeURL returns "" where
// [Config.Authorize] returns an error.
func (c *Config) AuthCodeURL(state string, opts ...oauth2.AuthCodeOption) string {
	consent, _, err := c.Authorize(context.Background(), state, "", opts...)
	if err != nil {
		return ""
	}
	return consent
}

// Authorize returns the URL of the consent page for one attempt. The verifier is that
// of RFC 7636: the challenge is made of it in the way that the provider takes, and none
// is made if it is "". What it returns as kept are the variables among the options,
// which Exchange has to be given as well. Package pkce calls it.
//
// It is an error if the Config has a mistake in it, if the provider has no consent
// page, and if the value of a variable is missing or isn't accepted.
func (c *Config) Authorize(_ context.Context, state, verifier string, opts ...oauth2.AuthCodeOption) (consentURL string, kept map[string]string, err error) {
	conf := c.config()
	switch {
	case conf.err != nil:
		return "", nil, conf.err
	case conf.Endpoint.AuthURL == "":
		return "", nil, conf.mistake("the provider has no consent page: Endpoint.AuthURL is empty")
	}
	params, err := conf.optionsOf(state, verifier, opts)
	if err != nil {
		return "", nil, conf.mistake("%w", err)
	}
	kept = make(map[string]string)
	in := conf.input("", nil)
	in.vars = conf.takeVars(params)
	for name := range in.vars {
		kept[name] = in.vars.Get(name)
	}
	consentURL, err = conf.consentURL(parseTemplate(conf.Endpoint.AuthURL), in, params)
	if err != nil {
		return "", nil, conf.mistake("%w", err)
	}
	return consentURL, kept, nil
}

// optionsOf returns the parameters of RFC 6749 and RFC 7636 with the options applied.
func (c *config) optionsOf(state, verifier string, opts []oauth2.AuthCodeOption) (url.Values, error) {
	bare := &oauth2.Config{ClientID: c.oauth.ClientID, RedirectURL: c.oauth.RedirectURL, Scopes: c.scopes}
	params, err := authParams(bare, state, opts)
	if err != nil {
		return nil, err
	}
	for name, values := range c.Consent.challenge(verifier) {
		if !params.Has(name) {
			params[name] = values
		}
	}
	return params, nil
}

// authParams returns the parameters of bare, which has no AuthURL, with the options
// applied. Only x/oauth2 can apply an option.
func authParams(bare *oauth2.Config, state string, opts []oauth2.AuthCodeOption) (url.Values, error) {
	params, err := url.ParseQuery(strings.TrimPrefix(bare.AuthCodeURL(state, opts...), "?"))
	if err != nil {
		return nil, errors.New("the parameters can't be read") // not reached: x/oauth2 has encoded them
	}
	return params, nil
}

// takeVars takes the variables out of params.
func (p *adapter) takeVars(params url.Values) url.Values {
	var vars url.Values
	for name := range params {
		_, declared := p.Vars[name]
		if !declared && !slices.Contains(p.Callback.Keep, name) {
			continue
		}
		if vars == nil {
			vars = make(url.Values)
		}
		for _, v := range params[name] {
			vars.Add(name, p.canonical(name, v))
		}
		delete(params, name)
	}
	return vars
}

// AuthCodeURL returns p's form of the consent page's URL that a plain
// *oauth2.Config's AuthCodeURL has returned: with the provider's own parameters,
// its names for the RFC's, and without what it doesn't take.
//
//	u := endpoints.Finch.AuthCodeURL(conf.AuthCodeURL(state))
//
// An empty value removes a parameter. AuthCodeURL returns "" if plain isn't such a
// URL, or if there is a mistake in p. [Config.AuthCodeURL] needs none of this.
func (p Provider) AuthCodeURL(plain string) string {
	authURL, query := p.Endpoint.AuthURL, strings.TrimPrefix(plain, p.Endpoint.AuthURL)
	if query == plain { // the Config has an AuthURL of its own
		authURL, query, _ = strings.Cut(plain, "?")
	}
	params, err := url.ParseQuery(strings.TrimLeft(query, "?&"))
	if err != nil || authURL == "" || p.Validate() != nil {
		return ""
	}
	a := newAdapter(p)
	in := &input{provider: a, clientID: params.Get("client_id"), vars: a.takeVars(params)}
	consent, err := a.consentURL(parseTemplate(authURL), in, params)
	if err != nil {
		return ""
	}
	return consent
}

// consentParams are the parameters of an authorization request (RFC 6749, section
// 4.1.1; RFC 7636, section 4.3).
var consentParams = []string{
	"response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method",
}

// scopeMark stands between two scopes until the URL is written.
const scopeMark = "\x00"

// consentURL adds params, as x/oauth2 makes them, to the provider's URL in its own
// terms. What stands in that URL itself is kept as it is.
func (p *adapter) consentURL(authURL template, in *input, params url.Values) (string, error) {
	if err := p.Consent.adaptChallenge(params); err != nil {
		return "", err
	}
	scopes := strings.Fields(params.Get("scope"))
	if !params.Has("scope") {
		scopes = p.Consent.Scopes
	}
	delete(params, "scope")
	if len(scopes) > 0 {
		params.Set("scope", strings.Join(scopes, scopeMark))
	}
	in.rfc, in.options = params, takeOptions(params, consentParams)
	params = maps.Clone(in.rfc)
	if err := p.Consent.Params.compile().apply(params, in.value); err != nil {
		return "", err
	}
	finish(params, in.options)
	base, err := authURL.fillURL(in.value, &p.Provider)
	if err != nil {
		return "", err
	}
	query := strings.ReplaceAll(params.Encode(), url.QueryEscape(scopeMark), p.scopeSeparator())
	return withQuery(base, query), nil
}

func (p *adapter) scopeSeparator() string {
	if s := p.Consent.ScopeSeparator; s != "" {
		return s
	}
	return "+"
}

// withQuery adds a query to that of base, or to its fragment if that has one: there
// are consent pages that read it there.
func withQuery(base, query string) string {
	base, fragment, hasFragment := strings.Cut(base, "#")
	switch {
	case hasFragment && strings.HasSuffix(fragment, "?"):
		return base + "#" + fragment + query
	case hasFragment && strings.Contains(fragment, "?"):
		return base + "#" + fragment + "&" + query
	}
	separator := "?"
	if strings.Contains(base, "?") {
		separator = "&"
	}
	base += separator + query
	if hasFragment {
		base += "#" + fragment // the RFC forbids it, WeChat demands it
	}
	return base
}
