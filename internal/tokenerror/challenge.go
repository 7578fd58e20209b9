package tokenerror

import (
	"net/http"
	"strings"
)

// Challenge is one challenge of a WWW-Authenticate field (RFC 9110, section 11.6.1).
type Challenge struct {
	Scheme  string            // in lower case: "bearer"
	Token68 string            // in place of Params, as for "negotiate"
	Params  map[string]string // by their names in lower case, unquoted
}

// maxChallenges bounds what is read of a server that sends challenges without end.
const maxChallenges = 32

// Challenges returns all challenges of a response, from all of its WWW-Authenticate
// fields, in the order in which they stand there. It skips what it can't read. Of a
// parameter that stands twice in a challenge it keeps the first.
func Challenges(h http.Header) []Challenge {
	var all []Challenge
	for _, field := range h.Values("WWW-Authenticate") {
		all = append(all, parseChallenges(field, maxChallenges-len(all))...)
	}
	return all
}

// parseChallenges reads the challenges of one field. Challenges and the parameters of
// one are both separated by commas: a token that no "=" follows is the scheme of another
// challenge.
func parseChallenges(field string, limit int) []Challenge {
	var all []Challenge
	s := scanner{rest: field}
	for len(all) <= limit {
		s.skip(", \t")
		name := s.token()
		switch {
		case name == "" && s.rest == "":
			return all[:min(len(all), limit)]
		case name == "":
			s.resume()
		case len(all) > 0 && s.param(name, &all[len(all)-1]):
		default:
			all = append(all, Challenge{Scheme: strings.ToLower(name), Params: map[string]string{}})
			s.token68(&all[len(all)-1])
		}
	}
	return all[:limit]
}

type scanner struct{ rest string }

func (s *scanner) skip(chars string) { s.rest = strings.TrimLeft(s.rest, chars) }

// token reads a token (RFC 9110, section 5.6.2), or returns "".
func (s *scanner) token() string {
	end := strings.IndexFunc(s.rest, func(r rune) bool { return !isTokenChar(r) })
	if end < 0 {
		end = len(s.rest)
	}
	token := s.rest[:end]
	s.rest = s.rest[end:]
	return token
}

// param reads what follows the name of a parameter into c, and reports whether that
// was one.
func (s *scanner) param(name string, c *Challenge) bool {
	after, ok := strings.CutPrefix(strings.TrimLeft(s.rest, " \t"), "=")
	if !ok {
		return false
	}
	s.rest = strings.TrimLeft(after, " \t")
	value, ok := s.value()
	name = strings.ToLower(name)
	if _, twice := c.Params[name]; ok && !twice {
		c.Params[name] = value
	}
	return true
}

// value reads a token or a quoted string. Some servers write other values without
// quotes, such as URLs: those end at a comma or a space.
func (s *scanner) value() (value string, ok bool) {
	if quoted, isQuoted := strings.CutPrefix(s.rest, `"`); isQuoted {
		s.rest = quoted
		return s.quoted()
	}
	end := strings.IndexAny(s.rest, ", \t")
	if end < 0 {
		end = len(s.rest)
	}
	value = s.rest[:end]
	s.rest = s.rest[end:]
	return value, value != ""
}

// quoted reads a quoted string (RFC 9110, section 5.6.4) after its first quote. One
// that doesn't end is none.
func (s *scanner) quoted() (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s.rest); i++ {
		switch c := s.rest[i]; c {
		case '"':
			s.rest = s.rest[i+1:]
			return b.String(), true
		case '\\':
			i++
			if i == len(s.rest) {
				break
			}
			b.WriteByte(s.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	s.rest = ""
	return "", false
}

// token68 reads the credentials that may follow a scheme in place of parameters. It
// leaves parameters alone.
func (s *scanner) token68(c *Challenge) {
	after := strings.TrimLeft(s.rest, " \t")
	if len(after) == len(s.rest) {
		return // no space: nothing belongs to the scheme
	}
	end := strings.IndexAny(after, ", \t")
	if end < 0 {
		end = len(after)
	}
	word, next := after[:end], strings.TrimLeft(after[end:], " \t")
	if word == "" || next != "" && next[0] != ',' ||
		strings.ContainsFunc(strings.TrimRight(word, "="), func(r rune) bool { return !isToken68Char(r) }) {
		return
	}
	c.Token68 = word
	s.rest = after[end:]
}

// resume skips something unreadable, to the next comma.
func (s *scanner) resume() {
	if quoted, ok := strings.CutPrefix(s.rest, `"`); ok {
		s.rest = quoted
		s.quoted()
		return
	}
	_, s.rest, _ = strings.Cut(s.rest, ",")
}

func isTokenChar(r rune) bool {
	return isAlphanumeric(r) || strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

func isToken68Char(r rune) bool { return isAlphanumeric(r) || strings.ContainsRune("-._~+/", r) }

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}
