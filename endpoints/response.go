package endpoints

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// answer is what the provider answered, and what must be known of the request to
// read it.
type answer struct {
	resp  *http.Response
	body  []byte
	err   error  // errTooLarge if there was more than body
	grant string // of the request

	requestSecrets func() []string
}

// secrets are what may not be repeated in an error: the secrets of the request, and
// the tokens in the answer.
func (a *answer) secrets() []string {
	secrets := a.requestSecrets()
	if a.resp != nil {
		members, _ := decodeMembers(a.resp.Header.Get("Content-Type"), a.body)
		secrets = append(secrets, responseSecrets(members)...)
	}
	return secrets
}

// adapted is what x/oauth2 is given in place of an answer.
type adapted struct {
	status  int
	body    []byte
	kind    tokenerror.Kind // what the error in it means, if the Style says that
	members map[string]any  // in place of a body, those of a token response
	asSent  bool            // the members are what the provider sent
}

// adaptResponse turns the answer to a token request into flat RFC 6749 members and
// the status that goes with it. A success keeps everything that came beside the
// token, and an error has nothing in it but its code and description.
func (p *Provider) adaptResponse(a *answer) adapted {
	members, err := a.members()
	if err == nil && p.Style.Response != nil {
		if hookErr := p.Style.Response(a.resp.StatusCode, members); hookErr != nil {
			err = fmt.Errorf("Style.Response: %w", hookErr)
		}
	}
	if err != nil {
		return p.unreadable(a, err)
	}
	failed, told := p.Style.verdict(members)
	count, lifetime := len(members), members["expires_in"]
	members = p.Style.flatten(members)
	renamed := lowerStandard(members)
	if isFailure(a.resp.StatusCode) || failed || !told && (signalsError(members) || p.Style.describesError(members)) {
		return p.failure(a, members)
	}
	if err := p.Style.standardize(members, a.grant); err != nil {
		return p.unreadable(a, err)
	}
	asSent := !renamed && p.Style.TokenIn == "" && len(p.Style.ResponseNames) == 0 && p.Style.Response == nil &&
		len(members) == count && members["expires_in"] == lifetime
	return adapted{status: a.resp.StatusCode, members: members, asSent: asSent}
}

func isFailure(status int) bool { return status < 200 || status > 299 }

// members decodes the answer.
func (a *answer) members() (map[string]any, error) {
	if a.resp.StatusCode/100 == 3 {
		return nil, errRedirect
	}
	if a.err != nil {
		return nil, a.err
	}
	return decodeMembers(a.resp.Header.Get("Content-Type"), a.body)
}

// trim takes off space, and the byte order mark that some servers begin JSON with.
func trim(body []byte) []byte {
	return bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
}

// decodeMembers reads a JSON object or a form, whatever the content type says:
// JSON is served as text/plain and as text/html, and forms as text/plain.
func decodeMembers(contentType string, body []byte) (map[string]any, error) {
	trimmed := trim(body)
	if len(trimmed) == 0 {
		return nil, errEmpty
	}
	if trimmed[0] == '{' {
		dec := json.NewDecoder(bytes.NewReader(trimmed))
		dec.UseNumber()
		var members map[string]any
		if err := dec.Decode(&members); err != nil {
			return nil, errNotJSON // err could quote the body
		}
		if _, err := dec.Token(); err != io.EOF {
			return nil, errNotJSON
		}
		return members, nil
	}
	media, _, _ := mime.ParseMediaType(contentType)
	form, err := url.ParseQuery(string(trimmed))
	isForm := media == formType && bytes.ContainsRune(trimmed, '=') ||
		media == "text/plain" && (form.Has("access_token") || form.Has("error"))
	if err != nil || !isForm {
		return nil, errNotJSON
	}
	members := make(map[string]any, len(form))
	for name := range form {
		members[name] = form.Get(name)
	}
	return members, nil
}

// flatten lifts the members of the wrapped token to the top, and gives the RFC's
// names to what has others. It changes members, and returns them.
func (s *AuthStyle) flatten(members map[string]any) map[string]any {
	if wrapped, ok := lookup(members, s.TokenIn).(map[string]any); ok && s.TokenIn != "" {
		remove(members, s.TokenIn)
		maps.Copy(members, wrapped)
	}
	renamed := make(map[string]any, len(s.ResponseNames))
	for name, theirs := range s.ResponseNames {
		if v := lookup(members, theirs); v != nil {
			renamed[name] = v
		}
	}
	for name := range renamed {
		remove(members, s.ResponseNames[name])
	}
	maps.Copy(members, renamed)
	return members
}

// lowerStandard gives the standard members their names in lower case: x/oauth2 reads
// Access_Token as access_token, and fails on an Error that is not a string.
func lowerStandard(members map[string]any) (changed bool) {
	var others []string
	for name := range members {
		if standard := standardName(name); standard != "" && standard != name {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	for _, name := range others {
		standard := standardName(name)
		if _, ok := members[standard]; !ok {
			members[standard] = members[name]
		}
		delete(members, name)
	}
	return len(others) > 0
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

// standardize gives the standard members of a success the types that x/oauth2
// reads. Its error says why there is no usable token in them.
func (s *AuthStyle) standardize(members map[string]any, grant string) error {
	if access, _ := members["access_token"].(string); access == "" {
		return errNoToken
	}
	switch members["refresh_token"].(type) {
	case string:
	case nil:
		delete(members, "refresh_token")
	default:
		// It must not be mistaken for none: the one that was spent for it would
		// be kept in its place.
		return errNotString
	}
	if tokenType, _ := members["token_type"].(string); tokenType == "" {
		delete(members, "token_type")
	}
	for _, name := range []string{"error", "error_description", "error_uri"} {
		delete(members, name) // here they say that there was none: false, 0, null or ""
	}
	return s.setLifetime(members, grant)
}

// find returns the object that holds a member, and its name there. The path is the
// member's name, or its name after those of the objects around it, with dots.
func find(members map[string]any, path string) (object map[string]any, name string) {
	for {
		if _, ok := members[path]; ok {
			return members, path
		}
		head, rest, nested := strings.Cut(path, ".")
		inner, ok := members[head].(map[string]any)
		if !nested || !ok {
			return nil, ""
		}
		members, path = inner, rest
	}
}

func lookup(members map[string]any, path string) any {
	object, name := find(members, path)
	return object[name]
}

func remove(members map[string]any, path string) {
	object, name := find(members, path)
	delete(object, name)
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

// numbers replaces numbers by what keeps their digits. An id of 18 digits would come
// out of a float64, to which x/oauth2 decodes all numbers, as another account's. A
// number that is the same as a float64 becomes one if it is decoded, and is left to
// x/oauth2 if not; any other stays a json.Number if it is decoded, and becomes a string
// of its digits for x/oauth2.
type numbers struct {
	decoded bool
	changed bool // there was one of the other kind
}

func (n *numbers) exact(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			v[name] = n.exact(member)
		}
	case []any:
		for i, element := range v {
			v[i] = n.exact(element)
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
	return v
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
