package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// parse reads the source of a package of this repository, once for all tests.
func parse(t *testing.T, dir string) []*ast.File {
	if files := parsed[dir]; files != nil {
		return files
	}
	paths, err := filepath.Glob(filepath.Join("..", "..", dir, "*.go"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		files = append(files, f)
	}
	parsed[dir] = files
	return files
}

var parsed = make(map[string][]*ast.File)

// TestEveryDefinitionIsKnown compares the table with what package endpoints exports.
func TestEveryDefinitionIsKnown(t *testing.T) {
	var names []string
	for _, f := range parse(t, "endpoints") {
		for _, decl := range f.Decls {
			names = append(names, definitionsIn(decl)...)
		}
	}
	slices.Sort(names)
	assert.Equal(t, names, slices.Sorted(maps.Keys(definitions)))
}

// definitionsIn returns the exported variables that are a Provider, and the functions that return
// one.
func definitionsIn(decl ast.Decl) (names []string) {
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		results := decl.Type.Results
		if decl.Recv == nil && decl.Name.IsExported() && results != nil && len(results.List) == 1 && isNamed(results.List[0].Type, "Provider") {
			names = append(names, decl.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			v, ok := spec.(*ast.ValueSpec)
			if !ok || decl.Tok != token.VAR {
				continue
			}
			for i, name := range v.Names {
				if !name.IsExported() || len(v.Values) != len(v.Names) || v.Type != nil {
					continue
				}
				switch value := v.Values[i].(type) {
				case *ast.CompositeLit:
					if isNamed(value.Type, "Provider") {
						names = append(names, name.Name)
					}
				case *ast.CallExpr: // of a function that makes one
					if called, ok := value.Fun.(*ast.Ident); ok && !called.IsExported() {
						names = append(names, name.Name)
					}
				}
			}
		}
	}
	return names
}

func isNamed(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// TestEveryReasonIsInTheRunbook compares it with what package tokensource exports.
func TestEveryReasonIsInTheRunbook(t *testing.T) {
	found := 0
	for _, f := range parse(t, "tokensource") {
		ast.Inspect(f, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || !isNamed(v.Type, "Reason") {
				return true
			}
			word := strings.Trim(v.Values[0].(*ast.BasicLit).Value, `"`)
			found++
			for reason, a := range runbook {
				if string(reason) == word {
					assert.NotZero(t, a.exit, word)
					assert.NotEmpty(t, a.meaning, word)
					assert.NotEmpty(t, a.act, word)
					return true
				}
			}
			t.Errorf("the runbook doesn't have %s", word)
			return true
		})
	}
	assert.Equal(t, len(runbook), found)
}
