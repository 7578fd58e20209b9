package endpoints

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// issued is the token in an answer.
type issued struct {
	access, kind, refresh string
	lifetime              time.Duration // zero is until it is refused

	elsewhere map[string]bool // the RFC's names that stand at the top for something else
}

// token finds the token in an answer to a request of that grant. Its error says why
// there is none that can be used.
func (a *Answer) token(members map[string]any, grant string) (*issued, error) {
	var t issued
	t.access, _ = a.at(members, "access_token").(string)
	if t.access == "" {
		return nil, errNoToken
	}
	var ok bool
	if t.refresh, ok = refreshText(a.at(members, "refresh_token")); !ok {
		// It must not be mistaken for none: the one that was spent for it would
		// be kept in its place.
		return nil, errNotString
	}
	t.kind, _ = a.at(members, "token_type").(string)
	t.lifetime = a.lifetime(members, t.refresh != "" || grant == grantRefresh)
	t.elsewhere = a.elsewhere(members)
	return &t, nil
}

// refreshText returns a refresh token, also one of digits that was sent as a number, and
// "" for what says that there is none.
func refreshText(v any) (token string, ok bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case nil:
		return "", true
	case bool:
		return "", !v // as PHP has it
	}
	return "", false
}

// at returns a member by the RFC's name for it: under the provider's name or the
// RFC's, within TokenIn or else beside it, whatever the case of the letters.
func (a *Answer) at(members map[string]any, name string) any {
	v, _ := a.place(members, name)
	return v
}

// place returns the member and whether it stands at the top under the RFC's name.
func (a *Answer) place(members map[string]any, name string) (v any, atTop bool) {
	var inner any
	if a.TokenIn != "" {
		inner = find(members, a.TokenIn)
	}
	if theirs := a.Names[name]; theirs != "" {
		for _, place := range []any{inner, members} {
			if v := find(place, theirs); v != nil {
				return v, theirs == name && place != inner
			}
		}
	}
	if object := firstObject(inner); object != nil {
		if v := standardMember(object, name); v != nil {
			return v, false
		}
	}
	return standardMember(members, name), true
}

// firstObject returns an object, or the first one in an array.
func firstObject(v any) map[string]any {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	for _, element := range list {
		if object, ok := element.(map[string]any); ok {
			return object
		}
	}
	return nil
}

// elsewhere returns the RFC's names of the members of the token that are at another
// place than the top.
func (a *Answer) elsewhere(members map[string]any) map[string]bool {
	if a.TokenIn == "" && len(a.Names) == 0 {
		return nil
	}
	names := make(map[string]bool)
	for _, name := range tokenMembers {
		if v, atTop := a.place(members, name); v != nil && !atTop {
			names[name] = true
		}
	}
	return names
}

// standardMember returns a member that x/oauth2 reads itself. It reads Access_Token as
// access_token; of several the first in the order of the alphabet counts, and the
// RFC's own spelling before all.
func standardMember(members map[string]any, name string) any {
	if v, ok := members[name]; ok {
		return v
	}
	var spellings []string
	for other := range members {
		if strings.EqualFold(other, name) {
			spellings = append(spellings, other)
		}
	}
	if len(spellings) == 0 {
		return nil
	}
	return members[slices.Min(spellings)]
}

// tokenMembers are the members of the token itself.
var tokenMembers = []string{"access_token", "token_type", "refresh_token", "expires_in"}

// seconds is the lifetime as x/oauth2 reads it, an int32; 0 is "never" to it.
func (t *issued) seconds() int64 {
	if t.lifetime <= 0 {
		return 0
	}
	return min(max(int64(t.lifetime/time.Second), 1), math.MaxInt32)
}

// addTo adds the token's own members to others, with numbers as float64 if they are
// decoded. It leaves what is there already.
func (t *issued) addTo(members map[string]any, decoded bool) {
	add := func(name string, v any) {
		if _, others := members[name]; !others {
			members[name] = v
		}
	}
	add("access_token", t.access)
	if t.refresh != "" {
		add("refresh_token", t.refresh)
	}
	if t.kind != "" {
		add("token_type", t.kind)
	}
	switch seconds := t.seconds(); {
	case seconds > 0 && decoded:
		add("expires_in", float64(seconds))
	case seconds > 0:
		add("expires_in", json.Number(strconv.FormatInt(seconds, 10)))
	}
}

// isAsSent reports whether x/oauth2 reads the token out of the members as they are.
func (t *issued) isAsSent(members map[string]any) bool {
	own := make(map[string]any)
	t.addTo(own, false)
	for name, v := range members {
		if standardName(name) == "" {
			continue
		}
		if same, ok := own[name]; !ok || same != v {
			return false
		}
	}
	_, hasLifetime := members["expires_in"]
	return hasLifetime || t.lifetime == 0
}
