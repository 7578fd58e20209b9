package main

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/internal/testenv"
)

func TestSandbox(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a token to expire; run without -short")
	}
	require.NoError(t, runSandbox(t.Context()))
}

// TestReal has the sandbox server stand in for the real provider.
func TestReal(t *testing.T) {
	for _, tt := range []struct{ provider, scopes, path string }{
		{"finch", "company", "/introspect"},
		{"chart", "", "/introspect"},
		{"taxrock", "", "/client-accounts"},
	} {
		t.Run(tt.provider, func(t *testing.T) {
			sandbox := endpointstest.New(t)
			actual := providers[tt.provider]
			port, err := testenv.Port()
			require.NoError(t, err)
			redirect := fmt.Sprintf("http://localhost:%d/callback", port)
			client := sandbox.Config(actual, redirect)
			providers[tt.provider] = sandbox.Provider(actual)
			defer func() { providers[tt.provider] = actual }()
			t.Setenv("CLIENT_ID", client.ClientID)
			t.Setenv("CLIENT_SECRET", client.ClientSecret)
			a := realAccount{provider: tt.provider, redirectURL: redirect, dir: testenv.DirInMemory(t), scopes: tt.scopes, path: tt.path, disconnect: true}
			done := make(chan error)
			go func() { done <- a.run(t.Context()) }()
			connect(t, strings.TrimSuffix(redirect, "/callback")+"/connect/"+tt.provider)
			require.NoError(t, <-done)
			assert.Equal(t, 1, sandbox.Stats(actual).Revoked)
		})
	}
}

// connect is a user who opens the page that the program has printed.
func connect(t *testing.T, page string) {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	user := &http.Client{Jar: jar}
	require.Eventually(t, func() bool {
		callback, err := endpointstest.Approve(t.Context(), user, page)
		if err != nil {
			return false // it isn't listening yet
		}
		resp, err := user.Get(callback.String())
		require.NoError(t, err)
		return resp.Body.Close() == nil
	}, 10*time.Second, time.Millisecond)
}

func TestRealSaysWhatIsMissing(t *testing.T) {
	t.Setenv("CLIENT_ID", "")
	for want, a := range map[string]realAccount{
		"-provider nobody isn't known; there are chart, finch, taxrock, taxrock-sandbox": {provider: "nobody"},
		"CLIENT_ID": {provider: "finch"},
	} {
		require.ErrorContains(t, a.run(t.Context()), want)
	}
	t.Setenv("CLIENT_ID", "id")
	t.Setenv("CLIENT_SECRET", "secret")
	a := realAccount{provider: "finch", redirectURL: "https://example.com/callback"}
	require.ErrorContains(t, a.run(t.Context()), "-redirect must be")
	a = realAccount{provider: "finch", redirectURL: "http://localhost:0/callback", dir: filepath.Join(t.TempDir(), "missing")}
	require.Error(t, a.run(t.Context()))
	assert.Equal(t, endpoints.Finch.Name, providers["finch"].Name)
}
