package endpoints

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// BodyFormat is how a provider takes the parameters of a token request.
type BodyFormat int

const (
	FormBody  BodyFormat = iota // application/x-www-form-urlencoded, as RFC 6749 says
	JSONBody                    // one flat JSON object of strings
	QueryBody                   // the URL's query string, with no body
)

// AuthStyle says how a provider's token requests and responses depart from RFC
// 6749. The zero value is RFC 6749.
//
// Parameters of a request have the RFC's names everywhere but in the values of
// RequestNames, and members of a response the provider's everywhere but in the keys
// of ResponseNames. A member of an object inside of the response is named by the
// path to it, with dots: "data.token".
//
// Where the client's id and secret go is decided by Endpoint.AuthStyle.
type AuthStyle struct {
	// Body is how parameters are sent.
	Body BodyFormat

	// Method is "POST", the default, or "GET", which needs QueryBody. It holds for
	// exchange, refresh and revocation.
	Method string

	// CredentialsInBoth sends the client's id and secret both as parameters and
	// in an Authorization header.
	CredentialsInBoth bool

	// Omit names parameters that the provider doesn't want, such as grant_type,
	// and OmitAtRefresh those that it doesn't want in a refresh_token grant. A
	// parameter with an empty value is never sent (RFC 6749, section 3.2).
	Omit          []string
	OmitAtRefresh []string

	// RequestNames gives the provider's names for parameters: "client_id" may be
	// "client_key".
	RequestNames map[string]string

	// NoPKCE leaves out the parameters of RFC 7636, for a provider that rejects
	// them.
	NoPKCE bool

	// ScopeParam is the parameter of the authorization request that carries the
	// scopes, "scope" by default, and ScopeSeparator what stands between them, a
	// space by default.
	ScopeParam     string
	ScopeSeparator string

	// Header is set on every token, refresh and revocation request.
	Header map[string]string

	// HeaderParams names parameters that are sent as a header of the given name
	// instead, where it takes precedence over Header. They reach the request
	// through Exchange's options.
	HeaderParams map[string]string

	// RevokeWithBearer revokes a token by an empty POST that carries the access
	// token as a bearer token, instead of RFC 7009's parameters.
	RevokeWithBearer bool

	// TokenIn is the member of the response whose object holds the token, such
	// as "data", for a provider that wraps it. Members found there win over those
	// beside it, and are named without it in the fields below.
	TokenIn string

	// ResponseNames gives the provider's names for members of the response:
	// "access_token" may be "accessToken". Two may have the same name.
	ResponseNames map[string]string

	// LifetimeUnit is the unit of expires_in, a second by default.
	LifetimeUnit time.Duration

	// ExpiresAt is the member of the response that holds the time at which the
	// token expires: in seconds or milliseconds since 1970, or as RFC 3339 text. A
	// response without it may still have expires_in.
	ExpiresAt string

	// DefaultLifetime is the lifetime of a token if the response has none, or one that
	// can't be read. Zero means that such a token lives until it is revoked.
	DefaultLifetime time.Duration

	// SuccessMember names the member of a response with a success status that
	// tells a success from an error, by its path before TokenIn is applied, and
	// SuccessValues the values, as text, that mean success: "ok" and "true", say. A
	// response without the member is judged by its status and its error code.
	SuccessMember string
	SuccessValues []string

	// ErrorMembers name the members of an error response that may hold the error
	// code, most specific first. After them come "error", "name", "code" and
	// their like. The first code that is known wins, or else the first.
	ErrorMembers []string

	// ErrorCodes gives the meaning of the provider's own error codes, as codes of
	// RFC 6749 or others that are known: "40029" may be "invalid_grant". It decides
	// what [KindOf] says and package tokensource does, whatever the status is; the
	// provider's code stays what it is in an error.
	ErrorCodes map[string]string

	// Request, if set, changes a token, refresh or revocation request in ways
	// that the fields above can't express. It is called with the request and its
	// parameters, under the provider's names, when everything else is done but
	// encoding them. If it sets r.Body, the parameters are not encoded and that
	// body is sent, with the Content-Type that it sets.
	Request func(r *http.Request, params url.Values) error

	// Response, if set, changes the members of the response to a token or refresh
	// request, as encoding/json decodes them with UseNumber, before anything else
	// looks at them. The status is that of the response.
	Response func(status int, members map[string]any) error
}

func (s *AuthStyle) scopeParam() string          { return cmp.Or(s.ScopeParam, "scope") }
func (s *AuthStyle) scopeSeparator() string      { return cmp.Or(s.ScopeSeparator, " ") }
func (s *AuthStyle) method() string              { return cmp.Or(s.Method, http.MethodPost) }
func (s *AuthStyle) lifetimeUnit() time.Duration { return cmp.Or(s.LifetimeUnit, time.Second) }

// omits reports whether the parameter is never sent.
func (s *AuthStyle) omits(param string) bool {
	switch param {
	case "code_verifier", "code_challenge", "code_challenge_method":
		if s.NoPKCE {
			return true
		}
	}
	return slices.Contains(s.Omit, param)
}

// isRequestName reports whether name is what the provider calls another parameter.
func (s *AuthStyle) isRequestName(name string) bool {
	if _, renamed := s.RequestNames[name]; renamed {
		return false
	}
	for _, theirs := range s.RequestNames {
		if theirs == name {
			return true
		}
	}
	return false
}

func (s *AuthStyle) validate() error {
	if s.Body < FormBody || s.Body > QueryBody {
		return fmt.Errorf("unknown Style.Body %d", s.Body)
	}
	switch s.method() {
	case http.MethodPost:
	case http.MethodGet:
		if s.Body != QueryBody {
			return errors.New("Style.Method GET needs Style.Body QueryBody")
		}
		if s.RevokeWithBearer {
			return errors.New("Style.Method GET and RevokeWithBearer contradict each other")
		}
	default:
		return fmt.Errorf("Style.Method is neither POST nor GET but %q", s.Method)
	}
	if s.ScopeParam != "" && s.omits("scope") {
		return errors.New("AuthStyle both omits and renames scope")
	}
	if err := s.validateNames(); err != nil {
		return err
	}
	if s.LifetimeUnit < 0 || s.DefaultLifetime < 0 {
		return errors.New("Style.LifetimeUnit and DefaultLifetime can't be negative")
	}
	if s.ExpiresAt != "" && s.LifetimeUnit != 0 {
		return errors.New("Style.ExpiresAt and LifetimeUnit contradict each other")
	}
	if s.TokenIn != "" {
		members := append(slices.Sorted(maps.Values(s.ResponseNames)), s.ExpiresAt)
		for _, name := range append(members, s.ErrorMembers...) {
			if strings.HasPrefix(name, s.TokenIn+".") {
				return fmt.Errorf("AuthStyle names %s, which is named without Style.TokenIn", name)
			}
		}
	}
	if (s.SuccessMember == "") != (len(s.SuccessValues) == 0) {
		return errors.New("Style.SuccessMember and SuccessValues need each other")
	}
	return nil
}

// companions are parameters that can stand beside any other in one request, so
// that none may take their names.
var companions = []string{
	"response_type", "grant_type", "client_id", "client_secret", "redirect_uri", "scope", "state",
}

// validateNames checks the maps from one name to another.
func (s *AuthStyle) validateNames() error {
	for _, names := range []struct {
		field string
		m     map[string]string
	}{
		{"RequestNames", s.RequestNames}, {"HeaderParams", s.HeaderParams}, {"ResponseNames", s.ResponseNames},
		{"ErrorCodes", s.ErrorCodes},
	} {
		for from, to := range names.m {
			if from == "" || to == "" {
				return fmt.Errorf("an empty name in Style.%s", names.field)
			}
		}
	}
	for _, code := range slices.Sorted(maps.Keys(s.ErrorCodes)) {
		if known, _ := tokenerror.Lookup(s.ErrorCodes[code]); known == "" {
			return fmt.Errorf("Style.ErrorCodes gives %s the meaning %q, which is no known code", code, s.ErrorCodes[code])
		}
	}
	if len(s.RequestNames)+len(s.HeaderParams) == 0 {
		return nil
	}
	taken := make(map[string]string)
	for _, param := range slices.Sorted(maps.Keys(s.RequestNames)) {
		name := s.RequestNames[param]
		if s.omits(param) {
			return fmt.Errorf("AuthStyle both omits and renames %s", param)
		}
		if s.HeaderParams[param] != "" {
			return fmt.Errorf("AuthStyle both renames %s and sends it as a header", param)
		}
		other := taken[name]
		if _, renamed := s.RequestNames[name]; other == "" && !renamed && !s.omits(name) && slices.Contains(companions, name) {
			other = name
		}
		if other != "" {
			return fmt.Errorf("Style.RequestNames gives %s and %s the same name", other, param)
		}
		taken[name] = param
	}
	clear(taken)
	for _, param := range slices.Sorted(maps.Keys(s.HeaderParams)) {
		header := http.CanonicalHeaderKey(s.HeaderParams[param])
		if s.omits(param) {
			return fmt.Errorf("AuthStyle both omits %s and sends it as a header", param)
		}
		if other := taken[header]; other != "" {
			return fmt.Errorf("Style.HeaderParams gives %s and %s the same header", other, param)
		}
		taken[header] = param
	}
	return nil
}

func (s AuthStyle) clone() AuthStyle {
	s.Omit = slices.Clone(s.Omit)
	s.OmitAtRefresh = slices.Clone(s.OmitAtRefresh)
	s.RequestNames = maps.Clone(s.RequestNames)
	s.Header = maps.Clone(s.Header)
	s.HeaderParams = maps.Clone(s.HeaderParams)
	s.ResponseNames = maps.Clone(s.ResponseNames)
	s.SuccessValues = slices.Clone(s.SuccessValues)
	s.ErrorMembers = slices.Clone(s.ErrorMembers)
	s.ErrorCodes = maps.Clone(s.ErrorCodes)
	return s
}
