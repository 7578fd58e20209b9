package endpoints

import (
	"cmp"
	"maps"
	"net/http"
)

// AuthStyle says how a request to the provider is made: one for a token, or about
// one. The zero value is RFC 6749's: a POST whose body is a form.
//
// The parameters that the RFCs have are, in all requests, client_id and
// client_secret, as far as Auth puts them there; in an exchange, grant_type, code,
// redirect_uri and code_verifier; in a refresh, grant_type and refresh_token; in a
// revocation or introspection, token, which is the refresh token if there is one.
type AuthStyle struct {
	// Method is "POST", "GET" or "DELETE". Empty means "POST".
	Method string `json:"method,omitzero"`

	// Body is where the parameters are. Empty means [FormBody], or [QueryBody] if
	// Method is "GET" here.
	Body BodyFormat `json:"body,omitzero"`

	// Auth is how the client authenticates. Empty means as Endpoint.AuthStyle
	// says.
	Auth ClientAuth `json:"auth,omitzero"`

	// Audience is the audience of the assertion that [PrivateKeyJWT] and
	// [ClientSecretJWT] make (RFC 7523, section 3). Empty means Issuer, or the URL
	// that the request goes to if there is none. Some servers, such as Ory Hydra and
	// Okta, take that of the token endpoint alone, at the others too: set it to that.
	Audience string `json:"audience,omitzero"`

	// Params are the parameters that differ from the RFC's. They can also use
	// {access_token}, {refresh_token} and {redirect_uri} where the RFC doesn't
	// send them, and those of an exchange {state}, the callback's.
	Params Params `json:"params,omitzero"`

	// Header is set on the request. Values are as in Params: a header whose value
	// isn't known is not set.
	Header map[string]string `json:"header,omitzero"`
}

// BodyFormat is where a request has its parameters.
type BodyFormat string

const (
	FormBody  BodyFormat = "form"  // in an application/x-www-form-urlencoded body
	JSONBody  BodyFormat = "json"  // in a JSON object of strings; a repeated one is an array
	QueryBody BodyFormat = "query" // in the URL; there is no body
)

// merge returns the style of a request of which narrow says what is different from
// s, but for its Params and Header: the Params of s are applied first, and then those of
// narrow.
func (s AuthStyle) merge(narrow AuthStyle) AuthStyle {
	if narrow.Method == http.MethodGet && narrow.Body == "" {
		narrow.Body = QueryBody
	}
	s.Method = cmp.Or(narrow.Method, s.Method, http.MethodPost)
	s.Body = cmp.Or(narrow.Body, s.Body)
	s.Auth = cmp.Or(narrow.Auth, s.Auth)
	s.Audience = cmp.Or(narrow.Audience, s.Audience)
	if s.Body == "" {
		s.Body = FormBody
		if s.Method == http.MethodGet {
			s.Body = QueryBody
		}
	}
	return s
}

// mergedHeader returns the fields of both, with those of narrow in place of others of
// that name.
func mergedHeader(wide, narrow map[string]string) map[string]string {
	merged := make(map[string]string, len(wide)+len(narrow))
	for _, h := range []map[string]string{wide, narrow} {
		for name, v := range h {
			merged[http.CanonicalHeaderKey(name)] = v
		}
	}
	return merged
}

func (s AuthStyle) clone() AuthStyle {
	s.Params = s.Params.clone()
	s.Header = maps.Clone(s.Header)
	return s
}
