package endpoints

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// checker validates JSON against a JSON Schema (2020-12), as far as ours goes.
type checker struct{ defs map[string]any }

// knownKeywords are those that check knows, and those that only describe.
var knownKeywords = []string{
	"$ref", "type", "enum", "minLength", "pattern", "items", "required", "properties", "additionalProperties",
	"$schema", "$id", "$defs", "title", "description",
}

func newChecker(t *testing.T) (checker, map[string]any) {
	var root map[string]any
	require.NoError(t, json.Unmarshal([]byte(readFile(t, schemaFile)), &root))
	c := checker{defs: root["$defs"].(map[string]any)}
	return c, root
}

// check returns what is wrong with v, or nil.
func (c checker) check(s, v any) error {
	if b, ok := s.(bool); ok {
		if !b {
			return fmt.Errorf("%v can't be here", v)
		}
		return nil
	}
	rules := s.(map[string]any)
	for _, keyword := range slices.Sorted(maps.Keys(rules)) {
		if !slices.Contains(knownKeywords, keyword) {
			return fmt.Errorf("the schema has an unknown %s", keyword)
		}
	}
	if ref, ok := rules["$ref"].(string); ok {
		def, ok := c.defs[strings.TrimPrefix(ref, "#/$defs/")]
		if !ok {
			return fmt.Errorf("there is no %s", ref)
		}
		if err := c.check(def, v); err != nil {
			return err
		}
	}
	if types, ok := rules["type"]; ok && !isOfType(types, v) {
		return fmt.Errorf("%v is not of type %v", v, types)
	}
	switch v := v.(type) {
	case string:
		return checkText(rules, v)
	case []any:
		for _, element := range v {
			if items, ok := rules["items"]; ok {
				if err := c.check(items, element); err != nil {
					return err
				}
			}
		}
	case map[string]any:
		return c.checkObject(rules, v)
	}
	return nil
}

func (c checker) checkObject(rules, v map[string]any) error {
	required, _ := rules["required"].([]any)
	for _, name := range required {
		if _, ok := v[name.(string)]; !ok {
			return fmt.Errorf("%s is missing", name)
		}
	}
	known, _ := rules["properties"].(map[string]any)
	for name, member := range v {
		s, ok := known[name]
		if !ok {
			if s, ok = rules["additionalProperties"]; !ok {
				continue
			}
		}
		if err := c.check(s, member); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func checkText(rules map[string]any, v string) error {
	if enum, ok := rules["enum"].([]any); ok && !slices.Contains(enum, any(v)) {
		return fmt.Errorf("%q is none of %v", v, enum)
	}
	if least, ok := rules["minLength"].(float64); ok && utf8.RuneCountInString(v) < int(least) {
		return fmt.Errorf("%q is too short", v)
	}
	if pattern, ok := rules["pattern"].(string); ok && !regexp.MustCompile(pattern).MatchString(v) {
		return fmt.Errorf("%q doesn't match %s", v, pattern)
	}
	return nil
}

func isOfType(types, v any) bool {
	if list, ok := types.([]any); ok {
		return slices.ContainsFunc(list, func(one any) bool { return isOfType(one, v) })
	}
	switch v := v.(type) {
	case nil:
		return types == "null"
	case string:
		return types == "string"
	case bool:
		return types == "boolean"
	case float64:
		return types == "number" || types == "integer" && v == math.Trunc(v)
	case []any:
		return types == "array"
	}
	return types == "object"
}

func TestDefinitionsAgreeWithTheSchema(t *testing.T) {
	c, root := newChecker(t)
	for _, p := range definitions() {
		data, err := json.Marshal(p)
		require.NoError(t, err)
		var v any
		require.NoError(t, json.Unmarshal(data, &v))
		assert.NoError(t, c.check(root, v), "%s", data)
	}
}

// TestSchemaAndParserRefuseTheSame breaks each value of the definitions in ways that
// both have to find: another type, a member that isn't known, an unknown or empty word.
func TestSchemaAndParserRefuseTheSame(t *testing.T) {
	c, root := newChecker(t)
	mutations := make(map[string]int)
	all := []Provider{everything(), Finch, Zoho}
	if testing.Short() {
		all = all[:1]
	}
	for _, p := range all {
		data, err := json.Marshal(p)
		require.NoError(t, err)
		var tree any
		require.NoError(t, json.Unmarshal(data, &tree))
		mutate(&tree, "", false, func(what string) {
			mutations[what]++
			data, err := json.Marshal(tree)
			require.NoError(t, err)
			_, err = parsed(string(data))
			assert.Error(t, err, "%s\n%s", what, data)
			assert.Error(t, c.check(root, tree), "%s\n%s", what, data)
		})
	}
	t.Log(mutations)
	for what, least := range map[string]int{"another type": 100, "unknown member": 20, "unknown word": 10, "empty text": 20, "null": 50} {
		if testing.Short() {
			least /= 2
		}
		assert.GreaterOrEqual(t, mutations[what], least, what)
	}
}

// words are the members that take one of a few words.
var words = []string{"code_challenge_method", "method", "body", "auth", "kind", "token_endpoint_auth_method"}

// mutate calls try with *v, which stands at a member's path, changed in one place. It
// leaves *v as it was. In an object whose names are the provider's, names are free.
func mutate(v *any, member string, free bool, try func(what string)) {
	was := *v
	set := func(other any, what string) {
		*v = other
		try(what)
		*v = was
	}
	set(map[bool]any{true: 1.5, false: true}[was == true], "another type")
	if !free || member != "params" {
		set(nil, "null")
	}
	switch was := was.(type) {
	case string:
		if slices.Contains(words, member) {
			set(was+"x", "unknown word")
		}
		if !free {
			set("", "empty text")
		}
	case []any:
		for i := range was {
			mutate(&was[i], "", true, try)
		}
	case map[string]any:
		names := slices.Contains([]string{"params", "header", "names", "success", "variables"}, member)
		for _, name := range slices.Sorted(maps.Keys(was)) {
			inner, at := was[name], name
			if names {
				at = member
			}
			mutate(&inner, at, names, func(what string) {
				kept := was[name]
				was[name] = inner
				try(what)
				was[name] = kept
			})
		}
		if !names {
			was["unknown"] = "x"
			try("unknown member")
			delete(was, "unknown")
		}
	}
}
