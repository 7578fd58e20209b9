package endpoints

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Validate reports the settings that are missing, unknown, contradict another or have no
// effect, each by the name of its field on a line of its own:
//
//	endpoints: Figma: Refresh.Params["grant-type"] removes what is never sent
//	Revoke has no effect without RevokeURL
//
// Of more than 100 it names the first, and says how many there are.
//
// It doesn't look at the network. Provider.Config and Provider.Context call it, and of
// several mistakes their errors, which may go to a log, name the first.
func (p Provider) Validate() error {
	m := p.allMistakes()
	if len(m) == 0 {
		return nil
	}
	if more := len(m) - maxNamed; more > 0 {
		m = append(m[:maxNamed], fmt.Errorf("and %d more", more))
	}
	return p.mistake("%w", errors.Join(m...))
}

// maxNamed is how many mistakes an error names: nobody reads more at once.
const maxNamed = 100

func (p *Provider) allMistakes() mistakes {
	var m mistakes
	for _, check := range []func() mistakes{
		p.checkURLs, p.checkVars, p.checkConsent, p.checkCallback, p.checkStyles, p.checkAnswer, p.checkAPI,
	} {
		m.add(check()...)
	}
	return m.once()
}

// mistakes are those of a definition, in an order that doesn't change from one call to
// the next.
type mistakes []error

// add adds the errors that aren't nil.
func (m *mistakes) add(errs ...error) {
	for _, err := range errs {
		if err != nil {
			*m = append(*m, err)
		}
	}
}

// once returns the mistakes without those that say what an earlier one says.
func (m mistakes) once() mistakes {
	again := repeats()
	return slices.DeleteFunc(m, func(err error) bool { return again(err.Error()) })
}

// repeats returns a function that reports whether it has been given a text before.
func repeats() func(text string) bool {
	seen := make(map[string]bool)
	return func(text string) bool {
		again := seen[text]
		seen[text] = true
		return again
	}
}

// item returns the field of an element, by its name or its number.
func item(field string, element any) string {
	switch element := element.(type) {
	case int:
		return field + "[" + strconv.Itoa(element) + "]"
	case string:
		return keyPath(field, element)
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
func checkNames(field string, names map[string]string, rfc []string, within string) (m mistakes) {
	prefix := within + "."
	for _, name := range slices.Sorted(maps.Keys(names)) {
		field, path := item(field, name), names[name]
		switch {
		case !slices.Contains(rfc, name):
			m.add(wrong(field, "is none of the RFC's names: %s", strings.Join(rfc, ", ")))
		case path == name && within == "" && name != "expires_at":
			m.add(wrong(field, "has no effect: it is the RFC's name"))
		case within != "" && strings.HasPrefix(path, prefix):
			m.add(wrong(field, "is named from TokenIn on: %q", strings.TrimPrefix(path, prefix)))
		default:
			m.add(checkPath(field, path))
		}
	}
	return m
}

func checkPath(field, path string) error {
	if slices.Contains(strings.Split(path, "."), "") || strings.ContainsAny(path, "[]$*/ ") {
		return wrong(field, "can't match: %q is not a path of members with dots", path)
	}
	return nil
}
