package endpoints

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Validate reports the first setting that is missing, unknown, contradicts another
// or has no effect, by the name of its field:
//
//	endpoints: Figma: Refresh.Params["grant-type"] removes what is never sent
//
// It doesn't look at the network. Provider.Config and Provider.Context call it.
func (p Provider) Validate() error {
	for _, check := range []func() error{
		p.checkURLs, p.checkVars, p.checkConsent, p.checkCallback, p.checkStyles, p.checkAnswer, p.checkAPI,
	} {
		if err := check(); err != nil {
			return p.mistake("%w", err)
		}
	}
	return nil
}

// item returns the field of an element, by its name or its number.
func item(field string, element any) string {
	switch element := element.(type) {
	case int:
		return field + "[" + strconv.Itoa(element) + "]"
	case string:
		return field + "[" + strconv.Quote(element) + "]"
	}
	return field
}

func isZero(v any) bool { return reflect.ValueOf(v).IsZero() }

// wrong names the field of a setting that is.
func wrong(field, format string, args ...any) error {
	return fmt.Errorf("%s %s", field, fmt.Sprintf(format, args...))
}

// ownNames are the parameters that belong to a single request or have a field of
// their own, so that none of them can be a variable or have a fixed value.
var ownNames = []string{
	"client_id", "client_secret", "client_assertion", "code", "code_verifier", "code_challenge", "code_challenge_method",
	"state", "redirect_uri", "scope", "token", "access_token", "refresh_token", "error", "error_description", "iss",
}

// described is one of the requests that an AuthStyle describes.
type described struct {
	field string
	style *AuthStyle
	url   *string
	sent  []string // the parameters of the RFC
	known []string // what can stand in braces beside them
}

var (
	clientParams   = []string{"client_id", "client_secret", "client_assertion", "client_assertion_type"}
	exchangeParams = append([]string{"grant_type", "code", "redirect_uri", "code_verifier"}, clientParams...)
	refreshParams  = append([]string{"grant_type", "refresh_token"}, clientParams...)
	tokenParams    = append([]string{"token"}, clientParams...)
	styleParams    = slices.Concat(exchangeParams, refreshParams, tokenParams)
	laterParams    = []string{"access_token", "refresh_token", "redirect_uri"}
)

// styles returns the AuthStyles of p, Style first.
func (p *Provider) styles() []described {
	return []described{
		{"Style", &p.Style, &p.Endpoint.TokenURL, styleParams, laterParams},
		{"Exchange", &p.Exchange, &p.Endpoint.TokenURL, exchangeParams, []string{"state"}},
		{"Refresh", &p.Refresh, &p.Endpoint.TokenURL, refreshParams, laterParams},
		{"Revoke", &p.Revoke, &p.RevokeURL, tokenParams, laterParams},
		{"Introspect", &p.Introspect, &p.IntrospectURL, tokenParams, laterParams},
	}
}

// checkNames checks a map from the RFC's names to the provider's.
func checkNames(field string, names map[string]string, rfc []string, within string) error {
	for _, name := range slices.Sorted(maps.Keys(names)) {
		field, path := item(field, name), names[name]
		switch {
		case !slices.Contains(rfc, name):
			return wrong(field, "is none of the RFC's names: %s", strings.Join(rfc, ", "))
		case path == name && within == "" && name != "expires_at":
			return wrong(field, "has no effect: it is the RFC's name")
		case within != "" && strings.HasPrefix(path, within+"."):
			return wrong(field, "is named from TokenIn on: %q", strings.TrimPrefix(path, within+"."))
		}
		if err := checkPath(field, path); err != nil {
			return err
		}
	}
	return nil
}

func checkPath(field, path string) error {
	if slices.Contains(strings.Split(path, "."), "") || strings.ContainsAny(path, "[]$*/ ") {
		return wrong(field, "can't match: %q is not a path of members with dots", path)
	}
	return nil
}
