package mcpauth_test

//lint:file-ignore SA4006 README.md leaves out what a program does about an error

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
	"github.com/oauth2keep/oauth2keep/pkce/loopback"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource/mcpauth"
)

// What README.md shows connects to a server, and has the user consent in a browser.
func TestREADME(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the browser is a script")
	}
	as := newIssuer(t)
	url, redirectURL := newServer(t, as).endpoint, "http://"+testenv.Addr(t)+"/callback"
	ctx, configDir, key := t.Context(), testenv.DirInMemory(t), storage.NewKey()
	program, err := os.Executable()
	require.NoError(t, err)
	browser := filepath.Join(t.TempDir(), "browser")
	require.NoError(t, os.WriteFile(browser, fmt.Appendf(nil, "#!/bin/sh\nOAUTH2KEEP_PAGE=$1 exec %s -test.run '^TestPage$'\n", program), 0o700))
	t.Setenv("BROWSER", browser)
	client := mcp.NewClient(&mcp.Implementation{Name: "readme", Version: "1"}, nil)

	dir, err := storage.OpenDir(filepath.Join(configDir, "tokens")) // shared by the IDE, the CLI, the agent
	keys, err := storage.NewKeyset(key)                             // or keystore.App{Name: "acme"}.Open(ctx), module storage/keystore
	handler := &mcpauth.Handler{
		Server: url, // such as https://mcp.example.com/mcp
		Store:  storage.Encrypt(dir, keys),
		Config: &auth.AuthorizationCodeHandlerConfig{ // the SDK's, as you have it
			DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
				ClientName: "My Agent", RedirectURIs: []string{redirectURL}, // such as http://127.0.0.1:8765/callback
			}},
			AuthorizationCodeFetcher: mcpauth.InBrowser(loopback.Login{Program: "My Agent"}), // or your own
		},
	}
	defer handler.Flush(ctx)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: handler.Server, OAuthHandler: handler}, nil)

	require.NoError(t, err)
	defer dir.Close()
	defer session.Close()
	require.NoError(t, greet(session))
	assert.Equal(t, [4]int{1, 1, 0, 0}, four(as.counts()))
}

// TestPage is the browser of TestREADME, in a process of its own: the issuer says yes at once.
func TestPage(t *testing.T) {
	page := os.Getenv("OAUTH2KEEP_PAGE")
	if page == "" {
		t.Skip("TestREADME runs it")
	}
	resp, err := http.Get(page)
	require.NoError(t, err)
	resp.Body.Close()
}
