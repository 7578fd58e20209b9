// Package docs_test checks what the pages of this repository say: that links lead
// somewhere, that Go stands in a program that is compiled, that commands run, and that
// what is named exists.
package docs_test

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// root is the repository, in which pages are named by paths with slashes.
var root = os.DirFS("..")

// files returns the files of the repository that end with a suffix.
func files(t *testing.T, suffix string) []string {
	t.Helper()
	return filesIn(t, ".", suffix)
}

func filesIn(t *testing.T, dir, suffix string) []string {
	t.Helper()
	var found []string
	require.NoError(t, fs.WalkDir(root, dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != dir && (d.Name()[0] == '.' || d.Name() == "node_modules" || d.Name() == "testdata"):
			return fs.SkipDir
		case !d.IsDir() && strings.HasSuffix(name, suffix):
			found = append(found, name)
		}
		return nil
	}))
	require.NotEmpty(t, found)
	return found
}

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := fs.ReadFile(root, name)
	require.NoError(t, err)
	return string(content)
}

var (
	fence = regexp.MustCompile("(?ms)^```.*?^```")
	link  = regexp.MustCompile(`\]\(([^)\s]+)\)`)
)

func TestLinksLeadSomewhere(t *testing.T) {
	count := 0
	for _, page := range files(t, ".md") {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(read(t, page), ""), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			count++
			if target = path.Join(path.Dir(page), target); strings.HasPrefix(m[1], "#") {
				target = page
			}
			if _, err := fs.Stat(root, target); assert.NoError(t, err, "%s: %s", page, m[1]) && anchor != "" {
				assert.Contains(t, anchors(read(t, target)), anchor, "%s: %s", page, m[1])
			}
		}
	}
	assert.Greater(t, count, 50)
}

// anchors returns what links can name in a page: its headings, as GitHub writes them.
func anchors(page string) []string {
	var found []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		plain := regexp.MustCompile(`[^\pL\pN _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		found = append(found, strings.ReplaceAll(plain, " ", "-"))
	}
	return found
}

// A test that a page names, as package.TestName, is there.
func TestNamedTestsExist(t *testing.T) {
	count := 0
	for _, page := range files(t, ".md") {
		for _, m := range regexp.MustCompile("`([a-z0-9/]+)\\.((?:Test|Fuzz|Example)[A-Za-z0-9_]+)`").FindAllStringSubmatch(read(t, page), -1) {
			count++
			assert.True(t, hasTest(t, m[1], m[2]), "%s: there is no %s in %s", page, m[2], m[1])
		}
	}
	assert.Greater(t, count, 50)
}

func hasTest(t *testing.T, pkg, name string) bool {
	names, err := fs.Glob(root, pkg+"/*_test.go")
	require.NoError(t, err)
	for _, file := range names {
		if strings.Contains(read(t, file), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}

// What happens when has a row for each thing that can happen.
func TestEveryReasonAndKindIsExplained(t *testing.T) {
	page := read(t, "docs/what-happens-when.md")
	for file, constant := range map[string]*regexp.Regexp{
		"tokensource/reason.go": regexp.MustCompile(`\tReason\w+ Reason = "(\w+)"`),
		"endpoints/kind.go":     regexp.MustCompile(`\t(Kind\w+) ErrorKind = "`),
		"pkce/errors.go":        regexp.MustCompile(`(?m)^(?:\t|var )(Err\w+)(?: error)? = `),
	} {
		found := constant.FindAllStringSubmatch(read(t, file), -1)
		require.NotEmpty(t, found, file)
		for _, m := range found {
			switch m[1] {
			case "KindUnknown", "KindTokenRejected", "KindLoginRequired": // no failure, or one that the Reasons tell
			default:
				assert.True(t, strings.Contains(page, m[1]), "%s: %s", file, m[1])
			}
		}
	}
}

// The pages that lead a reader name every other page.
func TestEveryPageIsReached(t *testing.T) {
	readme := read(t, "README.md")
	for _, page := range files(t, ".md") {
		if dir := path.Dir(page); dir == "docs" {
			assert.True(t, strings.Contains(readme, "("+page+")"), "README.md doesn't name %s", page)
		}
	}
}

func TestAnchors(t *testing.T) {
	assert.Equal(t, []string{"whats-new-in-v1", "a"}, anchors("# What's *new* in v1?\n```sh\n# no\n```\n## `a`\n"))
}
