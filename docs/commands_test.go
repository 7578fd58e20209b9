package docs_test

import (
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// scripts returns the commands of a page: each block that is marked sh, and what else a reader
// would paste, from the text.
func scripts(page string) [][]string {
	var all [][]string
	for _, block := range blocks(page, "sh") {
		all = append(all, commands(block))
	}
	for _, span := range inline(page) {
		if isCommand(span) && !slices.ContainsFunc(all, func(script []string) bool { return slices.Contains(script, span) }) {
			all = append(all, []string{span})
		}
	}
	for _, block := range blocks(page, "console") {
		if command, ok := strings.CutPrefix(block, "$ "); ok && strings.Count(block, "\n$ ") == 0 {
			command, _, _ = strings.Cut(command, "\n")
			all = append(all, []string{command})
		}
	}
	return all
}

var comment = regexp.MustCompile(`(^|\s+)# .*$`)

// commands returns those of a block, each on one line and without comments.
func commands(block string) []string {
	var found []string
	for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", "")) {
		if line = comment.ReplaceAllString(strings.TrimSpace(line), ""); line != "" {
			found = append(found, line)
		}
	}
	return found
}

// inline returns the pieces of code in a page's text.
func inline(page string) []string {
	var found []string
	for _, m := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		found = append(found, m[1])
	}
	return found
}

var programs = []string{"go", "cd", "oauth2keep", "apt-get", "etcdctl", "nats", "ssh", "git", "docker", "npm", "make", "sudo", "sh", "bash"}

// isCommand reports whether a piece of code is a whole command.
func isCommand(code string) bool {
	program, _, _ := strings.Cut(code, " ")
	return program != code && (slices.Contains(programs, program) || strings.HasPrefix(program, ".ci/") || strings.HasPrefix(program, "./"))
}

var (
	looksLikeACommand = regexp.MustCompile(`^[a-z.][a-z0-9./_-]* [^:=(]+$`)

	// settings of servers look like commands, and flags of servers like ours.
	settings    = []string{"appendfsync always", "appendonly yes", "min-replicas-to-write 1"}
	serverFlags = []string{
		"--auto-compaction-mode", "--auto-compaction-retention", "--bump-revision", "--mark-compacted",
		"--quota-backend-bytes", "--unsafe-no-fsync",
	}
)

// What looks like a command in the text is one, which is run, a command of oauth2keep whose
// program the page leaves out, or a server's setting.
func TestCodeInTextIsKnown(t *testing.T) {
	source := packageSource(t, "cmd/oauth2keep")
	for _, page := range files(t, ".md") {
		for _, code := range inline(read(t, page)) {
			if !looksLikeACommand.MatchString(code) || isCommand(code) || slices.Contains(settings, code) {
				continue
			}
			assert.True(t, isKeep(source, code), "%s: if it is a command, what is %q?", page, code)
		}
	}
	assert.True(t, isCommand("go vet ./..."))
	assert.False(t, isKeep(source, "docker run redis"))
}

// A flag in the text is one of ours, or a server's.
func TestFlagsInTextExist(t *testing.T) {
	source := flagSource(t)
	for _, page := range files(t, ".md") {
		for _, code := range inline(read(t, page)) {
			if len(code) < 2 || code[0] != '-' {
				continue
			}
			for _, word := range strings.Fields(code) {
				known := word[0] != '-' || slices.Contains(serverFlags, word) || isFlag(source, word)
				assert.True(t, known, "%s: there is no flag %s", page, word)
			}
		}
	}
	assert.False(t, isFlag(source, "--no-such-flag-"))
}

// isKeep reports whether a text is a command of oauth2keep, with flags that it has.
func isKeep(source, text string) bool {
	words := strings.Fields(text)
	if !regexp.MustCompile(`Use: +"` + words[0] + `\b`).MatchString(source) {
		return false
	}
	for _, word := range words[1:] {
		if flag, ok := strings.CutPrefix(word, "--"); ok && !strings.Contains(source, `"`+flag+`"`) {
			return false
		}
	}
	return true
}

// A command with a special treatment is in a page, and it is said why it has that.
func TestAsidesAreNeeded(t *testing.T) {
	var all []string
	for _, page := range files(t, ".md") {
		for _, script := range scripts(read(t, page)) {
			all = append(all, script...)
		}
	}
	assert.Greater(t, len(all), 60)
	for _, command := range slices.Sorted(maps.Keys(asides)) {
		assert.Contains(t, all, command, "no page has this command any more")
		a := asides[command]
		assert.Equal(t, a.text(command) != command, a.why != "", "%s: what isn't run as it is written needs a reason", command)
		assert.NotEqual(t, aside{}, a, command)
		assert.False(t, isPart(t, command), "%s: a part of .ci/run, and not run a second time", command)
	}
}

// Terminals that pages show are in the page of the command, where a test runs all commands, and
// compares what they print. What shows one command is treated as one.
func TestTranscriptsAreCompared(t *testing.T) {
	for _, page := range files(t, ".md") {
		for _, shown := range blocks(read(t, page), "console") {
			if strings.Count(shown, "\n$ ") > 0 {
				assert.True(t, strings.Contains(read(t, "cmd/oauth2keep/README.md"), shown), page)
			}
		}
	}
}

var function = regexp.MustCompile(`(?m)^(\w+)\(\) \{ (.*); \}$`)

// isPart reports whether a command is what a part of .ci/run does.
func isPart(t *testing.T, command string) bool {
	t.Helper()
	run := read(t, ".ci/run")
	parts := strings.Fields(regexp.MustCompile(`(?m)^parts=\((.*)\)$`).FindStringSubmatch(run)[1])
	if named, ok := strings.CutPrefix(command, ".ci/run"); ok {
		for _, part := range strings.Fields(named) {
			assert.Contains(t, parts, part, "there is no such part")
		}
		return true
	}
	for _, m := range function.FindAllStringSubmatch(run, -1) {
		if m[2] == command && slices.Contains(parts, m[1]) {
			return true
		}
	}
	// What has no flags is a piece of "go test work".
	return regexp.MustCompile(`^go test \.[\w./]*$`).MatchString(command) && isPart(t, "go test work")
}

// place returns the directory of a checkout in which a page's command is run: that of the page's
// module, or the root if the command names a directory that is there.
func place(page, command string) string {
	module := path.Dir(page)
	for ; module != "."; module = path.Dir(module) {
		if _, err := fs.Stat(root, module+"/go.mod"); err == nil {
			break
		}
	}
	for _, named := range regexp.MustCompile(`(?:^| )\./([\w/]+)`).FindAllStringSubmatch(command, -1) {
		if _, err := fs.Stat(root, path.Join(module, named[1])); err != nil {
			return "."
		}
	}
	return module
}

func TestCommandsAreFound(t *testing.T) {
	page := "Run `go vet`, or `vet` the `go run .` of\n\n```sh\na \\\n  b   # why\n# c\nd '#e'\n```\n\n```console\n$ f g\nh\n```\n"
	assert.Equal(t, [][]string{{"a   b", "d '#e'"}, {"go vet"}, {"go run ."}, {"f g"}}, scripts(page))
	require.True(t, isPart(t, "go test work"))
	require.True(t, isPart(t, "go test ./..."))
	require.True(t, isPart(t, ".ci/run format vet"))
	require.False(t, isPart(t, "go test -short ./..."))
	assert.Equal(t, ".", place("bench/README.md", "go test ./tokensource"))
	assert.Equal(t, "bench", place("bench/README.md", "go run ./million"))
	assert.Equal(t, "storage/kms", place("storage/kms/README.md", "go test ./..."))
}
