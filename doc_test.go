package oauth2keep_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every package that a program can import, of any module, is in the list of doc.go.
func TestDocumentationListsEveryPackage(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	var listed, packages []string
	for line := range strings.Lines(string(text)) {
		if name, _, _ := strings.Cut(strings.TrimPrefix(line, "\t"), " "); strings.HasPrefix(line, "\t") {
			listed = append(listed, strings.TrimSpace(name))
		}
	}
	require.NoError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (slices.Contains([]string{"internal", "bench", "examples", "testdata"}, d.Name()) || d.Name()[0] == '.'):
			return fs.SkipDir
		case !d.IsDir() && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") && filepath.Dir(path) != ".":
			packages = append(packages, filepath.ToSlash(filepath.Dir(path)))
		}
		return nil
	}))
	packages = slices.Compact(packages)
	assert.Greater(t, len(packages), 10)
	for _, name := range packages {
		assert.Contains(t, listed, name)
	}
}
