package mcpauth_test

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var conformance = flag.String("mcpauth.conformance", "", "where npm has installed testdata/conformance")

// enough is how many scenarios of the suite there are that a client with a user can pass.
const enough = 27

// The protocol's conformance suite tests a client with this Handler. What it finds wrong is
// a failure if the SDK's own handler passes.
func TestConformance(t *testing.T) {
	if *conformance == "" {
		t.Skip("without -mcpauth.conformance; .ci/run conformance installs the suite with npm, and passes it")
	}
	client := filepath.Join(t.TempDir(), "client")
	out, err := exec.Command("go", "build", "-o", client, "./internal/conformanceclient").CombinedOutput()
	require.NoError(t, err, "%s", out)
	suite := suiteIn(t, *conformance)
	list, _ := suite.run(t, "list", "--client")
	scenarios := regexp.MustCompile(`(?m)^ +- (auth/\S+)`).FindAllStringSubmatch(list, -1)
	var passed, checks, neither atomic.Int64
	t.Run("scenarios", func(t *testing.T) {
		for _, s := range scenarios {
			t.Run(s[1], func(t *testing.T) {
				t.Parallel()
				out, ok := suite.run(t, "client", "--scenario", s[1], "--command", client)
				if ok {
					passed.Add(1)
					checks.Add(checksIn(t, out))
					return
				}
				_, ok = suite.run(t, "client", "--scenario", s[1], "--command", client+" -sdk")
				if ok {
					t.Errorf("the SDK's own handler passes, and this one doesn't:\n%s", out)
					return
				}
				neither.Add(1)
				t.Log("the SDK's own handler doesn't pass either")
			})
		}
	})
	t.Logf("%d scenarios: %d passed, with %d checks; %d that the SDK's own handler doesn't pass either", len(scenarios), passed.Load(), checks.Load(), neither.Load())
	assert.GreaterOrEqual(t, passed.Load(), int64(enough))
}

// checksIn returns how many checks of a scenario passed. The suite's exit status tells of
// failures and not of warnings.
func checksIn(t *testing.T, out string) int64 {
	counts := regexp.MustCompile(`Passed: (\d+)/(\d+), 0 failed, 0 warnings`).FindStringSubmatch(out)
	require.NotNil(t, counts, "%s", out)
	assert.Equal(t, counts[1], counts[2])
	n, err := strconv.ParseInt(counts[1], 10, 64)
	require.NoError(t, err)
	return n
}

// suite is the conformance suite.
type suite struct{ node, program string }

// suiteIn returns the suite that is installed in a directory, with the Node that was
// installed beside it if there is one.
func suiteIn(t *testing.T, dir string) suite {
	s := suite{node: "node", program: filepath.Join(dir, "node_modules/@modelcontextprotocol/conformance/dist/index.js")}
	_, err := os.Stat(s.program)
	require.NoError(t, err, "the suite isn't there: copy testdata/conformance to %s, and call npm ci there", dir)
	arch := map[string]string{"amd64": "x64"}[runtime.GOARCH]
	if arch == "" {
		arch = runtime.GOARCH
	}
	own := filepath.Join(dir, "node_modules", "node-"+runtime.GOOS+"-"+arch, "bin/node")
	if _, err := os.Stat(own); err == nil {
		s.node = own
	}
	return s
}

// run runs a command of the suite, and reports whether it succeeded.
func (s suite) run(t *testing.T, args ...string) (out string, ok bool) {
	cmd := exec.Command(s.node, append([]string{s.program}, args...)...)
	cmd.Dir = t.TempDir()
	data, err := cmd.CombinedOutput()
	if _, failed := err.(*exec.ExitError); err != nil && !failed {
		require.NoError(t, err)
	}
	return string(data), err == nil
}
