package docs_test

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// blocks returns the pieces of a page in a language, with the page's indentation.
func blocks(page, language string) []string {
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^(?:> )?```"+language+"\n(.*?)^(?:> )?```").FindAllStringSubmatch(page, -1) {
		found = append(found, m[1])
	}
	return found
}

// Every block says what it is, so that what checks its kind finds it.
func TestEveryBlockIsMarked(t *testing.T) {
	for _, page := range files(t, ".md") {
		for _, problem := range unmarked(read(t, page)) {
			assert.Fail(t, problem, page)
		}
	}
	assert.Len(t, unmarked("a\n\n```\nls\n```\n"), 1)
	assert.Len(t, unmarked("a\n\n    ls\n"), 1)
	assert.Len(t, unmarked("a\n\n```sh\nls\n"), 1)
	assert.Empty(t, unmarked("- a\n\n  ls\n\n> ```json\n> {}\n> ```\n"))
}

var marks = map[string]bool{
	"go":      true, // stands in a program that is compiled
	"sh":      true, // commands, which are run
	"console": true, // commands with what they print, which is compared
	"json":    true, // stands in a program, or is read by one
	"http":    true, // stands in what is recorded of providers
	"conf":    true, // of a server, which a test of that module starts with it
}

// unmarked returns what is wrong with a page's blocks.
func unmarked(page string) []string {
	var problems []string
	inside, before := false, ""
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		mark, isFence := strings.CutPrefix(strings.TrimPrefix(line, "> "), "```")
		switch {
		case isFence && !inside && !marks[mark]:
			problems = append(problems, "a block is marked \""+mark+"\"")
			inside = true
		case isFence:
			inside = !inside
		case !inside && strings.TrimSpace(before) == "" && (strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "\t")):
			problems = append(problems, "a block is indented, where it has no mark: "+line)
		}
		before = line
	}
	if inside {
		problems = append(problems, "a block has no end")
	}
	return problems
}

// Every piece of Go stands in a Go file of the repository, where it is compiled and, if that
// is a test or an example, run. What a page leaves out is "…", alone on a line or in a
// comment; indentation and empty lines don't count.
func TestGoStandsInAProgram(t *testing.T) {
	type shown struct{ page, block string }
	var all []shown
	programs := make(map[string][]string) // by a line that a block begins with
	for _, page := range files(t, ".md") {
		for _, block := range blocks(read(t, page), "go") {
			all = append(all, shown{page, block})
			programs[firstLine(block)] = nil
		}
	}
	for _, name := range files(t, ".go") {
		program := squeeze(read(t, name))
		seen := make(map[string]bool)
		for line := range strings.Lines(program) {
			if _, begins := programs[line]; begins && !seen[line] {
				seen[line] = true
				programs[line] = append(programs[line], program)
			}
		}
	}
	for _, s := range all {
		assert.True(t, standsIn(programs[firstLine(s.block)], s.block), "%s: no program has\n%s", s.page, s.block)
	}
	assert.Greater(t, len(all), 30)
}

// squeeze leaves out what doesn't count.
func squeeze(code string) string {
	var b strings.Builder
	b.Grow(len(code) + 1)
	for line := range strings.Lines(code) {
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(line)
			b.WriteByte('\n')
		}
	}
	return b.String()
}

var leftOut = regexp.MustCompile(`(?m)^(?:// )?…$\n`)

// pieces returns what a block has of a program.
func pieces(block string) []string {
	return slices.DeleteFunc(leftOut.Split(squeeze(block), -1), func(piece string) bool { return piece == "" })
}

func firstLine(block string) string {
	line, _, _ := strings.Cut(pieces(block)[0], "\n")
	return line + "\n"
}

// standsIn reports whether a program has the block, but for what that leaves out.
func standsIn(programs []string, block string) bool {
	pieces := pieces(block)
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

// What is shown of a provider's answers stands in a program, or a test of the command reads it.
func TestJSONIsRead(t *testing.T) {
	programs := files(t, ".go")
	for _, page := range files(t, ".md") {
		for _, block := range blocks(read(t, page), "json") {
			if page == "cmd/oauth2keep/README.md" {
				assert.Contains(t, read(t, "cmd/oauth2keep/readme_config_test.go"), "```json")
				continue
			}
			text := strings.TrimSpace(strings.TrimPrefix(block, "> "))
			pattern := regexp.MustCompile(strings.ReplaceAll(regexp.QuoteMeta(text), "…", `[^"]*`))
			found := slices.ContainsFunc(programs, func(name string) bool { return pattern.MatchString(read(t, name)) })
			assert.True(t, found, "%s: no program has\n%s", page, text)
		}
	}
}

// What is shown of a request is recorded of a provider.
func TestRequestsAreRecorded(t *testing.T) {
	var recorded []string
	names, err := fs.Glob(root, "endpoints/testdata/providers/*.txt")
	require.NoError(t, err)
	for _, name := range names {
		recorded = append(recorded, read(t, name))
	}
	everything := strings.Join(recorded, "\n")
	for _, page := range files(t, ".md") {
		for _, block := range blocks(read(t, page), "http") {
			pattern := strings.ReplaceAll(regexp.QuoteMeta(block), "…", `[^&\n]*`)
			assert.True(t, regexp.MustCompile(pattern).MatchString(everything), "%s: no provider is sent\n%s", page, block)
		}
	}
}

// A server's configuration is that of a test.
func TestConfigurationIsUsed(t *testing.T) {
	count := 0
	for _, page := range files(t, ".md") {
		for range blocks(read(t, page), "conf") {
			count++
			assert.Contains(t, read(t, path.Dir(page)+"/readme_test.go"), "```conf", page)
		}
	}
	assert.Equal(t, 2, count)
}

func TestBlocksAreFound(t *testing.T) {
	page := "text\n\n```go\n\ta := 1\n```\n\n```sh\nls\n```\n"
	assert.Equal(t, []string{"\ta := 1\n"}, blocks(page, "go"))
	assert.Equal(t, []string{"ls\n"}, blocks(page, "sh"))
	assert.True(t, standsIn([]string{"b := 2\na := 1\nc := 3\n"}, "\tb := 2\n\t// …\n\tc := 3\n"))
	assert.False(t, standsIn([]string{"b := 2\nc := 3\n"}, "\ta := 1\n"))
}
