package endpoints_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// TestEveryDefinitionHasAGoldenFile compares what the files of definitions export
// with what is tested, and that with the golden files and the README's list.
func TestEveryDefinitionHasAGoldenFile(t *testing.T) {
	exported := goldenExports(t, "provider_*.go")
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range exported {
		if _, ok := endpoints.Definitions[name]; !ok {
			t.Errorf("%s isn't in the list of definitions", name)
		}
	}
	for name := range endpoints.Definitions {
		if !exported[name] {
			t.Errorf("%s is no definition in a file of its own", name)
		}
		if _, err := os.Stat(goldenFile(name)); err != nil {
			t.Errorf("%s has no golden file: %v", name, err)
		}
		if !strings.Contains(string(readme), "`"+name+"`") && !strings.Contains(string(readme), "`endpoints."+name+"`") {
			t.Errorf("%s isn't in README.md", name)
		}
	}
	files, err := filepath.Glob(goldenFile("*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if _, ok := endpoints.Definitions[strings.TrimSuffix(filepath.Base(file), ".txt")]; !ok {
			t.Errorf("%s is for no definition", file)
		}
	}
}

// TestEveryDefinitionComesBackFromJSON leaves out those with hooks, which have no JSON
// form.
func TestEveryDefinitionComesBackFromJSON(t *testing.T) {
	for name, p := range endpoints.Definitions {
		if p.Request != nil || p.Response != nil {
			continue
		}
		encoded, err := json.Marshal(p)
		if err != nil {
			t.Error(err)
			continue
		}
		var back endpoints.Provider
		if err := back.UnmarshalJSON(encoded); err != nil {
			t.Errorf("%s: %v\n%s", name, err, encoded)
			continue
		}
		if again, err := json.Marshal(back); err != nil || string(again) != string(encoded) {
			t.Errorf("%s: %v\n%s\ncomes back as\n%s", name, err, encoded, again)
		}
	}
}

func goldenFile(name string) string { return filepath.Join("testdata", "providers", name+".txt") }

// goldenExports returns the names of the Providers, and of the functions that return
// one, that the files that match a pattern export.
func goldenExports(t *testing.T, pattern string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	var decls []ast.Decl
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		decls = append(decls, parsed.Decls...)
	}
	names, makers := make(map[string]bool), make(map[string]bool)
	for _, decl := range decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Type.Results.NumFields() == 1 && isProvider(f.Type.Results.List[0].Type) {
			makers[f.Name.Name], names[f.Name.Name] = true, f.Name.IsExported()
		}
	}
	for _, decl := range decls {
		for _, name := range providersOf(decl, makers) {
			names[name.Name] = name.IsExported()
		}
	}
	maps.DeleteFunc(names, func(_ string, exported bool) bool { return !exported })
	return names
}

func isProvider(e ast.Expr) bool {
	name, ok := e.(*ast.Ident)
	return ok && name.Name == "Provider"
}

// providersOf returns the names of the variables that a declaration gives a Provider,
// literally or from one of the functions that make one.
func providersOf(decl ast.Decl, makers map[string]bool) []*ast.Ident {
	vars, ok := decl.(*ast.GenDecl)
	if !ok || vars.Tok != token.VAR {
		return nil
	}
	var names []*ast.Ident
	for _, spec := range vars.Specs {
		spec := spec.(*ast.ValueSpec)
		for i, v := range spec.Values {
			switch v := v.(type) {
			case *ast.CompositeLit:
				if isProvider(v.Type) {
					names = append(names, spec.Names[i])
				}
			case *ast.CallExpr:
				if f, ok := v.Fun.(*ast.Ident); ok && makers[f.Name] {
					names = append(names, spec.Names[i])
				}
			}
		}
	}
	return names
}
