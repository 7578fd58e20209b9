package endpointstest

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// What stands here reads definitions as their documentation says, and uses nothing of
// what makes requests of them in package endpoints: a mistake there isn't made here too.

var braces = regexp.MustCompile(`\{([A-Za-z0-9_.-]+)\}`)

// expressions are those that were compiled before, of the definitions that the program
// has: every server of one needs the same.
var expressions sync.Map

func compiled(expression string) *regexp.Regexp {
	if known, ok := expressions.Load(expression); ok {
		return known.(*regexp.Regexp)
	}
	made, _ := expressions.LoadOrStore(expression, regexp.MustCompile(expression))
	return made.(*regexp.Regexp)
}

// namesIn returns the names that stand in braces in texts.
func namesIn(texts ...string) []string {
	var names []string
	for _, text := range texts {
		if !strings.Contains(text, "{") {
			continue // which is quicker than the expression
		}
		for _, m := range braces.FindAllStringSubmatch(text, -1) {
			names = append(names, m[1])
		}
	}
	return names
}

// expression makes an expression of a template, in which each name in braces is a
// group that matches group(at), where at is the place of the name.
func expression(template string, group func(at int) string) (pattern string, names []string) {
	var b strings.Builder
	last := 0
	for _, m := range braces.FindAllStringSubmatchIndex(template, -1) {
		b.WriteString(regexp.QuoteMeta(template[last:m[0]]))
		b.WriteString("(" + group(m[0]) + ")")
		names = append(names, template[m[2]:m[3]])
		last = m[1]
	}
	b.WriteString(regexp.QuoteMeta(template[last:]))
	return b.String(), names
}

// capture returns what stands in text where the template has names in braces. A name
// that comes twice must have the same value, but for random, which is left out.
func capture(template, text string) (map[string]string, bool) {
	if !strings.Contains(template, "{") {
		return nil, template == text
	}
	pattern, names := expression(template, func(int) string { return ".+" })
	m := compiled(`(?s)\A` + pattern + `\z`).FindStringSubmatch(text)
	if m == nil {
		return nil, false
	}
	values := make(map[string]string)
	for i, name := range names {
		if name == "random" {
			continue
		}
		if v, twice := values[name]; twice && v != m[i+1] {
			return nil, false
		}
		values[name] = m[i+1]
	}
	return values, true
}

// glob reports whether text is pattern, in which a "*" stands for what star matches.
func glob(pattern, star, text string) bool {
	parts := strings.Split(pattern, "*")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return compiled(`(?s)\A` + strings.Join(parts, star) + `\z`).MatchString(text)
}

// accepts reports whether Vars accepts v as the value of a name. A name that isn't
// declared there is one of Callback.Keep.
func accepts(p *endpoints.Provider, name, v string) bool {
	entries, declared := p.Vars[name]
	return !declared || slices.ContainsFunc(entries, func(entry string) bool {
		return entry == "*" || entry != "" && glob(entry, `[A-Za-z0-9_-]+`, v)
	})
}

// sample returns a value that Vars accepts for a name: of the last entry, since the
// first is what a client takes that was told nothing. Where the entry leaves it open,
// the account is part of the value.
func sample(p *endpoints.Provider, name, account string) string {
	entries, declared := p.Vars[name]
	if !declared {
		return "its-" + name + account
	}
	for _, entry := range slices.Backward(entries) {
		switch {
		case entry == "":
		case entry != "*":
			return strings.ReplaceAll(entry, "*", "acme"+account)
		default:
			return sampleFor(p, name, account)
		}
	}
	return ""
}

// sampleFor returns a value that can stand where the name stands in the URLs of p.
func sampleFor(p *endpoints.Provider, name, account string) string {
	for _, u := range urlsOf(p) {
		switch origin, _ := splitOrigin(u); {
		case origin == "{"+name+"}":
			return "https://acme" + account + ".example.com"
		case strings.HasSuffix(origin, "://{"+name+"}"):
			return "acme" + account + ".example.com"
		}
	}
	return "acme" + account
}

// urlsOf returns the URLs of p, consent page first.
func urlsOf(p *endpoints.Provider) []string {
	urls := append([]string{p.Endpoint.AuthURL, p.Endpoint.TokenURL, p.Endpoint.DeviceAuthURL, p.RefreshURL, p.RevokeURL, p.IntrospectURL}, p.APIURLs...)
	return slices.DeleteFunc(append(urls, p.Issuer), func(u string) bool { return u == "" })
}

// splitOrigin splits a URL, with names in braces, after its host.
func splitOrigin(template string) (origin, rest string) {
	start := 0
	if i := strings.Index(template, "://"); i >= 0 && !strings.ContainsAny(template[:i], "/?#") {
		start = i + len("://")
	}
	if i := strings.IndexAny(template[start:], "/?#"); i >= 0 {
		return template[:start+i], template[start+i:]
	}
	return template, ""
}

// place is a URL of a definition, against which requests are compared.
type place struct {
	host  pattern
	whole pattern // of host and path
	names []string
	isURL bool       // the first name stands for a whole origin
	query url.Values // what the definition's URL has there, with names in braces
}

// pattern is an expression with a group for each name in braces, or the text itself where
// there are none.
type pattern struct {
	expression *regexp.Regexp
	text       string
	below      bool // what is below that path matches as well
}

// match returns the text and what the groups match, or nil.
func (p pattern) match(text string) []string {
	switch {
	case p.expression != nil:
		return p.expression.FindStringSubmatch(text)
	case text == p.text, p.below && strings.HasPrefix(text, p.text+"/"):
		return []string{text}
	}
	return nil
}

// newPattern makes a pattern of a template.
func newPattern(template string, below bool, group func(at int) string) (p pattern, names []string) {
	if below {
		template = strings.TrimSuffix(template, "/")
	}
	if !strings.Contains(template, "{") {
		return pattern{text: template, below: below}, nil
	}
	text, names := expression(template, group)
	if below {
		text += `(?:/.*)?`
	}
	return pattern{expression: compiled(`\A` + text + `\z`)}, names
}

// newPlace makes a place of a URL with names in braces. If below is set, what is
// below its path is there too.
func newPlace(template string, below bool) place {
	template, _, _ = strings.Cut(template, "#")
	template, query, _ := strings.Cut(template, "?")
	origin, path := splitOrigin(template)
	_, host, found := strings.Cut(origin, "://")
	if !found {
		host = origin
	}
	pl := place{isURL: !found}
	pl.query, _ = url.ParseQuery(query)
	group := func(at int) string {
		switch {
		case at >= len(host):
			return `[^/]+`
		case at == 0 && pl.isURL:
			return `[^/]+(?:/[^/]+)*?`
		case host == braces.FindString(host):
			return `[^/]+`
		}
		return `[^./:]+`
	}
	if path == "" && !below {
		path = "/"
	}
	pl.host, _ = newPattern(host, false, group)
	pl.whole, pl.names = newPattern(host+path, below, group)
	return pl
}

// match returns the values of the names in braces if a request went to this place.
func (pl place) match(host, path string, query url.Values) (map[string]string, bool) {
	m := pl.whole.match(host + path)
	if m == nil {
		return nil, false
	}
	values := make(map[string]string)
	set := func(name, v string) bool {
		old, twice := values[name]
		values[name] = v
		return !twice || old == v
	}
	for i, name := range pl.names {
		v, err := url.PathUnescape(m[i+1])
		if i == 0 && pl.isURL {
			v = "https://" + m[i+1]
		}
		if err != nil || !set(name, v) {
			return nil, false
		}
	}
	for name, templates := range pl.query {
		for _, template := range templates {
			found := slices.ContainsFunc(query[name], func(sent string) bool {
				captured, ok := capture(template, sent)
				for name, v := range captured {
					ok = ok && set(name, v)
				}
				return ok
			})
			if !found {
				return nil, false
			}
		}
	}
	return values, true
}
