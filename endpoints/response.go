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
	resp    *http.Response
	body    []byte
	err     error    // errTooLarge if there was more than body
	grant   string   // of the request
	secrets []string // what may not be repeated in an error
}

// adapted is what x/oauth2 is given in place of an answer.
type adapted struct {
	status int
	body   []byte
	kind   tokenerror.Kind // what the error in it means, if the Style says that
}

// adaptResponse turns the answer to a token request into flat RFC 6749 JSON and
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
	members = p.Style.flatten(members)
	if isFailure(a.resp.StatusCode) || failed || !told && (signalsError(members) || p.Style.describesError(members)) {
		return p.failure(a, members)
	}
	if err := p.Style.standardize(members, a.grant); err != nil {
		return p.unreadable(a, err)
	}
	body, err := json.Marshal(exactNumbers(members))
	if err != nil {
		return p.unreadable(a, errNotJSON)
	}
	return adapted{status: a.resp.StatusCode, body: body}
}

func isFailure(status int) bool { return status < 200 || status > 299 }

// members decodes the answer, and adds the tokens in it to the secrets.
func (a *answer) members() (map[string]any, error) {
	if a.resp.StatusCode/100 == 3 {
		return nil, errRedirect
	}
	if a.err != nil {
		return nil, a.err
	}
	members, err := decodeMembers(a.resp.Header.Get("Content-Type"), a.body)
	a.secrets = append(a.secrets, responseSecrets(members)...)
	return members, err
}

// decodeMembers reads a JSON object or a form, whatever the content type says:
// JSON is served as text/plain and as text/html, and forms as text/plain.
func decodeMembers(contentType string, body []byte) (map[string]any, error) {
	trimmed := bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
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
	// x/oauth2 reads Access_Token as access_token, and fails on an Error that is
	// not a string.
	for _, name := range slices.Sorted(maps.Keys(members)) {
		for _, standard := range standardMembers {
			if name == standard || !strings.EqualFold(name, standard) {
				continue
			}
			if _, ok := members[standard]; !ok {
				members[standard] = members[name]
			}
			delete(members, name)
		}
	}
	return members
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

// exactNumbers replaces numbers that x/oauth2, which decodes them all to float64,
// would change or drop, by their digits as a string: an id of 18 digits would come
// out as another account's.
func exactNumbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			v[name] = exactNumbers(member)
		}
	case []any:
		for i, element := range v {
			v[i] = exactNumbers(element)
		}
	case json.Number:
		const exact = 1 << 53 // the integers that a float64 holds
		i, err := v.Int64()
		if isInteger := !strings.ContainsAny(v.String(), ".eE"); isInteger && (err != nil || i > exact || i < -exact) {
			return v.String()
		}
		if _, err := v.Float64(); err != nil {
			return v.String()
		}
	}
	return v
}
