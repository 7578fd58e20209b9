package endpoints

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const schemaFile = "provider.schema.json"

var updateSchema = flag.Bool("update", false, "write "+schemaFile+" anew")

// The schema is made of the types: their tags, their comments and their constants. Run
//
//	go test ./endpoints -run TestSchemaIsUpToDate -update
//
// after changing one of them.
func TestSchemaIsUpToDate(t *testing.T) {
	var want bytes.Buffer
	enc := json.NewEncoder(&want)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	require.NoError(t, enc.Encode(newSchemaMaker(t).schema()))
	if *updateSchema {
		require.NoError(t, os.WriteFile(schemaFile, want.Bytes(), 0o644))
	}
	got, err := os.ReadFile(schemaFile)
	require.NoError(t, err)
	assert.Equal(t, want.String(), string(got), "run this test with -update")
}

// schema is a JSON Schema, as far as it is needed here.
type schema struct {
	Schema               string     `json:"$schema,omitempty"`
	ID                   string     `json:"$id,omitempty"`
	Title                string     `json:"title,omitempty"`
	Description          string     `json:"description,omitempty"`
	Ref                  string     `json:"$ref,omitempty"`
	Type                 any        `json:"type,omitempty"`
	Enum                 []string   `json:"enum,omitempty"`
	MinLength            int        `json:"minLength,omitempty"`
	Pattern              string     `json:"pattern,omitempty"`
	Items                *schema    `json:"items,omitempty"`
	Required             []string   `json:"required,omitempty"`
	Properties           properties `json:"properties,omitempty"`
	AdditionalProperties any        `json:"additionalProperties,omitempty"`
	Defs                 properties `json:"$defs,omitempty"`
}

// properties keep the order of the fields that they are made of.
type properties []property

type property struct {
	name   string
	schema any // *schema, or false for what can't be there
}

func (p properties) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for i, one := range p {
		b.WriteString(map[bool]string{true: "{", false: ","}[i == 0])
		fmt.Fprintf(&b, "%q:", one.name)
		if err := enc.Encode(one.schema); err != nil {
			return nil, err
		}
	}
	b.WriteString("}")
	return b.Bytes(), nil
}

// schemaMaker has what reflection doesn't know.
type schemaMaker struct {
	comments map[string]string   // of types, and of fields as Type.Field
	consts   map[string]string   // the values of constants by their names
	enums    map[string][]string // the values of a type's constants but "", in order
	defs     properties
}

func newSchemaMaker(t *testing.T) *schemaMaker {
	m := &schemaMaker{comments: make(map[string]string), consts: make(map[string]string), enums: make(map[string][]string)}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			if gen, ok := decl.(*ast.GenDecl); ok {
				for _, spec := range gen.Specs {
					m.read(gen, spec)
				}
			}
		}
	}
	return m
}

// read keeps what a declaration of types or constants says.
func (m *schemaMaker) read(gen *ast.GenDecl, spec ast.Spec) {
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		m.comments[spec.Name.Name] = gen.Doc.Text()
		fields, ok := spec.Type.(*ast.StructType)
		if !ok {
			return
		}
		for _, f := range fields.Fields.List {
			for _, name := range f.Names {
				m.comments[spec.Name.Name+"."+name.Name] = f.Doc.Text()
			}
		}
	case *ast.ValueSpec:
		kind, _ := spec.Type.(*ast.Ident)
		for i, name := range spec.Names {
			if gen.Tok != token.CONST || kind == nil || i >= len(spec.Values) {
				continue
			}
			if literal, ok := spec.Values[i].(*ast.BasicLit); ok && literal.Kind == token.STRING {
				value, _ := strconv.Unquote(literal.Value)
				m.consts[name.Name] = value
				if value != "" && kind.Name != "string" {
					m.enums[kind.Name] = append(m.enums[kind.Name], value)
				}
			}
		}
	}
}

func (m *schemaMaker) schema() *schema {
	root := m.object(reflect.TypeFor[definition]())
	root.Schema = "https://json-schema.org/draft/2020-12/schema"
	root.ID = "https://github.com/oauth2keep/oauth2keep/endpoints/" + schemaFile
	root.Title = "OAuth 2.0 provider"
	root.Description = "What package endpoints needs to know of an OAuth 2.0 provider, read by its Provider.UnmarshalJSON. " +
		"What a definition doesn't say is as the RFCs have it."
	root.Defs = m.defs
	return root
}

// object makes the schema of a struct.
func (m *schemaMaker) object(t reflect.Type) *schema {
	s := &schema{Type: "object", AdditionalProperties: false}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		if options == "" {
			s.Required = append(s.Required, name)
		}
		member := m.of(f.Type)
		if member.Type == "string" && member.Enum == nil && member.Pattern == "" {
			member.MinLength = 1
		}
		switch f.Name {
		case "Method":
			member.Enum, member.MinLength = []string{"POST", "GET", "DELETE"}, 0
		case "PKCE":
			member.Enum, member.MinLength = pkceMethods, 0
		}
		if t == reflect.TypeFor[definition]() && f.Name == "Style" {
			member.Properties = properties{{"auth", false}} // it is token_endpoint_auth_method
		}
		member.Description = m.description(m.comments[declaringType(t, f)+"."+f.Name], true)
		s.Properties = append(s.Properties, property{name, member})
	}
	return s
}

// declaringType returns the name of the struct that has the field, which may be embedded in t.
func declaringType(t reflect.Type, f reflect.StructField) string {
	for _, i := range f.Index[:len(f.Index)-1] {
		t = t.Field(i).Type
	}
	return t.Name()
}

// of makes the schema of a type, which is a reference for a struct.
func (m *schemaMaker) of(t reflect.Type) *schema {
	switch {
	case t == reflect.TypeFor[durationText]():
		return &schema{Type: "string", Pattern: `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`}
	case t == paramsType:
		return m.define("Params", func() *schema {
			one := &schema{Type: []string{"string", "array", "null"}, Items: &schema{Type: "string"}}
			return &schema{Type: "object", AdditionalProperties: one}
		})
	case t.Kind() == reflect.String:
		return &schema{Type: "string", Enum: m.enums[t.Name()]}
	case t.Kind() == reflect.Bool:
		return &schema{Type: "boolean"}
	case t.Kind() == reflect.Int:
		return &schema{Type: "integer"}
	case t.Kind() == reflect.Slice:
		return &schema{Type: "array", Items: m.of(t.Elem())}
	case t.Kind() == reflect.Map:
		return &schema{Type: "object", AdditionalProperties: m.of(t.Elem())}
	}
	name := t.Name()
	if t == reflect.TypeFor[answerForm]() {
		name = "Answer"
	}
	return m.define(name, func() *schema { return m.object(t) })
}

// define returns a reference to the schema of a type, which it makes at the first time.
func (m *schemaMaker) define(name string, schemaOf func() *schema) *schema {
	if !slices.ContainsFunc(m.defs, func(def property) bool { return def.name == name }) {
		s := schemaOf()
		s.Description = m.description(m.comments[name], false)
		m.defs = append(m.defs, property{name, s})
	}
	return &schema{Ref: "#/$defs/" + name}
}

var exported = regexp.MustCompile(`"[^"]*"|\b[A-Z][A-Za-z0-9]*(?:\.[A-Z][A-Za-z0-9]*)*`)

// description is a comment in the words of JSON. The examples of types are in Go, those
// of fields are not.
func (m *schemaMaker) description(text string, examples bool) string {
	var paragraphs []string
	for _, block := range new(comment.Parser).Parse(text).Content {
		switch block.(type) {
		case *comment.Paragraph:
		case *comment.Code:
			if !examples {
				continue
			}
		default:
			continue
		}
		text := string(new(comment.Printer).Text(&comment.Doc{Content: []comment.Block{block}}))
		paragraphs = append(paragraphs, strings.Join(strings.Fields(strings.NewReplacer("[", "", "]", "").Replace(text)), " "))
	}
	return exported.ReplaceAllStringFunc(strings.Join(paragraphs, "\n"), func(word string) string {
		value, isConst := m.consts[word]
		switch {
		case isConst:
			return strconv.Quote(value)
		case word == "In" || word == "API" || word[0] == '"':
			return word // English, mostly
		}
		return memberOf(strings.TrimPrefix(word, "Provider."))
	})
}
