package endpoints

import (
	"errors"
	"reflect"
	"regexp"
	"strings"
	"sync"
)

// inJSONWords returns an error of Validate with the fields of p named by the members
// that they are in JSON: Refresh.Params["x"][0] is refresh.params["x"][0].
func inJSONWords(p *Provider, err error) error {
	prefix := p.errorf("").Error()
	text, ok := strings.CutPrefix(err.Error(), prefix)
	if !ok {
		return err
	}
	return errors.New(prefix + fieldOrQuoted.ReplaceAllStringFunc(text, memberOf))
}

// fieldOrQuoted finds a quoted text, a name in braces, or what may be a field of Provider or
// a path of them.
var fieldOrQuoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\{[^{}]*\}|\b[A-Z][A-Za-z]*(?:\.[A-Z][A-Za-z]*)*`)

// memberOf returns the path in JSON of a path of fields, and anything else, such as a
// quoted text, as it is.
func memberOf(path string) string {
	if path[0] == '"' || path[0] == '{' {
		return path
	}
	words := jsonWords()
	for head := path; head != ""; head = head[:max(0, strings.LastIndexByte(head, '.'))] {
		member, known := words[head]
		switch {
		case known && head == path:
			return member
		case known:
			return member + "." + memberOf(path[len(head)+1:])
		}
	}
	return path
}

// jsonWords has the names in JSON of the fields of Provider and of the types in it. A
// field that has one name in two types has one name in JSON.
var jsonWords = sync.OnceValue(func() map[string]string {
	words := map[string]string{"Style.Auth": "token_endpoint_auth_method"}
	var add func(t reflect.Type)
	add = func(t reflect.Type) {
		for t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct {
			return
		}
		for name, f := range fieldsOf(t) {
			path := f.Tag.Get("go")
			if path == "" {
				path = f.Name
			}
			words[path] = name
			add(f.Type)
		}
	}
	add(reflect.TypeFor[definition]())
	return words
})
