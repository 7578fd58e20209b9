package docs_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

// Of every command, what it names is there: modules, packages, flags, tests, parts. Whether it
// works is seen by running it, with -commands.
func TestCommandsNameWhatIsThere(t *testing.T) {
	for _, page := range files(t, ".md") {
		for _, script := range scripts(read(t, page)) {
			at := page
			for _, line := range script {
				line = asides[line].text(line)
				t.Run(page+": "+line, func(t *testing.T) { lookUp(t, at, line) })
				if to, ok := strings.CutPrefix(line, "cd "); ok && !strings.Contains(line, " && ") {
					at = path.Join(path.Dir(at), to, path.Base(at))
				}
			}
		}
	}
}

func lookUp(t *testing.T, page, line string) {
	if to, rest, found := strings.Cut(line, " && "); found && strings.HasPrefix(to, "cd ") {
		page, line = to[3:]+"/README.md", rest
	}
	words := strings.Fields(line)
	switch {
	case strings.Contains(line, "openssl rand"):
		makeKey(t, line)
	case strings.HasPrefix(line, "go get github.com/oauth2keep/"), strings.HasPrefix(line, "go install github.com/oauth2keep/"):
		module, _, _ := strings.Cut(strings.TrimPrefix(words[2], "github.com/oauth2keep/oauth2keep"), "@")
		_, err := fs.Stat(root, path.Join(".", module, "go.mod"))
		assert.NoError(t, err, "there is no such module")
	case strings.HasPrefix(line, "go run "):
		checkFlags(t, path.Join(place(page, line), words[2]), words[3:])
	case strings.HasPrefix(line, "go test "):
		checkTests(t, place(page, line), words[2:])
	case words[0] == "cd":
		_, err := fs.Stat(root, path.Join(path.Dir(page), words[1]))
		assert.NoError(t, err)
	case words[0] == ".ci/run":
		assert.True(t, isPart(t, line))
	case strings.HasPrefix(line, "apt-get install "):
		for _, name := range words[2:] {
			if name[0] != '-' {
				assert.Regexp(t, `(?m)^debian=\(.*\b`+name+`\b`, read(t, ".ci/run"), "it isn't installed for the tests")
			}
		}
	case strings.Contains(line, "oauth2keep ") && !strings.HasPrefix(line, "go "):
		checkKeep(t, line)
	}
}

// makeKey runs a command that makes a key, and reads it, once for all pages.
func makeKey(t *testing.T, line string) {
	if _, ran := keyCommands.LoadOrStore(line, true); ran {
		return
	}
	if _, err := exec.LookPath("openssl"); err != nil || runtime.GOOS == "windows" {
		require.Empty(t, os.Getenv("CI"), "openssl isn't installed")
		t.Skip("openssl isn't installed: apt-get install openssl")
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
	cmd.Dir = t.TempDir()
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", output)
	_, err = storage.ReadKeyFile(filepath.Join(cmd.Dir, "token.key"))
	assert.NoError(t, err)
}

var keyCommands sync.Map

// checkFlags looks for a command and its flags in its source.
func checkFlags(t *testing.T, dir string, args []string) {
	source := packageSource(t, dir)
	assert.True(t, strings.Contains(source, "package main\n"), "it isn't a command")
	for _, arg := range args {
		if name, _, _ := strings.Cut(arg, "="); name[0] == '-' {
			assert.True(t, isFlag(source, name), "there is no flag %s", name)
		}
	}
}

// checkTests looks for the tests of a command in a directory, and its flags.
func checkTests(t *testing.T, dir string, args []string) {
	packages, pattern, own := []string{"."}, "", ""
	for i, arg := range args {
		switch {
		case strings.HasPrefix(arg, "."):
			packages = append(packages, arg)
			assert.Empty(t, own, "go test takes what follows a flag of the test's own for its argument, and ignores the flags after that")
		case arg == "-run" || arg == "-bench":
			if named := strings.Trim(args[i+1], "'\""); named != "^$" {
				pattern = named
			}
		case arg[0] == '-' && !strings.Contains(" -race -v -short -timeout -count -bench -benchtime ", " "+arg+" "):
			own = arg
			assert.True(t, isFlag(flagSource(t), arg), "there is no flag %s", arg)
		}
	}
	if pattern == "" {
		return
	}
	tests := testNames(t, dir, packages)
	first, _, _ := strings.Cut(pattern, "/")
	matches := regexp.MustCompile(first)
	for _, name := range tests {
		if matches.MatchString(name) {
			return
		}
	}
	assert.Fail(t, "no test matches", pattern)
}

// isFlag reports whether a program or a test has a flag. The name of one that belongs to a
// package begins with the package's.
func isFlag(source, flag string) bool {
	name := strings.TrimLeft(flag, "-")
	return strings.Contains(source, `"`+name+`"`) || strings.Contains(source, `"`+name[strings.LastIndex(name, ".")+1:]+`"`)
}

func testNames(t *testing.T, module string, packages []string) []string {
	var names []string
	for _, dir := range packages {
		for _, file := range filesOf(t, path.Join(module, dir), "_test.go") {
			for line := range strings.Lines(read(t, file)) {
				if m := testFunction.FindStringSubmatch(line); m != nil {
					names = append(names, m[1])
				}
			}
		}
	}
	return names
}

var testFunction = regexp.MustCompile(`^func ((?:Test|Example|Benchmark)\w*)\(`)

func packageSource(t *testing.T, dir string) string {
	t.Helper()
	matches := filesOf(t, dir, ".go")
	require.NotEmpty(t, matches, "there is no such package")
	var b strings.Builder
	for _, file := range matches {
		b.WriteString(read(t, file))
	}
	return b.String()
}

// flagSource returns all Go of the repository that can make a flag.
func flagSource(t *testing.T) string {
	t.Helper()
	if flags == "" {
		var b strings.Builder
		for _, name := range files(t, ".go") {
			if source := read(t, name); strings.Contains(source, "flag.") || strings.Contains(source, "Flags()") {
				b.WriteString(source)
			}
		}
		flags = b.String()
	}
	return flags
}

var flags string // tests that need it run one after the other

var (
	keepCommand = regexp.MustCompile(`\boauth2keep ([a-z]+)((?: [^ |)>;"]+)*)`)
	keepSetting = regexp.MustCompile(`\bOAUTH2KEEP_[A-Z]+`)
)

// checkKeep looks for commands of oauth2keep, their flags and settings in its source. That they
// work is tested by the scripts beside it.
func checkKeep(t *testing.T, line string) {
	source := packageSource(t, "cmd/oauth2keep")
	commands, settings := keepCommand.FindAllStringSubmatch(line, -1), keepSetting.FindAllString(line, -1)
	require.NotEmpty(t, append(settings, keepCommand.FindAllString(line, -1)...), "nothing runs this command")
	for _, m := range commands {
		known := m[1] == "completion" || regexp.MustCompile(`Use: +"`+m[1]+`\b`).MatchString(source) // the former is cobra's
		assert.True(t, known, "there is no command %s", m[1])
		for _, arg := range strings.Fields(m[2]) {
			if name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "="); strings.HasPrefix(arg, "--") {
				assert.True(t, strings.Contains(source, `"`+name+`"`), "there is no flag %s", name)
			}
		}
	}
	for _, name := range settings {
		assert.True(t, strings.Contains(source, name), "there is no setting %s", name)
	}
}
