package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
)

// testApp returns a run of the command with a configuration of its own.
func testApp(path string) *app {
	a := &app{in: strings.NewReader(""), out: &bytes.Buffer{}, err: &bytes.Buffer{}, now: time.Now, mayInit: true}
	a.options.config = path
	return a
}

// TestChangesOfTheConfigurationWaitForEachOther has several runs add a client at once. Each has
// read the configuration before any of them has changed it.
func TestChangesOfTheConfigurationWaitForEachOther(t *testing.T) {
	t.Parallel()
	path := filepath.Join(testenv.DirInMemory(t), "config.json")
	runs := 8
	if testing.Short() {
		runs = 3
	}
	var ready, all sync.WaitGroup
	ready.Add(runs)
	for i := range runs {
		all.Go(func() {
			a := testApp(path)
			_, err := a.config()
			assert.NoError(t, err)
			ready.Done()
			ready.Wait()
			assert.NoError(t, a.change(context.Background(), func(c *config) error {
				if c.Clients == nil {
					c.Clients = make(map[string]*client)
				}
				c.Clients[fmt.Sprint(i)] = &client{Provider: "github", ClientID: "1"}
				return nil
			}))
		})
	}
	all.Wait()
	c, err := readConfig(path)
	require.NoError(t, err)
	assert.Len(t, c.Clients, runs)
	if runtime.GOOS != "windows" {
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
}

func TestConfigurationsThatCantBe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	for content, want := range map[string]string{
		`{"store": 1}`: "cannot unmarshal number",
		`{} {}`:        "after the end of the object",
		`{"clients": {"a/b": {"provider": "github"}}}`: `clients["a/b"]: the name of a client has neither a slash nor a space`,
		`{"clients": {"a": {"client_id": "1"}}}`:       `clients["a"] needs either a provider or a definition`,
		`{"clients": {"a": null}}`:                     `clients["a"] is null`,
		`{"clients": {"a": {"client_secret": "x"}}}`:   `unknown field "client_secret"`,
	} {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		_, err := readConfig(path)
		require.Error(t, err, content)
		assert.Contains(t, err.Error(), want)
		code, _ := exitCode(err)
		assert.Equal(t, exitSetup, code)
	}
	if runtime.GOOS == "windows" {
		return // has no such modes
	}
	require.NoError(t, os.WriteFile(path, []byte(`{}`), 0o600))
	require.NoError(t, os.Chmod(path, 0o666)) // it says where secrets are sent
	_, err := readConfig(path)
	assert.ErrorContains(t, err, "is open to others")
}
