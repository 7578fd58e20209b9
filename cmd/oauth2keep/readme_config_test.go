package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The command reads the configuration that README.md shows.
func TestREADMEConfiguration(t *testing.T) {
	data, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, shown, _ := strings.Cut(string(data), "```json\n")
	shown, _, found := strings.Cut(shown, "```")
	require.True(t, found)
	path := filepath.Join(t.TempDir(), "config.json")
	require.NoError(t, os.WriteFile(path, []byte(shown), 0o600))
	a := new(app)
	a.options.config = path
	read, err := a.config()
	require.NoError(t, err)
	assert.Equal(t, "env:DATABASE_URL", read.Store)
	for name, issuer := range map[string]string{"github": "https://github.com", "okta": "https://example.okta.com"} {
		client, err := a.client(name)
		require.NoError(t, err)
		provider, err := client.provider()
		require.NoError(t, err)
		assert.Contains(t, provider.Endpoint.AuthURL, issuer)
		_, err = client.oauth(provider, "secret", "", read.dir())
		require.NoError(t, err)
	}
}
