package endpoints

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// definition is the JSON form of a [Provider]. Its tag go names the field that a
// member stands for. Members that RFC 8414 (authorization server metadata), RFC 7591
// (client metadata) or RFC 9207 have are called as they are there. The comments on
// its fields, and on those of the types that it uses, are the descriptions in
// provider.schema.json.
type definition struct {
	// Where provider.schema.json is, for editors. It is not looked at.
	Schema string `json:"$schema,omitzero"`

	// The provider's name, for error messages.
	Name string `json:"name,omitzero" go:"Name"`

	// The issuer identifier of the authorization server (RFC 8414, section 2).
	// Callbacks that name another issuer are refused (RFC 9207), and stored tokens
	// are bound to it. Without it, they are bound to the origin of token_endpoint.
	Issuer string `json:"issuer,omitzero" go:"Issuer"`

	// The URL of the consent page (RFC 6749, section 3.1).
	AuthorizationEndpoint string `json:"authorization_endpoint,omitzero" go:"Endpoint.AuthURL"`

	// The URL where codes are exchanged and tokens refreshed (RFC 6749, section
	// 3.2).
	TokenEndpoint string `json:"token_endpoint" go:"Endpoint.TokenURL"`

	// The URL of the device authorization endpoint (RFC 8628, section 3.1).
	DeviceEndpoint string `json:"device_authorization_endpoint,omitzero" go:"Endpoint.DeviceAuthURL"`

	// The URL where tokens are refreshed, if it is another than token_endpoint.
	RefreshEndpoint string `json:"refresh_endpoint,omitzero" go:"RefreshURL"`

	// The URL where tokens are revoked (RFC 7009).
	RevocationEndpoint string `json:"revocation_endpoint,omitzero" go:"RevokeURL"`

	// The URL where the provider tells about tokens (RFC 7662).
	IntrospectionEndpoint string `json:"introspection_endpoint,omitzero" go:"IntrospectURL"`

	// How the client authenticates (RFC 7591, section 2), unless a request has an
	// auth of its own. Without it, by client_secret_post.
	AuthMethod ClientAuth `json:"token_endpoint_auth_method,omitzero" go:"Endpoint.AuthStyle"`

	// Every callback has an iss, and one without it is refused (RFC 9207, section
	// 3).
	IssParameter bool `json:"authorization_response_iss_parameter_supported,omitzero" go:"Callback.Iss"`

	// Allows http URLs at other hosts than this machine, where the network can
	// read secrets and tokens.
	InsecureHTTP bool `json:"insecure_http,omitzero" go:"InsecureHTTP"`

	// URLs of the provider's API. Tokens are sent to their origins (scheme, host
	// and port) and to no others.
	APIURLs []string `json:"api_urls,omitzero" go:"APIURLs"`

	// The names that may stand in braces in URLs, parameters and headers, and the
	// values that each accepts; a "*" stands for letters, digits, "-" and "_", and
	// "*" alone for whatever doesn't change the URL around it. The first value is
	// the default if it has no "*".
	Variables map[string][]string `json:"variables,omitzero" go:"Vars"`

	// The authorization request (RFC 6749, section 4.1.1).
	Consent Consent `json:"consent,omitzero" go:"Consent"`

	// What the provider sends back with the user (RFC 6749, section 4.1.2).
	Callback Callback `json:"callback,omitzero" go:"Callback"`

	// How requests are made that go to the provider directly. The members after it
	// say in what one of them differs.
	Style AuthStyle `json:"style,omitzero" go:"Style"`

	// The exchange of a code (RFC 6749, section 4.1.3).
	Exchange AuthStyle `json:"exchange,omitzero" go:"Exchange"`

	// The refresh of a token (RFC 6749, section 6).
	Refresh AuthStyle `json:"refresh,omitzero" go:"Refresh"`

	// The revocation of a token (RFC 7009, section 2.1).
	Revocation AuthStyle `json:"revocation,omitzero" go:"Revoke"`

	// The introspection of a token (RFC 7662, section 2.1).
	Introspection AuthStyle `json:"introspection,omitzero" go:"Introspect"`

	// How the provider answers these requests.
	Answer answerForm `json:"answer,omitzero" go:"Answer"`

	// How the provider's API takes tokens and refuses them.
	API API `json:"api,omitzero" go:"API"`
}

// answerForm is the JSON form of an Answer, with its durations as text.
type answerForm struct {
	Answer

	// The unit of expires_in, as "1ms" or "1m". Without it, a second.
	LifetimeUnit durationText `json:"lifetime_unit,omitzero"`

	// How long a token lives whose answer doesn't say, as "1h30m". Without it,
	// until it is refused.
	DefaultLifetime durationText `json:"default_lifetime,omitzero"`
}

// durationText is a duration as time.ParseDuration reads it.
type durationText time.Duration

func (d durationText) MarshalText() ([]byte, error) {
	text := time.Duration(d).String()
	for _, zero := range []string{"m0s", "h0m"} { // 1h0m0s is written 1h
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return []byte(text), nil
}

func (d *durationText) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil || parsed <= 0 {
		return errors.New(`is not a positive duration such as "90s", "1h30m" or "1ms"`)
	}
	*d = durationText(parsed)
	return nil
}

// each calls f with each member of d that has the type of the field it stands for,
// and with that field in p.
func (d *definition) each(p *Provider, f func(member, field reflect.Value)) {
	members := reflect.ValueOf(d).Elem()
	for i := range members.NumField() {
		path := members.Type().Field(i).Tag.Get("go")
		if path == "" {
			continue
		}
		field := reflect.ValueOf(p).Elem()
		for name := range strings.SplitSeq(path, ".") {
			field = field.FieldByName(name)
		}
		if member := members.Field(i); member.Type() == field.Type() {
			f(member, field)
		}
	}
}

// MarshalJSON returns the JSON form of p, which UnmarshalJSON reads:
//
//	{
//	  "name": "Acme",
//	  "authorization_endpoint": "https://acme.example/authorize",
//	  "token_endpoint": "https://{region}.acme.example/token",
//	  "token_endpoint_auth_method": "client_secret_basic",
//	  "api_urls": ["https://{region}.acme.example"],
//	  "variables": {"region": ["us", "eu"]},
//	  "style": {"body": "json"},
//	  "exchange": {"params": {"grant_type": null, "app_id": "{client_id}"}},
//	  "answer": {"token_in": "data", "default_lifetime": "1h30m"},
//	  "api": {"errors": [{"status": 403, "code": "EXPIRED", "kind": "token_rejected"}]}
//	}
//
// URLs, client authentication, challenge and iss are called as in RFC 8414, RFC 7591, RFC
// 7636 and RFC 9207, Vars is variables, Revoke revocation and Introspect introspection, and
// durations are text as package time writes it. provider.schema.json, beside the source of
// this package, describes it all.
//
// If p has a Request or Response, which are functions, that is an error.
func (p Provider) MarshalJSON() ([]byte, error) {
	if p.Request != nil || p.Response != nil {
		return nil, p.errorf("there is no JSON form of a Provider with Request or Response: they are functions")
	}
	var d definition
	d.each(&p, func(member, field reflect.Value) { member.Set(field) })
	d.AuthMethod = p.Style.Auth
	if p.Endpoint.AuthStyle != oauth2.AuthStyleAutoDetect {
		d.AuthMethod = cmp.Or(d.AuthMethod, authOf(p.Endpoint.AuthStyle))
	}
	d.Style.Auth = ""
	d.Answer = answerForm{p.Answer, durationText(p.Answer.LifetimeUnit), durationText(p.Answer.DefaultLifetime)}
	return json.Marshal(d)
}

// UnmarshalJSON reads the JSON form of a Provider, which MarshalJSON writes, in at most
// 1 MiB. What it sets p to is valid; if there is an error, p stays as it is. It is stricter
// than encoding/json: a member that isn't known, at any level, or whose name differs in
// letter case, one that is there twice, an empty text or a null where there is nothing to
// leave out, a null instead of a definition, and anything after the definition are errors.
// They, and what [Provider.Validate] finds, name the definition, if its name stands before
// the mistake, and the member by its path: refresh.params["scope"], api.errors[0].status.
//
// A "$schema" at the top is accepted, for editors that complete by it.
//
// For a document that is one definition, call p.UnmarshalJSON(data). For one that has
// definitions in it, call json.Unmarshal, which calls this method. It checks the syntax of
// the whole document first, whatever its size, and its errors about the syntax don't name
// the byte. It sets a *Provider to nil where the document has a null.
func (p *Provider) UnmarshalJSON(data []byte) error {
	var d definition
	err := readJSON(data, &d, ownJSON)
	read := Provider{Name: d.Name}
	if err == nil && d.Style.Auth != "" {
		err = errors.New("style.auth is written token_endpoint_auth_method, at the top")
	}
	if err != nil {
		return read.errorf("%w", err)
	}
	d.Callback.Iss = d.IssParameter
	d.each(&read, func(member, field reflect.Value) { field.Set(member) })
	read.authenticateBy(d.AuthMethod)
	read.Answer = d.Answer.Answer
	read.Answer.LifetimeUnit, read.Answer.DefaultLifetime = time.Duration(d.Answer.LifetimeUnit), time.Duration(d.Answer.DefaultLifetime)
	if err := read.Validate(); err != nil {
		return inJSONWords(&read, err)
	}
	*p = read
	return nil
}

// authenticateBy sets how the client authenticates: the ways that x/oauth2 has where it
// looks for them, the others in Style.
func (p *Provider) authenticateBy(method ClientAuth) {
	p.Endpoint.AuthStyle, p.Style.Auth = oauth2.AuthStyleAutoDetect, ""
	switch method {
	case ClientSecretPost:
		p.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	case ClientSecretBasic:
		p.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	default:
		p.Style.Auth = method
	}
}

// MarshalJSON writes a single value without brackets, and none as null.
func (p Params) MarshalJSON() ([]byte, error) {
	members := make(map[string]any, len(p))
	for name, values := range p {
		switch len(values) {
		case 0:
			members[name] = nil
		case 1:
			members[name] = values[0]
		default:
			members[name] = values
		}
	}
	return json.Marshal(members)
}

// UnmarshalJSON reads what MarshalJSON writes, and brackets around any number of
// values.
func (p *Params) UnmarshalJSON(data []byte) error {
	var params Params
	if err := readJSON(data, &params, ownJSON); err != nil {
		return fmt.Errorf("endpoints: %w", err)
	}
	*p = params
	return nil
}
