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
	var found []string
	require.NoError(t, fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (d.Name()[0] == '.' || d.Name() == "node_modules" || d.Name() == "testdata"):
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

// blocks returns the pieces of a page in a language, with the page's indentation.
func blocks(page, language string) []string {
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```").FindAllStringSubmatch(page, -1) {
		found = append(found, m[1])
	}
	return found
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

// Every piece of Go stands in a Go file of the repository, where it is compiled and, if that
// is a test or an example, run. What a page leaves out is "…", alone on a line or in a
// comment; indentation and empty lines don't count.
func TestGoStandsInAProgram(t *testing.T) {
	var programs []string
	for _, name := range files(t, ".go") {
		programs = append(programs, squeeze(read(t, name)))
	}
	count := 0
	for _, page := range files(t, ".md") {
		for _, block := range blocks(read(t, page), "go") {
			count++
			assert.True(t, standsIn(programs, block), "%s: no program has\n%s", page, block)
		}
	}
	assert.Greater(t, count, 30)
}

// squeeze leaves out what doesn't count.
func squeeze(code string) string {
	var b strings.Builder
	for line := range strings.Lines(code) {
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

func standsIn(programs []string, block string) bool {
	pieces := regexp.MustCompile(`(?m)^(?:// )?…$\n`).Split(squeeze(block), -1)
	for _, program := range programs {
		rest, ok := program, true
		for _, piece := range pieces {
			var found bool
			if _, rest, found = strings.Cut(rest, piece); !found {
				ok = false
				break
			}
		}
		if ok {
			return true
		}
	}
	return false
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

// What the README shows of a terminal is in the command's own page, where a test runs it.
func TestTranscriptIsTheCommands(t *testing.T) {
	shown := blocks(read(t, "README.md"), "console")
	require.Len(t, shown, 1)
	assert.True(t, strings.Contains(read(t, "cmd/oauth2keep/README.md"), shown[0]))
}

func TestBlocksAreFound(t *testing.T) {
	page := "text\n\n```go\n\ta := 1\n```\n\n```sh\nls\n```\n"
	assert.Equal(t, []string{"\ta := 1\n"}, blocks(page, "go"))
	assert.Equal(t, []string{"ls\n"}, blocks(page, "sh"))
	assert.True(t, standsIn([]string{"b := 2\na := 1\nc := 3\n"}, "\tb := 2\n\t// …\n\tc := 3\n"))
	assert.False(t, standsIn([]string{"b := 2\nc := 3\n"}, "\ta := 1\n"))
	assert.Equal(t, []string{"whats-new-in-v1", "a"}, anchors("# What's *new* in v1?\n```sh\n# no\n```\n## `a`\n"))
}
