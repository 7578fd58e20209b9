package endpoints

import (
	"bytes"
	"encoding/json"
	"html"
	"io"
	"mime"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// decode reads the members of the answer.
func (a *answer) decode(p *adapter) error {
	if a.err != nil {
		return a.err
	}
	var err error
	a.members, err = decodeMembers(a.resp.Header.Get("Content-Type"), a.body, &p.Answer)
	if err == errNotJSON && isFailure(a.status) && isPlainText(a) {
		a.members, err = map[string]any{"error_description": string(trim(a.body))}, nil
	}
	return err
}

// isPlainText reports whether the answer is a text for people.
func isPlainText(a *answer) bool {
	return mediaType(a.resp) == "text/plain" && !bytes.HasPrefix(trim(a.body), []byte("<"))
}

// trim takes off space, and the byte order mark that some servers begin JSON with.
func trim(body []byte) []byte {
	return bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
}

// decodeMembers reads JSON, JSONP or a form, whatever the content type says: JSON is
// served as text/plain and as text/html, and forms as either. A form that isn't served
// as one is known by a member that the answer, or the RFC, has.
func decodeMembers(contentType string, body []byte, a *Answer) (map[string]any, error) {
	body = trim(body)
	if len(body) == 0 {
		return nil, errEmpty
	}
	media, _, _ := mime.ParseMediaType(contentType)
	if media == "text/html" && body[0] == '<' && len(body) <= maxPage {
		body = inPage(body)
	}
	if padded := jsonp.FindSubmatch(body); padded != nil {
		body = padded[1]
	}
	if len(body) > 0 && (body[0] == '{' || body[0] == '[') {
		return decodeJSON(body)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || !bytes.ContainsRune(body, '=') || media != formType && !a.knows(form) {
		return nil, errNotJSON
	}
	members := make(map[string]any, len(form))
	for name := range form {
		members[name] = form.Get(name)
	}
	return members, nil
}

var (
	// jsonp is an object as the argument of a function.
	jsonp = regexp.MustCompile(`(?s)\A[A-Za-z_$][\w$.]*\s*\(\s*(\{.*\})\s*\)\s*;?\z`)

	// pageAround is what may stand around an answer that is served as a page.
	pageAround = regexp.MustCompile(`(?s)\A(?:\s*<[^<>]*>)*(.*?)(?:<[^<>]*>\s*)*\z`)
)

// maxPage bounds the page that an answer is looked for in, in bytes: to take the tags off
// a MiB of them takes a second.
const maxPage = 64 << 10

// inPage returns the text of a page that has nothing but tags around it.
func inPage(body []byte) []byte {
	if inner := pageAround.FindSubmatch(body); inner != nil {
		return []byte(html.UnescapeString(string(bytes.TrimSpace(inner[1]))))
	}
	return body
}

// knows reports whether a form has a member of a token or an error.
func (a *Answer) knows(form url.Values) bool {
	if form.Has("access_token") || form.Has("error") {
		return true
	}
	return a != nil && (form.Has(a.Names["access_token"]) || form.Has(a.Names["error"]))
}

// decodeJSON reads an object, or an array of which the objects are read as one and
// the texts as errors.
func decodeJSON(body []byte) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, errNotJSON // err could quote the body
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errNotJSON
	}
	switch v := v.(type) {
	case map[string]any:
		return v, nil
	case []any:
		return membersOf(v)
	}
	return nil, errNotJSON
}

// membersOf reads an array at the top as an object.
func membersOf(list []any) (map[string]any, error) {
	members := make(map[string]any)
	var texts []any
	for _, element := range list {
		switch element := element.(type) {
		case map[string]any:
			for name, v := range element {
				if _, earlier := members[name]; !earlier {
					members[name] = v
				}
			}
		case string:
			texts = append(texts, element)
		}
	}
	switch {
	case len(members) > 0:
		return members, nil
	case len(texts) > 0:
		return map[string]any{"errors": texts}, nil
	}
	return nil, errNotJSON
}

// find returns a member by the path to it, its name after those of the objects around
// it, with dots; a member whose name has dots goes first. An array on the way stands
// for the first of its elements that has the member.
func find(v any, path string) any {
	switch v := v.(type) {
	case []any:
		for _, element := range v {
			if found := find(element, path); found != nil {
				return found
			}
		}
	case map[string]any:
		if found, ok := v[path]; ok {
			return found
		}
		for i, c := range path {
			if c != '.' {
				continue
			}
			if found := find(v[path[:i]], path[i+1:]); found != nil {
				return found
			}
		}
	}
	return nil
}

// memberText returns a member that is a single value, or the first of a list, as text,
// and "" for anything else.
func memberText(v any) string {
	if list, ok := v.([]any); ok && len(list) > 0 {
		v = list[0]
	}
	return text(v)
}

// text returns a scalar member as text, and "" for anything else.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

// standardName returns the standard member that x/oauth2 takes name for, or "".
func standardName(name string) string {
	for _, standard := range standardMembers {
		if name == standard || strings.EqualFold(name, standard) {
			return standard
		}
	}
	return ""
}

// standardMembers are those that x/oauth2 reads itself.
var standardMembers = []string{
	"access_token", "token_type", "refresh_token", "expires_in", "error", "error_description", "error_uri",
}

// numbers replaces numbers by what keeps their digits. An id of 18 digits would come
// out of a float64, to which x/oauth2 decodes all numbers, as another account's. A
// number that is the same as a float64 becomes one if it is decoded, and is left to
// x/oauth2 if not; any other stays a json.Number if it is decoded, and becomes a string
// of its digits for x/oauth2.
type numbers struct {
	decoded bool
	changed bool // there was one of the other kind
}

// exact does that in v, and returns what to put in place of v itself, or nil.
func (n *numbers) exact(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if exact := n.exact(member); exact != nil {
				v[name] = exact
			}
		}
	case []any:
		for i, element := range v {
			if exact := n.exact(element); exact != nil {
				v[i] = exact
			}
		}
	case json.Number:
		f, exact := exactFloat(v.String())
		switch {
		case exact && n.decoded:
			return f
		case !exact && !n.decoded:
			n.changed = true
			return v.String()
		}
	}
	return nil
}

// exactFloat returns a number as a float64, and reports whether that is the same: if
// it is an integer of at most 53 bits, or a fraction of a size that a float64 has.
func exactFloat(number string) (float64, bool) {
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || len(number) <= 15 || strings.ContainsAny(number, ".eE") {
		return f, err == nil
	}
	i, err := strconv.ParseInt(number, 10, 64)
	return f, err == nil && -1<<53 <= i && i <= 1<<53
}
