package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/tokensource"
)

// TestEachFaultShowsItsWords presses every button of the page "Try what goes wrong". The
// README has a line for each, with what one reads then.
func TestEachFaultShowsItsWords(t *testing.T) {
	if testing.Short() {
		t.Skip("starts an application for each fault; run without -short")
	}
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	var lines sync.Map
	t.Run("faults", func(t *testing.T) {
		for _, g := range faultGroups() {
			for _, f := range g.Faults {
				t.Run(f.ID, func(t *testing.T) {
					t.Parallel()
					lines.Store(f.ID, f.line(t))
				})
			}
		}
	})
	for _, g := range faultGroups() {
		for _, f := range g.Faults {
			line, _ := lines.Load(f.ID)
			if !strings.Contains(string(readme), fmt.Sprint(line, "\n")) {
				t.Errorf("README.md doesn't have the line\n%v", line)
			}
		}
	}
}

// line presses the button, and returns what the README has to say about it.
func (f fault) line(t *testing.T) string {
	app := start(t, nil)
	p := app.user(t, "alice").post("/sandbox/try/" + f.ID)
	words, button := p.text("notice"), ""
	switch {
	case f.follows.problem != "":
		want := findProblem(f.follows.problem)
		require.NotNil(t, want)
		require.Equal(t, f.follows.problem, p.attribute("problem", "data-problem"), app.Logs)
		assert.Equal(t, want.Status, p.status)
		assert.Equal(t, want.Again, p.has("again"))
		words = "**" + p.text("problem-title") + ".** " + p.text("problem-text")
		if p.has("again") {
			button = "Connect again"
		}
	case f.follows.reason != "":
		require.Equal(t, string(f.follows.reason), p.attribute("status", "data-reason"), app.Logs)
		state := regexp.MustCompile(`<span class="state \w+">([^<]*)`).FindStringSubmatch(p.body)
		words = "**" + state[1] + ".** " + p.text("why") + " " + p.text("hint")
		if p.attribute("status", "data-state") == string(tokensource.StateLoginRequired) {
			assert.True(t, p.has("reconnect"))
			button = "Connect again"
		}
	default:
		require.Equal(t, notices[f.follows.notice], words)
	}
	require.NotContains(t, words, "  ")
	return strings.ReplaceAll(fmt.Sprintf("| %s | %s | %s |", f.Title, strings.ReplaceAll(words, "&#39;", "'"), button), "|  |", "| |")
}

// A user's trouble is not another's.
func TestFaultsOfOthers(t *testing.T) {
	app := start(t, nil)
	alice, bob := app.user(t, "alice"), app.user(t, "bob")
	for _, provider := range []string{"finch", "taxrock"} {
		bob.connect(provider)
	}
	alice.post("/sandbox/try/revoked")
	alice.post("/sandbox/try/rejected")
	for _, provider := range []string{"finch", "taxrock"} {
		assert.Equal(t, "200 OK", bob.post("/call/"+provider+"/bob").text("answer-status"))
	}
}

// One trouble doesn't stay when another is tried.
func TestFaultsStandAlone(t *testing.T) {
	app := start(t, nil)
	b := app.user(t, "alice")
	assert.True(t, b.post("/sandbox/try/store").says("The store of tokens is down."))
	p := b.post("/sandbox/try/renewal-down")
	assert.True(t, p.says("TaxRock's token endpoint is down."))
	assert.False(t, p.says("The store of tokens is down."))
	assert.False(t, b.post("/sandbox/try/renewal-secret").has("trouble"))
	b.connect("taxrock")
	assert.Equal(t, "200 OK", b.post("/call/taxrock/alice").text("answer-status"))
	assert.True(t, b.post("/sandbox/try/store").has("trouble"))
	assert.False(t, b.post("/sandbox/end").has("trouble"))
}
