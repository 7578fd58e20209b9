package endpoints

import (
	"bytes"
	"cmp"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxJSON is the largest document that is read, in bytes.
const maxJSON = 1 << 20

// jsonRules says whose a document is, which decides how strict its reader is.
type jsonRules int

const (
	ownJSON     jsonRules = iota // a form of ours: every member is known, none is empty
	foreignJSON                  // unknown members, null and empty texts are passed over
)

// readJSON reads the one JSON value in data into target. Unlike encoding/json it tells
// letter case, takes no member twice, and names what is wrong by its path. What it
// recurses into is bounded by target's type.
func readJSON(data []byte, target any, rules jsonRules) error {
	switch {
	case len(data) > maxJSON:
		return fmt.Errorf("the JSON is longer than %d bytes", maxJSON)
	case bytes.HasPrefix(data, []byte("\ufeff")):
		return errors.New("the JSON begins with a byte order mark, which it must not (RFC 8259, section 8.1)")
	case !utf8.Valid(data):
		return errors.New("the JSON isn't UTF-8")
	}
	if err := json.Unmarshal(data, new(json.RawMessage)); err != nil {
		if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
			return fmt.Errorf("not a JSON document, at byte %d: %w", syntax.Offset, err)
		}
		return fmt.Errorf("not a JSON document: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var unknown []error
	err := jsonReader{dec, rules, &unknown}.value(reflect.ValueOf(target).Elem(), "")
	return errors.Join(append(unknown, err)...)
}

type jsonReader struct {
	*json.Decoder
	rules   jsonRules
	unknown *[]error // members that ownJSON doesn't know; they don't end the reading
}

// pass passes over the value of an unknown member, unless there are too many of them.
func (r jsonReader) pass(unknown error) error {
	if len(*r.unknown) >= maxNamed {
		return unknown
	}
	*r.unknown = append(*r.unknown, unknown)
	return r.Decode(new(json.RawMessage))
}

var paramsType = reflect.TypeFor[Params]()

// value reads the next value, which stands at path, into v.
func (r jsonReader) value(v reflect.Value, path string) error {
	token, err := r.Token()
	if err != nil {
		return err
	}
	if token == nil && r.rules == foreignJSON {
		return nil
	}
	if t, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		text, ok := token.(string)
		if !ok {
			return wrongType(path, "text", token)
		}
		if err := t.UnmarshalText([]byte(text)); err != nil {
			return fmt.Errorf("%s %w", path, err)
		}
		return nil
	}
	switch v.Kind() {
	case reflect.Struct:
		return r.object(v, path, token)
	case reflect.Map:
		return r.dictionary(v, path, token)
	case reflect.Slice:
		return r.list(v, path, token)
	}
	return scalar(v, path, token)
}

// scalar stores a text, a truth value or a number.
func scalar(v reflect.Value, path string, token json.Token) error {
	switch v.Kind() {
	case reflect.String:
		if text, ok := token.(string); ok {
			v.SetString(text)
			return nil
		}
		return wrongType(path, "text", token)
	case reflect.Bool:
		if b, ok := token.(bool); ok {
			v.SetBool(b)
			return nil
		}
		return wrongType(path, "true or false", token)
	case reflect.Int:
		if n, ok := token.(json.Number); ok {
			if i, err := strconv.Atoi(n.String()); err == nil {
				v.SetInt(int64(i))
				return nil
			}
		}
		return wrongType(path, "a whole number", token)
	}
	panic("endpoints: no JSON form of " + v.Type().String())
}

// object reads the members of an object into the fields of a struct.
func (r jsonReader) object(v reflect.Value, path string, token json.Token) error {
	if token != json.Delim('{') {
		return wrongType(path, "an object", token)
	}
	fields := fieldsOf(v.Type())
	return r.members(path, memberPath, func(name, at string) error {
		field, known := fields[name]
		if !known {
			if r.rules == foreignJSON {
				return r.Decode(new(json.RawMessage))
			}
			return r.pass(unknownMember(fields, name, at))
		}
		f := v.FieldByIndex(field.Index)
		if err := r.value(f, at); err != nil {
			return err
		}
		if r.rules == ownJSON && f.Kind() == reflect.String && f.Len() == 0 {
			return fmt.Errorf("%s is empty: leave it out", at)
		}
		return nil
	})
}

// unknownMember says that a member of an object is unknown, and how it is written if its name
// is that of a field in Go, or differs in letter case or underscores.
func unknownMember(fields map[string]reflect.StructField, name, at string) error {
	plain := func(name string) string { return strings.ReplaceAll(name, "_", "") }
	for other, field := range fields {
		path := cmp.Or(field.Tag.Get("go"), field.Name)
		inGo := path[strings.LastIndexByte(path, '.')+1:]
		if strings.EqualFold(plain(other), plain(name)) || strings.EqualFold(inGo, plain(name)) {
			return fmt.Errorf("%s is unknown: it is written %s", at, other)
		}
	}
	return fmt.Errorf("%s is unknown", at)
}

// dictionary reads an object with names of the provider's into a map.
func (r jsonReader) dictionary(v reflect.Value, path string, token json.Token) error {
	if token != json.Delim('{') {
		return wrongType(path, "an object", token)
	}
	v.Set(reflect.MakeMap(v.Type()))
	return r.members(path, keyPath, func(name, at string) error {
		element := reflect.New(v.Type().Elem()).Elem()
		read := r.value
		if v.Type() == paramsType {
			read = r.param
		}
		if err := read(element, at); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(name), element)
		return nil
	})
}

// param reads the values of a parameter: null, a text or a list of texts.
func (r jsonReader) param(v reflect.Value, path string) error {
	token, err := r.Token()
	if err != nil || token == nil {
		return err
	}
	if text, ok := token.(string); ok {
		v.Set(reflect.ValueOf([]string{text}))
		return nil
	}
	if token != json.Delim('[') {
		return wrongType(path, "text, a list of texts or null", token)
	}
	if err := r.list(v, path, token); err != nil {
		return err
	}
	if v.Len() == 0 {
		v.SetZero() // as null
	}
	return nil
}

func (r jsonReader) list(v reflect.Value, path string, token json.Token) error {
	if token != json.Delim('[') {
		return wrongType(path, "a list", token)
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	for r.More() {
		element := reflect.New(v.Type().Elem()).Elem()
		if err := r.value(element, fmt.Sprintf("%s[%d]", path, v.Len())); err != nil {
			return err
		}
		v.Set(reflect.Append(v, element))
	}
	_, err := r.Token()
	return err
}

// members calls read for the value of each member of an object.
func (r jsonReader) members(path string, pathOf func(path, name string) string, read func(name, at string) error) error {
	seen := make(map[string]bool)
	for r.More() {
		token, err := r.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string) // the syntax is checked
		at := pathOf(path, name)
		if seen[name] {
			return fmt.Errorf("%s is there twice", at)
		}
		seen[name] = true
		if err := read(name, at); err != nil {
			return err
		}
	}
	_, err := r.Token()
	return err
}

// fieldsOf returns the fields of a struct by their names in JSON.
func fieldsOf(t reflect.Type) map[string]reflect.StructField {
	fields := make(map[string]reflect.StructField)
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			fields[name] = f
		}
	}
	return fields
}

var plainName = regexp.MustCompile(`^[$A-Za-z_][A-Za-z0-9_]{0,63}$`)

// memberPath returns the path of a member whose name is one of ours, or should be.
func memberPath(path, name string) string {
	switch {
	case !plainName.MatchString(name):
		return keyPath(path, name)
	case path == "":
		return name
	}
	return path + "." + name
}

// keyPath returns the path of a member whose name is the provider's.
func keyPath(path, name string) string { return fmt.Sprintf("%s[%q]", path, shortName(name)) }

// shortName returns a name of the provider's as far as an error has it.
func shortName(name string) string {
	if len(name) > 64 {
		name = strings.ToValidUTF8(name[:64], "") + "…"
	}
	return name
}

// wrongType says of what type the value at path should be.
func wrongType(path, want string, token json.Token) error {
	is := "null"
	switch token := token.(type) {
	case string:
		is = "text"
	case bool:
		is = fmt.Sprint(token)
	case json.Number:
		is = "the number " + token.String()
		if len(is) > 40 {
			is = "a long number"
		}
	case json.Delim:
		is = "a list"
		if token == '{' {
			is = "an object"
		}
	}
	if path == "" {
		path = "the JSON"
	}
	return fmt.Errorf("%s is %s, and must be %s", path, is, want)
}
