package endpoints_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// throughOurTransport is added to a package of x/oauth2: it puts the adapter of a
// provider that has nothing to adapt under each token request of its tests.
const throughOurTransport = `package %s_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"testing"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"golang.org/x/oauth2"
)

var adapted atomic.Int64

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestMain(m *testing.M) {
	network := http.DefaultTransport
	counting := roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("Accept") == "application/json" { // x/oauth2 doesn't ask for it
			adapted.Add(1)
		}
		return network.RoundTrip(r)
	})
	http.DefaultTransport = roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Method != "POST" || r.URL.Path == "/device" { // asks for a device code, not for a token
			return network.RoundTrip(r)
		}
		style := oauth2.AuthStyleInParams
		if _, _, ok := r.BasicAuth(); ok {
			style = oauth2.AuthStyleInHeader
		}
		p := endpoints.Provider{Endpoint: oauth2.Endpoint{TokenURL: r.URL.String(), AuthStyle: style}}
		ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: counting})
		return p.Context(ctx).Value(oauth2.HTTPClient).(*http.Client).Transport.RoundTrip(r)
	})
	status := m.Run()
	fmt.Printf("adapted %%d token requests\n", adapted.Load())
	os.Exit(status)
}
`

// x/oauth2's own tests pass through our transport when there is nothing to adapt.
func TestXOAuth2sOwnTestsPassThroughTheTransport(t *testing.T) {
	if !*soak {
		t.Skip("compiles and runs the tests of x/oauth2; run with -soak")
	}
	source, ours := moduleDir(t, "golang.org/x/oauth2"), moduleDir(t, "github.com/oauth2keep/oauth2keep")
	dir := t.TempDir()
	sum, err := os.ReadFile(filepath.Join(ours, "go.sum"))
	require.NoError(t, err)
	write(t, filepath.Join(dir, "go.sum"), string(sum))
	write(t, filepath.Join(dir, "go.mod"), fmt.Sprintf(`module golang.org/x/oauth2

go 1.26.0

require github.com/oauth2keep/oauth2keep v0.0.0

replace github.com/oauth2keep/oauth2keep => %s
`, strconv.Quote(ours)))

	packages := map[string]struct{ tests, requests int }{ // at least, in v0.37
		"oauth2":            {33, 19},
		"internal":          {4, 4},
		"clientcredentials": {3, 3},
	}
	for name := range packages {
		from, to := filepath.Join(source, name), filepath.Join(dir, name)
		if name == "oauth2" {
			from, to = source, dir
		}
		files, err := filepath.Glob(filepath.Join(from, "*.go"))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		require.NoError(t, os.MkdirAll(to, 0o700))
		for _, file := range files {
			code, err := os.ReadFile(file)
			require.NoError(t, err)
			write(t, filepath.Join(to, filepath.Base(file)), string(code))
		}
		write(t, filepath.Join(to, "through_our_transport_test.go"), fmt.Sprintf(throughOurTransport, name))
	}
	copyEndpoints(t, source, dir) // our definitions use them
	for name, least := range packages {
		t.Run(name, func(t *testing.T) {
			arg := "./" + name
			if name == "oauth2" {
				arg = "."
			}
			// x/oauth2 loses a token whose lifetime it can't read.
			cmd := exec.Command("go", "test", "-v", "-count=1", "-vet=off", "-skip", "^TestExchangeRequest_JSONResponse_Expiry$/^wrong", arg)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod "+os.Getenv("GOFLAGS"), "GOPROXY=off", "GOWORK=off", "GOSUMDB=off", "GOTOOLCHAIN=local")
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			assert.GreaterOrEqual(t, strings.Count(string(out), "\n--- PASS: Test"), least.tests, "tests that ran:\n%s", out)
			assert.NotContains(t, string(out), "--- SKIP")
			adapted := regexp.MustCompile(`(?m)^adapted (\d+) token requests$`).FindStringSubmatch(string(out))
			require.NotNil(t, adapted, "%s", out)
			n, err := strconv.Atoi(adapted[1])
			require.NoError(t, err)
			assert.GreaterOrEqual(t, n, least.requests, "token requests that went through our transport")
			t.Logf("%s: %d tests, %d token requests", name, strings.Count(string(out), "\n--- PASS: Test"), n)
		})
	}
}

// copyEndpoints copies x/oauth2's own endpoints, which aren't tested.
func copyEndpoints(t *testing.T, source, dir string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "endpoints"), 0o700))
	code, err := os.ReadFile(filepath.Join(source, "endpoints", "endpoints.go"))
	require.NoError(t, err)
	write(t, filepath.Join(dir, "endpoints", "endpoints.go"), string(code))
}

func moduleDir(t *testing.T, module string) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	require.NoError(t, err)
	dir := strings.TrimSpace(string(out))
	require.NotEmpty(t, dir, "the source of "+module)
	return dir
}

func write(t *testing.T, file, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
}
