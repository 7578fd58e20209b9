// Package docs_test checks what the pages of this repository say: that links lead
// somewhere, that Go stands in a program that is compiled, that commands run, and that
// what is named exists.
package docs_test

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// root is the repository, in which pages are named by paths with slashes.
var root = os.DirFS("..")

// files returns the files of the repository that end with a suffix.
func files(t *testing.T, suffix string) []string {
	t.Helper()
	names, err := allFiles()
	require.NoError(t, err)
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !strings.HasSuffix(name, suffix) })
	require.NotEmpty(t, names)
	return names
}

// filesOf returns those of a directory, without what is below.
func filesOf(t *testing.T, dir, suffix string) []string {
	t.Helper()
	return slices.DeleteFunc(files(t, suffix), func(name string) bool { return path.Dir(name) != path.Clean(dir) })
}

var allFiles = sync.OnceValues(func() (names []string, err error) {
	err = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (d.Name()[0] == '.' || d.Name() == "node_modules" || d.Name() == "testdata"):
			return fs.SkipDir
		case !d.IsDir():
			names = append(names, name)
		}
		return nil
	})
	return names, err
})

// read returns what is in a file of the repository. It reads each once.
func read(t *testing.T, name string) string {
	t.Helper()
	if content, ok := contents.Load(name); ok {
		return content.(string)
	}
	b, err := fs.ReadFile(root, name)
	require.NoError(t, err)
	content := string(b)
	contents.Store(name, content)
	return content
}

var contents sync.Map // by the files' names

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
	return slices.ContainsFunc(filesOf(t, pkg, "_test.go"), func(file string) bool {
		return strings.Contains(read(t, file), "\nfunc "+name+"(")
	})
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
