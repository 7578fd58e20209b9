package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/internal/testenv"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// shell runs the README's commands in this process, where the server that acts as GitHub is
// found at GitHub's own address.
type shell struct {
	home   string
	client *http.Client
	secret string
	id     string
}

// documentedID stands in the README for the client's id.
const documentedID = "Iv1.0123456789abcdef"

// run returns what a person sees.
func (s *shell) run(t *testing.T, line string) string {
	var seen bytes.Buffer
	a := &app{
		in: strings.NewReader(""), out: &seen, err: &seen, now: time.Now,
		typed: func() (string, error) { return s.secret, nil },
		browser: func(ctx context.Context, page string) error {
			back, err := endpointstest.Approve(ctx, s.client, page)
			if err != nil {
				return err
			}
			resp, err := http.Get(back.String())
			if err != nil {
				return err
			}
			return resp.Body.Close()
		},
	}
	args := strings.Fields(strings.ReplaceAll(line, documentedID, s.id))
	require.Equal(t, "oauth2keep", args[0])
	a.run(t.Context(), args[1:])
	if text := seen.String(); !strings.HasSuffix(text, "\n") {
		seen.WriteByte('\n') // as on a terminal
	}
	return s.documented(seen.String())
}

var account = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

var latency = regexp.MustCompile(`answered in \d+m?s`)

// documented replaces what differs from one run to the next.
func (s *shell) documented(text string) string {
	text = strings.NewReplacer(s.home, "/home/me/.config", s.id, documentedID).Replace(text)
	text = moments.ReplaceAllString(text, "(now)")
	text = account.ReplaceAllString(text, "1433d928-6283-03ae-9f4f-f4a3f9fd47e3")
	text = latency.ReplaceAllString(text, "answered in 1ms")
	text = fingerprint.ReplaceAllString(text, "5c6a8b2f0f6e4f8d9b7a1c3e5d7f9a0b")
	text = clockTime.ReplaceAllString(text, "2026-11-26 09:30:00")
	return strings.ReplaceAll(text, "09:30:00 (in 8h)", "17:30:00 (in 8h)")
}

// runbookRows are the runbook as rows of the README's table.
func runbookRows() string {
	var b strings.Builder
	for _, reason := range slices.SortedFunc(maps.Keys(runbook), func(x, y tokensource.Reason) int {
		return cmp.Or(cmp.Compare(runbook[x].exit, runbook[y].exit), cmp.Compare(x, y))
	}) {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", reason, runbook[reason].meaning, runbook[reason].act)
	}
	return b.String()
}

// TestREADMENamesTheMembers compares the README with what --json writes.
func TestREADMENamesTheMembers(t *testing.T) {
	data, err := os.ReadFile("README.md")
	require.NoError(t, err)
	line := reflect.TypeFor[statusLine]()
	for i := range line.NumField() {
		name, _, _ := strings.Cut(line.Field(i).Tag.Get("json"), ",")
		assert.Contains(t, string(data), "`"+name+"`")
	}
}

// TestREADME compares the README's transcript with what the commands in it print.
func TestREADME(t *testing.T) {
	server := endpointstest.New(t, endpoints.GitHub)
	s := &shell{home: testenv.DirInMemory(t), client: server.Client()}
	for _, name := range []string{"HOME", "XDG_CONFIG_HOME", "AppData"} {
		t.Setenv(name, s.home)
	}
	t.Setenv("OAUTH2KEEP_KEYS", "no-keyring")
	t.Setenv("OAUTH2KEEP_CONFIG", filepath.Join(s.home, "oauth2keep", "config.json"))
	policy := server.Policy(endpoints.GitHub)
	policy.AccessLifetime = 8 * time.Hour // as GitHub's
	server.SetPolicy(endpoints.GitHub, policy)
	client := server.Config(endpoints.GitHub, "http://127.0.0.1/callback")
	s.id, s.secret = client.ClientID, client.ClientSecret
	real := http.DefaultTransport
	http.DefaultTransport = s.client.Transport
	defer func() { http.DefaultTransport = real }()

	data, err := os.ReadFile("README.md")
	require.NoError(t, err)
	var made strings.Builder
	commands, in, inTable := 0, false, false
	for line := range strings.Lines(string(data)) {
		command, ok := strings.CutPrefix(strings.TrimSpace(line), "$ ")
		switch {
		case strings.HasPrefix(line, "```"):
			in = line == "```console\n"
			made.WriteString(line)
		case strings.HasPrefix(line, "| reason |"):
			made.WriteString(line + "|---|---|---|\n" + runbookRows())
			inTable = true
		case inTable && strings.HasPrefix(line, "|"):
		case !in:
			inTable = false
			made.WriteString(line)
		case ok:
			commands++
			made.WriteString(line)
			made.WriteString(s.run(t, command))
		}
	}
	assert.NotZero(t, commands)
	if *update {
		require.NoError(t, os.WriteFile("README.md", []byte(made.String()), 0o644))
		return
	}
	assert.Equal(t, string(data), made.String(), "go test -run README -update writes what is printed now")
}
