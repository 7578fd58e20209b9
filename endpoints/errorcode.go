package endpoints

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

var (
	codeMembers        = []string{"error", "name", "error_code", "errorCode", "errorType", "errcode", "code", "type"}
	descriptionMembers = []string{
		"error_description", "message", "error_message", "errorMessage", "errmsg", "msg", "detail", "description", "title",
	}
)

// foundError is the error in an answer.
type foundError struct {
	code        string // as the provider writes it, or "" if it has none
	description string
	declared    ErrorKind // what the definition says that it means, or ""
}

// errorIn finds the error in an answer in the shapes that occur.
func (a *Answer) errorIn(ans *answer) foundError {
	e := a.errorOf(ans.members, ans.status, a.Errors)
	if ans.kind != "" {
		e.declared = ans.kind
	} else if rule := lastResort(a.Errors, ans.status); rule != nil && e.isUnknown() {
		e.declared = rule.Kind
	}
	return e
}

// isUnknown reports whether nothing is known of the code.
func (e *foundError) isUnknown() bool {
	known, _ := tokenerror.Lookup(e.code)
	return e.declared == "" && known == ""
}

// errorOf finds the code and description of an error, and what rules say of it.
func (a *Answer) errorOf(members map[string]any, status int, rules []ErrorRule) foundError {
	var e foundError
	all, named := a.codesIn(members)
	rule, code := ruleFor(rules, status, members, all)
	if rule != nil {
		e.declared, e.code = rule.Kind, code
	}
	for _, code := range named {
		if known, _ := tokenerror.Lookup(code); known != "" && e.code == "" {
			e.code = code
		}
	}
	if e.code == "" && len(named) > 0 {
		e.code = named[0]
	}
	e.description = a.descriptionIn(members, e.code)
	return e
}

// codesIn returns what may be the error code, the most specific first: all of it, and
// what is named or looks like one.
func (a *Answer) codesIn(members map[string]any) (all, named []string) {
	if v := a.at(members, "error"); a.Names["error"] != "" && v != nil {
		if code := memberText(v); code != "" {
			all, named = append(all, code), append(named, code)
		}
	}
	for _, place := range a.errorPlaces(members) {
		for _, name := range codeMembers {
			v := standardMember(place, name)
			code := text(v)
			if code == "" {
				continue
			}
			all = append(all, code)
			if known, _ := tokenerror.Lookup(code); known != "" || isCode(v, code) {
				named = append(named, code)
			}
		}
	}
	for _, name := range []string{"errors", "error"} {
		list, _ := members[name].([]any)
		for _, v := range list {
			code, _ := v.(string)
			if known, _ := tokenerror.Lookup(code); known != "" {
				all, named = append(all, code), append(named, code)
			}
		}
	}
	return all, named
}

// isCode reports whether a member holds a code, and not a flag; a repeated HTTP
// status; a sentence; the URL that is the type of a problem (RFC 9457).
func isCode(v any, code string) bool {
	_, isFlag := v.(bool)
	_, notNumber := strconv.Atoi(code)
	return !isFlag && notNumber != nil && !strings.ContainsAny(code, " /:\t\r\n")
}

// errorPlaces returns the objects that may describe the error: the one in TokenIn, the
// answer itself, {"error": {…}} and {"errors": [{…}]}.
func (a *Answer) errorPlaces(members map[string]any) []map[string]any {
	var places []map[string]any
	add := func(v any) {
		if object, ok := v.(map[string]any); ok {
			places = append(places, object)
		}
	}
	if a.TokenIn != "" {
		add(find(members, a.TokenIn))
	}
	add(members)
	add(members["error"])
	list, _ := members["errors"].([]any)
	for _, element := range list {
		add(element)
	}
	return places
}

// descriptionIn finds the description of an error that has the code.
func (a *Answer) descriptionIn(members map[string]any, code string) string {
	description := memberText(a.at(members, "error_description"))
	for _, place := range a.errorPlaces(members) {
		for _, name := range descriptionMembers {
			if s, _ := standardMember(place, name).(string); description == "" {
				description = s
			}
		}
	}
	for _, name := range []string{"error", "errors"} { // a sentence where a code should be
		if sentence, ok := members[name].(string); ok && sentence != code {
			description = cmp.Or(description, sentence)
		}
	}
	return description
}
