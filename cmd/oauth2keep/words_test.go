package main

import (
	"go/ast"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestThePackagesSayTheseWords looks for each text that the command replaces.
func TestThePackagesSayTheseWords(t *testing.T) {
	var said strings.Builder
	for _, dir := range []string{"tokensource", "storage", "storage/keystore", "storage/sqlstore", "endpoints"} {
		for _, f := range parse(t, dir) {
			ast.Inspect(f, func(n ast.Node) bool {
				if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
					text, err := strconv.Unquote(l.Value)
					require.NoError(t, err)
					said.WriteString(text + "\n")
				}
				return true
			})
		}
	}
	texts := strings.NewReplacer("%v", "", "%s", "").Replace(said.String()) // what a verb of package fmt stands for is another piece
	for _, w := range words {
		assert.Contains(t, texts, strings.TrimSpace(w[0]))
		assert.NotContains(t, inCommandWords.Replace("storage: "+w[0]), "storage: ")
	}
	assert.Equal(t, `a (record "x"); "oauth2keep forget" deletes the record, so that the user can connect again`,
		inCommandWords.Replace(`tokensource: a (record "x"); if it can't be had back, Encrypted.Discard deletes it (Manager.Forget deletes the record, so that the user can connect again)`))
}
