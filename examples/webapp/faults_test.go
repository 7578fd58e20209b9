package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestEachFaultShowsItsWords presses every button of the page "Try what goes wrong".
func TestEachFaultShowsItsWords(t *testing.T) {
	for _, g := range faultGroups() {
		for _, f := range g.Faults {
			t.Run(f.ID, func(t *testing.T) {
				t.Parallel()
				app := start(t, nil)
				b := app.user(t, "alice")
				p := b.post("/sandbox/try/" + f.ID)
				if f.Shows != "" {
					want := findProblem(f.Shows)
					require.NotNil(t, want)
					require.Equal(t, f.Shows, p.attribute("problem", "data-problem"), "%s\n%s", p.body, app.Logs)
					assert.Equal(t, want.Status, p.status)
					assert.NotEmpty(t, p.text("problem-text"))
					assert.Equal(t, want.Again, p.has("again"))
					return
				}
				assert.Equal(t, 200, p.status)
				require.True(t, p.says(f.Words), "%s\n%s", p.body, app.Logs)
			})
		}
	}
}
