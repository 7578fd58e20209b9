package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/pkce/loopback"
)

// Every piece of Go on the page stands in this program, or in the example of keystore, and
// what a user sees is what the program prints.
func TestPageQuotesThisProgram(t *testing.T) {
	page, err := os.ReadFile("../../docs/command-line-programs.md")
	require.NoError(t, err)
	var code strings.Builder
	for _, name := range []string{"main.go", "tool.go", "accounts.go", "commandline_test.go", "../../storage/keystore/example_test.go"} {
		file, err := os.ReadFile(name)
		require.NoError(t, err)
		code.Write(file)
	}
	pieces := regexp.MustCompile("(?s)\n```go\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	assert.Len(t, pieces, 8)
	for _, piece := range pieces {
		assert.Contains(t, code.String(), piece[1])
	}
	shown := loopback.Prompt{Program: "Who am I", URL: "https://gitlab.com/oauth/device", UserCode: "WDJB-MJHT"}
	assert.Contains(t, string(page), "$ commandline -device\n"+strings.TrimSuffix(shown.String(), "\n"))
}
