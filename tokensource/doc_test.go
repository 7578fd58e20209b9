package tokensource

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// docSection returns a section of the package documentation.
func docSection(t *testing.T, heading string) string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments)
	require.NoError(t, err)
	_, section, found := strings.Cut(file.Doc.Text(), "# "+heading+"\n")
	require.True(t, found, heading)
	section, _, _ = strings.Cut(section, "\n# ")
	return section
}

// row is a pattern for the beginning of a table's row.
func row(name string) string { return `(?m)^\t` + regexp.QuoteMeta(name) + `\b` }

func TestDocumentationHasTheLease(t *testing.T) {
	steps := strings.Join(strings.Fields(docSection(t, "How a refresh works")), " ")
	assert.Contains(t, steps, fmt.Sprintf("%v s + %v s + %v s < %v s",
		claimLimit.Seconds(), renewal.Seconds(), storeLimit.Seconds(), leaseTime.Seconds()))
	said, _, _ := strings.Cut(errSlow.Error(), ",")
	assert.Contains(t, docSection(t, "What can't be prevented"), said)
}

// TestDocumentationHasEveryTransition: what it says of the record's writers is complete.
func TestDocumentationHasEveryTransition(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "lifecycle.go", nil, 0)
	require.NoError(t, err)
	table := docSection(t, "Who may write a record")
	n := 0
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if _, changes := f.Type.Results.List[0].Type.(*ast.StarExpr); changes {
			assert.Regexp(t, row(f.Name.Name), table)
			n++
		}
	}
	assert.Len(t, regexp.MustCompile(`(?m)^\t\w`).FindAllString(table, -1), n+1, "and a heading")
}

func TestDocumentationHasEveryReasonAndEvent(t *testing.T) {
	table := docSection(t, "What to do about errors")
	for reason, about := range reasons {
		pattern := row(string(reason))
		if about.login {
			pattern += ` \*`
		} else {
			pattern += ` +[^* ]`
		}
		assert.Regexp(t, pattern, table)
	}
	table = docSection(t, "Watching connections")
	for _, kind := range []EventKind{EventSaved, EventNoRefreshToken, EventRefreshed, EventAdopted, EventTakenOver,
		EventUnsaved, EventFailed, EventRecovered, EventLoginRequired, EventDisconnected} {
		assert.Regexp(t, row(string(kind)), table)
	}
}

func TestDocumentationHasEveryMemberOfARecord(t *testing.T) {
	text := docSection(t, "Stored data and compatibility")
	var members func(reflect.Type)
	members = func(of reflect.Type) {
		for i := range of.NumField() {
			f := of.Field(i)
			if f.Anonymous {
				members(f.Type.Elem())
				continue
			}
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			assert.Regexp(t, `\b`+name+`\b`, text)
			if f.Type.Kind() == reflect.Pointer {
				members(f.Type.Elem())
			}
		}
	}
	members(reflect.TypeFor[record]())
	assert.Regexp(t, fmt.Sprintf(`(?m)^\tformat +%d$`, recordFormat), text)
}
