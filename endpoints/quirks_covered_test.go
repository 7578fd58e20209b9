package endpoints

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/oauth2"
)

// departures are the ways in which token endpoints depart from RFC 6749, by how often they
// are met, and how a definition says each.
var departures = []struct {
	name string
	has  func(p Provider) bool
}{
	{"fixed parameters at the consent page", func(p Provider) bool { return has(p.Consent.Params, isFixed) }},
	{"further parameters at the exchange", func(p Provider) bool { return has(p.Exchange.Params, isFixed) || has(p.Style.Params, isFixed) }},
	{"further parameters at a refresh", func(p Provider) bool { return has(p.Refresh.Params, isFixed) || has(p.Style.Params, isFixed) }},
	{"a part of a URL belongs to the connection", func(p Provider) bool { return len(namesInURLs(p)) > 0 }},
	{"no PKCE", func(p Provider) bool { return p.Consent.PKCE == NoPKCE }},
	{"no space between scopes", func(p Provider) bool { return p.Consent.ScopeSeparator != "" }},
	{"scopes under another name", func(p Provider) bool { return renames(p.Consent.Params, "scope") }},
	{"default scopes", func(p Provider) bool { return len(p.Consent.Scopes) > 0 }},
	{"the client in Basic", func(p Provider) bool { return p.Endpoint.AuthStyle == oauth2.AuthStyleInHeader }},
	{"a token request in JSON", func(p Provider) bool { return p.Style.Body == JSONBody || p.Exchange.Body == JSONBody }},
	{"a token request in the query", func(p Provider) bool { return inQuery(p.Style) || inQuery(p.Exchange) || inQuery(p.Refresh) }},
	{"members of the answer are needed later", func(p Provider) bool { return len(p.fromAnswer()) > 0 }},
	{"members of the callback are kept", func(p Provider) bool { return len(p.Callback.Keep) > 0 }},
	{"refreshes at a URL of their own", func(p Provider) bool { return p.RefreshURL != "" }},
	{"renamed parameters of a token request", func(p Provider) bool {
		return renames(p.Style.Params, "client_id", "client_secret") || renames(p.Exchange.Params, "code", "client_id", "client_secret")
	}},
	{"no grant_type at the exchange", func(p Provider) bool {
		return isLeftOut(p.Style.Params, "grant_type") || isLeftOut(p.Exchange.Params, "grant_type")
	}},
	{"no grant_type at a refresh", func(p Provider) bool { return isLeftOut(p.Refresh.Params, "grant_type") }},
	{"the token within another member", func(p Provider) bool { return p.Answer.TokenIn != "" }},
	{"renamed members of the answer", func(p Provider) bool { return p.Answer.Names["access_token"] != "" }},
	{"an error with the status of a success", func(p Provider) bool { return len(p.Answer.Success) > 0 }},
	{"the time of expiry instead of a lifetime", func(p Provider) bool { return p.Answer.Names["expires_at"] != "" }},
	{"a lifetime under another name", func(p Provider) bool { return p.Answer.Names["expires_in"] != "" }},
	{"a lifetime that only the documentation has", func(p Provider) bool { return p.Answer.DefaultLifetime > 0 }},
	{"a refresh with the access token", func(p Provider) bool { return p.Answer.Names["refresh_token"] == "access_token" }},
	{"the code under another name in the callback", func(p Provider) bool { return p.Callback.Names["code"] != "" }},
	{"a client without a secret", func(p Provider) bool { return p.Style.Auth == PublicClient }},
	{"a signed token request", func(p Provider) bool { return p.Request != nil }},
}

// documented are departures that a definition needs no word for, and what stands of them
// in its golden file.
var documented = map[string]*regexp.Regexp{
	"another status than 200":                       regexp.MustCompile(`-- exchange answer --\nHTTP/1.1 20[1-9]`),
	"a refresh that brings no refresh token":        regexp.MustCompile(`-- refreshed token --\n(\S.*\n)*refresh_token: made-up-refresh-token\n`),
	"a refresh after which the same tokens live on": regexp.MustCompile(`-- refreshed token --\naccess_token: made-up-access-token\n`),
}

// TestEachDepartureIsDefined demands an example of each among the definitions. With -v it
// prints them.
func TestEachDepartureIsDefined(t *testing.T) {
	found := make(map[string][]string)
	for _, d := range departures {
		found[d.name] = nil
	}
	for kind := range documented {
		found[kind] = nil
	}
	for _, name := range slices.Sorted(maps.Keys(Definitions)) {
		for _, d := range departures {
			if d.has(Definitions[name]) {
				found[d.name] = append(found[d.name], name)
			}
		}
		golden, err := os.ReadFile(filepath.Join("testdata", "providers", name+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		for kind, shown := range documented {
			if shown.Match(golden) {
				found[kind] = append(found[kind], name)
			}
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(found)) {
		if len(found[kind]) == 0 {
			t.Errorf("%s: no definition has it", kind)
		}
		t.Logf("%s: %s", kind, strings.Join(found[kind], " "))
	}
}

// has reports whether there is a parameter whose values the predicate wants.
func has(params Params, wanted func(v string) bool) bool {
	for _, values := range params {
		if slices.ContainsFunc(values, wanted) {
			return true
		}
	}
	return false
}

func isFixed(v string) bool { return !strings.Contains(v, "{") }

// renames reports whether one of the RFC's parameters is sent under another name.
func renames(params Params, names ...string) bool {
	for name, values := range params {
		if slices.ContainsFunc(names, func(rfc string) bool { return rfc != name && slices.Contains(values, "{"+rfc+"}") }) {
			return true
		}
	}
	return false
}

func isLeftOut(params Params, name string) bool {
	values, changed := params[name]
	return changed && len(values) == 0
}

func inQuery(s AuthStyle) bool { return s.Body == QueryBody || s.Method == "GET" }

func namesInURLs(p Provider) []string {
	var names []string
	for _, u := range append([]string{p.Endpoint.AuthURL, p.Endpoint.TokenURL, p.RefreshURL, p.RevokeURL}, p.APIURLs...) {
		names = append(names, namesIn(u)...)
	}
	return names
}

// fromAnswer returns the names that later requests need, and that nothing but the answer
// can give a value.
func (p Provider) fromAnswer() []string {
	var names []string
	for _, u := range append([]string{p.RefreshURL, p.RevokeURL, p.IntrospectURL}, p.APIURLs...) {
		names = append(names, namesIn(u)...)
	}
	given := namesIn(p.Endpoint.AuthURL + p.Endpoint.TokenURL)
	return slices.DeleteFunc(names, func(name string) bool {
		return slices.Contains(p.Callback.Keep, name) || slices.Contains(given, name)
	})
}
