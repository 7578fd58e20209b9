package oauth2keep_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/tokensource"
)

// constantsOf returns the values of the constants of a type in a file.
func constantsOf(t *testing.T, file, name string) (values []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	require.NoError(t, err)
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == name {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			values = append(values, value)
		}
		return true
	})
	return values
}

// The runbook has a row, with every cell filled, and a section for each Reason, in their
// order, and marks those that are ErrLoginRequired.
func TestRunbookHasEveryReason(t *testing.T) {
	text, err := os.ReadFile("docs/operate.md")
	require.NoError(t, err)
	reasons := constantsOf(t, "tokensource/reason.go", "Reason")
	require.Greater(t, len(reasons), 8)
	var rows, sections []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)`( \\*)? \\|(.*)\\|$").FindAllStringSubmatch(string(text), -1) {
		rows = append(rows, row[1])
		cells := strings.Split(row[3], " | ")
		assert.Len(t, cells, 4, row[1])
		for _, cell := range cells {
			assert.NotEmpty(t, strings.TrimSpace(cell), row[1])
		}
		err := &tokensource.Error{Reason: tokensource.Reason(row[1])}
		assert.Equal(t, row[2] != "", err.Is(tokensource.ErrLoginRequired), row[1])
	}
	for _, section := range regexp.MustCompile(`(?m)^### (.*)$`).FindAllStringSubmatch(string(text), -1) {
		sections = append(sections, section[1])
	}
	assert.Equal(t, reasons, rows)
	assert.Equal(t, reasons, sections)
	states := constantsOf(t, "tokensource/status.go", "State")
	for _, state := range regexp.MustCompile("state `([a-z_]+)`").FindAllStringSubmatch(string(text), -1) {
		assert.True(t, slices.Contains(states, state[1]), state[1])
	}
}
