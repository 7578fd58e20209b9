package endpoints

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/oauth2keep/oauth2keep/internal/httpclient"
)

// template is a text of a definition in which names in braces stand for values.
type template struct {
	text  string
	slots []slot // where the names are, in their order
}

// slot is a name in braces.
type slot struct {
	name     string
	from, to int // where it is in the text, with its braces
	at       place
}

// values tells what a name in braces stands for, "" if there is nothing, and refuses
// a value that isn't accepted.
type values func(name string) (string, error)

func parseTemplate(text string) template {
	t := template{text: text}
	at := placesIn(text)
	for from := 0; from < len(text); from++ {
		next := strings.IndexByte(text[from:], '{')
		if next < 0 {
			break
		}
		from += next
		to := from + 1
		for to < len(text) && (isWord(text[to]) || text[to] == '.') {
			to++
		}
		if to < len(text) && text[to] == '}' && to > from+1 {
			t.slots = append(t.slots, slot{name: text[from+1 : to], from: from, to: to + 1, at: at.of(from, to+1)})
			from = to
		}
	}
	return t
}

// sample returns the text with the same in the place of each name.
func (t template) sample(v string) string {
	s, _ := t.replace(func(slot) (string, error) { return v, nil })
	return s
}

// withoutQuery returns what an error may know of a URL, in whose query there are keys.
func (t template) withoutQuery() string {
	text, _, _ := strings.Cut(t.text, "?")
	return text
}

// names returns the names in t, in their order.
func (t template) names() []string {
	var names []string
	for _, s := range t.slots {
		names = append(names, s.name)
	}
	return names
}

// namesIn returns the names that stand in braces in s.
func namesIn(s string) []string { return parseTemplate(s).names() }

// replace puts what f makes of each slot in its place.
func (t template) replace(f func(slot) (string, error)) (string, error) {
	if len(t.slots) == 0 {
		return t.text, nil
	}
	var b strings.Builder
	last := 0
	for _, s := range t.slots {
		v, err := f(s)
		if err != nil {
			return "", err
		}
		b.WriteString(t.text[last:s.from])
		b.WriteString(v)
		last = s.to
	}
	b.WriteString(t.text[last:])
	return b.String(), nil
}

// fill replaces the names by their values. It reports whether all of them had one.
func (t template) fill(value values) (filled string, known bool, err error) {
	known = true
	filled, err = t.replace(func(s slot) (string, error) {
		v, err := value(s.name)
		known = known && v != ""
		return v, err
	})
	return filled, known && err == nil, err
}

// fillURL replaces the names in a URL, after it has looked whether each value can
// stand in its place of a URL of p.
func (t template) fillURL(value values, p *Provider) (string, error) {
	return t.replace(func(s slot) (string, error) {
		v, err := value(s.name)
		switch {
		case err != nil:
			return "", err
		case v == "":
			return "", fmt.Errorf("the variable %s, which is in %s, has no value: give it with oauth2.SetAuthURLParam, or put it beside the token with Token.WithExtra", s.name, t.withoutQuery())
		}
		written, ok := s.at.harmless(v, p.spellsOut(s.name, v), p.InsecureHTTP)
		if !ok {
			return "", p.notAccepted(s.name)
		}
		return written, nil
	})
}

// place is where in a URL a name in braces stands. It decides which values can't
// change the meaning of the URL around it.
type place int

const (
	asURL     place = iota // at the beginning: an origin, perhaps with a path
	asHost                 // the whole host
	asLabel                // a part of the host
	asSegment              // in the path
	asQuery                // in the query or the fragment
)

// places tells where in a text the parts of a URL begin.
type places struct {
	text            string
	host, path, end int // end is where the query or the fragment begins
}

// placesIn reads a text once, for all the names in it.
func placesIn(text string) places {
	at := places{text: text, host: len(text) + 1, path: len(text), end: len(text)}
	if i := strings.IndexAny(text, "?#"); i >= 0 {
		at.end = i
	}
	if i := strings.Index(text, "://"); i >= 0 {
		at.host = i + len("://")
		if i := strings.IndexByte(text[at.host:], '/'); i >= 0 {
			at.path = at.host + i
		}
	}
	return at
}

// of returns the place of what stands at text[i:j].
func (at places) of(i, j int) place {
	tail := at.text[j:]
	switch {
	case i == 0:
		return asURL
	case i > at.end:
		return asQuery
	case i < at.host:
		return asSegment // after a variable that is a URL, or else it is no URL
	case i > at.path:
		return asSegment
	case i == at.host && (tail == "" || strings.ContainsAny(tail[:1], "/?#:")):
		return asHost
	}
	return asLabel
}

const labels = `[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?`

var (
	label    = regexp.MustCompile(`^` + labels + `$`)
	dotted   = regexp.MustCompile(`^` + labels + `(\.` + labels + `)+$`)
	hostname = regexp.MustCompile(`^` + labels + `(\.` + labels + `)+(:[0-9]{1,5})?$`)
)

func isDots(segment string) bool { return segment == "." || segment == ".." }

// harmless reports whether v can stand at the place, and returns it as it has to be
// written there. One that an entry of Vars spells out may be several labels of a host, or
// be escaped in the path. Another has no slash there, since proxies are known to take an
// escaped one for what it was. Plain http is allowed where insecure is true.
func (at place) harmless(v string, spelledOut, insecure bool) (string, bool) {
	switch at {
	case asURL:
		u, err := url.Parse(v)
		ok := err == nil && (u.Scheme == "https" || u.Scheme == "http" && (insecure || httpclient.SecureURL(u))) &&
			u.User == nil && hostname.MatchString(u.Host) && !strings.ContainsAny(v, "?#\\{}%") && !strings.Contains(v, "/..")
		return strings.TrimSuffix(v, "/"), ok
	case asHost:
		return v, hostname.MatchString(v)
	case asLabel:
		return v, label.MatchString(v) || spelledOut && dotted.MatchString(v)
	case asSegment:
		return url.PathEscape(v), !isDots(v) && (spelledOut || !strings.ContainsAny(v, `/\@%?#`))
	}
	return url.QueryEscape(v), true
}
