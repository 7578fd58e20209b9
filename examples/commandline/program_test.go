//go:build unix

package main

import (
	"context"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/internal/testenv"
)

// TestProgram runs the whole program, with a server that acts as GitLab at GitLab's own
// addresses, and a browser that is named in the environment.
func TestProgram(t *testing.T) {
	gitLab := endpoints.GitLab
	gitLab.Style.Auth = endpoints.PublicClient
	sandbox := endpointstest.New(t, gitLab)
	sandbox.SetPolicy(gitLab, endpointstest.Policy{DeviceInterval: time.Second})
	user, direct := sandbox.Client(), http.DefaultTransport
	http.DefaultTransport = user.Transport
	t.Cleanup(func() { http.DefaultTransport = direct })

	dir := testenv.DirInMemory(t)
	opened, browser := filepath.Join(dir, "opened"), filepath.Join(dir, "browser")
	require.NoError(t, os.WriteFile(browser, []byte("#!/bin/sh\nprintf %s \"$1\" >"+opened+".new && mv "+opened+".new "+opened+"\n"), 0o700))
	for name, value := range map[string]string{
		"HOME": dir, "XDG_CONFIG_HOME": dir + "/config", "BROWSER": browser,
		"CLIENT_ID": sandbox.Config(gitLab, "http://127.0.0.1/callback").ClientID,
	} {
		t.Setenv(name, value)
	}

	assert.Empty(t, start(t, nil, nil, "accounts"))
	said := start(t, &opened, func(ctx context.Context, page string) {
		back, err := endpointstest.Approve(ctx, user, page)
		if assert.NoError(t, err) {
			resp, err := (&http.Client{Transport: direct}).Get(back.String())
			if assert.NoError(t, err) {
				resp.Body.Close()
			}
		}
	})
	assert.Contains(t, said, `"account"`)
	assert.Equal(t, "me: healthy\n", start(t, nil, nil, "accounts"))
	start(t, nil, nil, "logout")
	assert.Empty(t, start(t, nil, nil, "accounts"))

	if testing.Short() {
		return // a device waits for a second before it asks
	}
	prompt := filepath.Join(dir, "prompt")
	stderr := os.Stderr
	defer func() { os.Stderr = stderr }()
	var err error
	os.Stderr, err = os.Create(prompt)
	require.NoError(t, err)
	code := regexp.MustCompile(`(?s)(http\S+)\n.* the code (\S+)\n`)
	said = start(t, &prompt, func(ctx context.Context, text string) {
		m := code.FindStringSubmatch(text)
		if assert.NotNil(t, m, text) {
			assert.NoError(t, endpointstest.ApproveDevice(ctx, user, m[1], m[2]))
		}
	}, "-device", "-account", "work")
	assert.Contains(t, said, `"account"`)
	assert.Equal(t, "work: healthy\n", start(t, nil, nil, "accounts"))
}

// start runs the program to its end, and returns what it prints. Meanwhile the user does
// something with what is in a file.
func start(t *testing.T, file *string, do func(ctx context.Context, content string), args ...string) string {
	t.Helper()
	stdout, flags, arguments := os.Stdout, flag.CommandLine, os.Args
	defer func() { os.Stdout, flag.CommandLine, os.Args = stdout, flags, arguments }()
	out, err := os.Create(filepath.Join(testenv.DirInMemory(t), "out"))
	require.NoError(t, err)
	defer out.Close()
	os.Stdout, os.Args = out, append([]string{"commandline"}, args...)
	flag.CommandLine = flag.NewFlagSet("commandline", flag.ContinueOnError)

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	if file != nil {
		var content []byte
		require.Eventually(t, func() bool {
			content, _ = os.ReadFile(*file)
			return len(content) > 0
		}, 10*time.Second, 5*time.Millisecond)
		do(ctx, string(content))
	}
	require.NoError(t, <-ended)
	printed, err := os.ReadFile(out.Name())
	require.NoError(t, err)
	return string(printed)
}
