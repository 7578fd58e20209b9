package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

// Every command of a block that is marked sh is run here or elsewhere, or what it names is
// looked up.
func TestCommandsRun(t *testing.T) {
	count := 0
	for _, page := range files(t, ".md") {
		for _, block := range blocks(read(t, page), "sh") {
			for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", "")) {
				if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
					continue
				}
				count++
				t.Run(page+": "+line, func(t *testing.T) { checkCommand(t, line) })
			}
		}
	}
	assert.Greater(t, count, 4)
}

func checkCommand(t *testing.T, line string) {
	line, _, _ = strings.Cut(line, " #")
	words := strings.Fields(line)
	switch {
	case strings.Contains(line, "openssl rand"):
		makeKey(t, line)
	case strings.HasPrefix(line, "go get "):
		module := strings.TrimPrefix(words[2], "github.com/oauth2keep/oauth2keep")
		_, err := fs.Stat(root, filepath.ToSlash(filepath.Join(".", module, "go.mod")))
		assert.NoError(t, err, "there is no such module")
	case strings.HasPrefix(line, "go run "):
		checkFlags(t, words[2], words[3:])
	case strings.HasPrefix(line, "go test "):
		checkTests(t, words[2:])
	case words[0] == ".ci/run":
		for _, part := range words[1:] {
			assert.Contains(t, read(t, ".ci/run"), "\n"+part+"() ", "there is no such part")
		}
	case words[0] == ".ci/release":
		assert.Regexp(t, `^v\d+\.\d+\.\d+$`, words[len(words)-1])
	case strings.HasPrefix(line, "apt-get install "):
		for _, name := range words[2:] {
			if name[0] != '-' {
				assert.Regexp(t, `(?m)^debian=\(.*\b`+name+`\b`, read(t, ".ci/run"), "it isn't installed for the tests")
			}
		}
	default:
		checkKeep(t, line)
	}
}

// makeKey runs a command that makes a key, and reads it.
func makeKey(t *testing.T, line string) {
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

// checkFlags looks for a command and its flags in its source.
func checkFlags(t *testing.T, dir string, args []string) {
	source := packageSource(t, dir)
	assert.Contains(t, source, "\npackage main\n", "it isn't a command")
	for _, arg := range args {
		if name, _, _ := strings.Cut(arg, "="); name[0] == '-' {
			assert.Contains(t, source, `"`+strings.TrimLeft(name, "-")+`"`, "there is no such flag")
		}
	}
}

// checkTests looks for the tests of a command and its flags.
func checkTests(t *testing.T, args []string) {
	var packages []string
	pattern := ""
	everything := strings.Join(sources(t), "\n")
	for i, arg := range args {
		switch {
		case arg == "work" || strings.HasPrefix(arg, "."):
			packages = append(packages, arg)
		case arg == "-run":
			pattern = strings.Trim(args[i+1], "'\"")
		case arg[0] == '-' && !strings.Contains(" -race -v -short -timeout -count -bench ", " "+arg+" "):
			assert.Contains(t, everything, `"`+strings.TrimLeft(arg, "-")+`"`, "there is no such flag")
		}
	}
	require.NotEmpty(t, packages)
	if pattern == "" {
		return
	}
	tests := testNames(t, packages)
	first, _, _ := strings.Cut(pattern, "/")
	matches := regexp.MustCompile(first)
	for _, name := range tests {
		if matches.MatchString(name) {
			return
		}
	}
	assert.Fail(t, "no test matches", pattern)
}

func testNames(t *testing.T, packages []string) []string {
	var names []string
	for _, dir := range packages {
		matches, err := filepath.Glob(filepath.Join("..", dir, "*_test.go"))
		require.NoError(t, err)
		for _, file := range matches {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			for _, d := range parsed.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
					names = append(names, f.Name.Name)
				}
			}
		}
	}
	return names
}

func packageSource(t *testing.T, dir string) string {
	matches, err := filepath.Glob(filepath.Join("..", dir, "*.go"))
	require.NoError(t, err)
	require.NotEmpty(t, matches, "there is no such package")
	var b strings.Builder
	for _, file := range matches {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		b.Write(content)
	}
	return b.String()
}

func sources(t *testing.T) []string {
	var found []string
	for _, name := range files(t, ".go") {
		found = append(found, read(t, name))
	}
	return found
}

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
