package endpoints

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// maxValue bounds the value of a variable, in bytes: a host name has 253 at most.
const maxValue = 1 << 10

// checkVar reports a value of the variable that isn't accepted. One that Vars doesn't
// declare takes any.
func (p *Provider) checkVar(name, v string) error {
	entries, declared := p.Vars[name]
	if declared && !accepts(entries, v) || len(v) > maxValue || strings.ContainsFunc(v, isControl) {
		return p.notAccepted(name)
	}
	return nil
}

// notAccepted is the error about a value, which isn't quoted as it may be hostile. The user
// may have typed it. What the variable takes is, unless that is a key.
func (p *Provider) notAccepted(name string) error {
	text := "the value of the variable " + name + " isn't accepted"
	const shown = 5 // of a list of regions, say
	entries := slices.DeleteFunc(slices.Clone(p.Vars[name]), func(e string) bool { return e == "" })
	if len(entries) > shown {
		entries = append(entries[:shown], "…")
	}
	if len(entries) > 0 && !isSecret(name) {
		text += ": it takes " + strings.Join(entries, ", ")
	}
	return tokenerror.Input(errors.New(text))
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// canonical returns the value of a variable that stands in a host in small letters, if
// that is accepted: who types the name of his shop writes it as he likes, and the provider
// names it in its own way.
func (p *Provider) canonical(name, v string) string {
	// The Kelvin sign has a small k, too: a letter that isn't ASCII stays as it is, to be refused.
	if lower := strings.ToLower(v); len(lower) == len(v) && lower != v && p.isInHost(name) && p.checkVar(name, lower) == nil {
		return lower
	}
	return v
}

// isInHost reports whether a variable is the host of a URL or a part of it.
func (p *Provider) isInHost(name string) bool {
	return slices.ContainsFunc(p.urls(), func(u namedURL) bool {
		return slices.ContainsFunc(parseTemplate(u.url).slots, func(s slot) bool {
			return s.name == name && (s.at == asHost || s.at == asLabel)
		})
	})
}

// accepts reports whether one of the entries of Vars accepts v.
func accepts(entries []string, v string) bool {
	return len(v) <= maxValue && slices.ContainsFunc(entries, func(entry string) bool {
		return entry == "*" || entry != "" && matchesEntry(entry, v)
	})
}

// spellsOut reports whether v is accepted by an entry that is more than a "*".
func (p *Provider) spellsOut(name, v string) bool {
	return slices.ContainsFunc(p.Vars[name], func(entry string) bool { return entry != "*" && entry != "" && matchesEntry(entry, v) })
}

// matchesEntry reports whether v is what the entry says, in which a "*" stands for
// one or more letters, digits, "-" and "_".
func matchesEntry(entry, v string) bool {
	parts := strings.Split(entry, "*")
	v, ok := strings.CutPrefix(v, parts[0])
	last := len(parts) - 1
	if last == 0 {
		return ok && v == ""
	}
	for _, part := range parts[1:last] {
		// The first place of part will do: what stands between it and another one, the
		// next "*" takes, and a part that no "*" takes has no other.
		n := 1
		for n < len(v) && isWord(v[n-1]) && !strings.HasPrefix(v[n:], part) {
			n++
		}
		if n >= len(v) || !isWord(v[n-1]) {
			return false
		}
		v = v[n+len(part):]
	}
	v, found := strings.CutSuffix(v, parts[last])
	return ok && found && v != "" && !strings.ContainsFunc(v, func(r rune) bool { return r >= utf8.RuneSelf || !isWord(byte(r)) })
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// defaultOf returns the value of a variable that nothing gives a value.
func (p *Provider) defaultOf(name string) string {
	entries := p.Vars[name]
	if len(entries) == 0 || strings.Contains(entries[0], "*") {
		return ""
	}
	return entries[0]
}

// beside returns what is kept beside t under a name, or under a path to it, as text.
// Of a list that is the first one. It returns "" for what is no single value.
func beside(t *oauth2.Token, path string) string {
	if t == nil {
		return ""
	}
	if v := t.Extra(path); v != nil {
		return valueText(v)
	}
	for i, c := range path {
		if c != '.' {
			continue
		}
		if inner, ok := t.Extra(path[:i]).(map[string]any); ok {
			if v := find(inner, path[i+1:]); v != nil {
				return valueText(v)
			}
		}
	}
	return ""
}

// valueText is memberText, with numbers as they are decoded for a token: an id has no
// exponent.
func valueText(v any) string {
	if list, ok := v.([]any); ok && len(list) > 0 {
		v = list[0]
	}
	if f, ok := v.(float64); ok {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return text(v)
}
