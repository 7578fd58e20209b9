package mcpauth_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource/mcpauth"
)

// What stands in docs/mcp.md.

func handlersFor(servers []string, configDir string, key []byte, configFor func(server string) *auth.AuthorizationCodeHandlerConfig) (map[string]*mcpauth.Handler, error) {
	dir, err := storage.OpenDir(filepath.Join(configDir, "acme", "tokens"))
	if err != nil {
		return nil, err
	}
	keys, err := storage.NewKeyset(key) // or keystore.App{Name: "acme"}.Open(ctx)
	if err != nil {
		return nil, err
	}
	store := storage.Encrypt(dir, keys)

	handlers := make(map[string]*mcpauth.Handler)
	for _, server := range servers {
		handlers[server] = &mcpauth.Handler{Server: server, Store: store, Config: configFor(server)}
	}
	return handlers, nil
}

func askNobody(handler *mcpauth.Handler) {
	handler.OnConsent = func(ctx context.Context, c mcpauth.Consent) error {
		return fmt.Errorf("run acme login: %s (%s)", c.Server, c.Reason)
	}
}

func logOut(ctx context.Context, handler *mcpauth.Handler) error {
	m, name, err := handler.Manager(ctx)
	if err != nil {
		return err
	}
	err = m.Disconnect(ctx, name) // revokes (RFC 7009) and deletes the token
	if errors.Is(err, errors.ErrUnsupported) {
		err = m.Forget(ctx, name) // the server has no revocation
	}
	return err
}

func TestGuide(t *testing.T) {
	server, stop := serve()
	defer stop()
	handlers, err := handlersFor([]string{server.url, server.url + "/other"}, testenv.DirInMemory(t), storage.NewKey(), func(string) *auth.AuthorizationCodeHandlerConfig {
		return &auth.AuthorizationCodeHandlerConfig{
			PreregisteredClient: server.client, RedirectURL: "http://127.0.0.1:8765/callback", AuthorizationCodeFetcher: askUser,
		}
	})
	require.NoError(t, err)
	require.Len(t, handlers, 2)
	connect := func(h *mcpauth.Handler) error {
		client := mcp.NewClient(&mcp.Implementation{Name: "guide", Version: "1.0.0"}, nil)
		session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: h.Server, OAuthHandler: h}, nil)
		if err != nil {
			return err
		}
		return session.Close()
	}

	alone, err := handlersFor([]string{server.url}, testenv.DirInMemory(t), storage.NewKey(), func(string) *auth.AuthorizationCodeHandlerConfig { return handlers[server.url].Config })
	require.NoError(t, err)
	askNobody(alone[server.url])
	assert.ErrorContains(t, connect(alone[server.url]), "run acme login: "+server.url)

	handler := handlers[server.url]
	require.NoError(t, connect(handler))
	m, name, err := handler.Manager(t.Context())
	require.NoError(t, err)
	_, err = m.Source(name).Stored(t.Context())
	require.NoError(t, err)
	require.NoError(t, logOut(t.Context(), handler))
	_, err = m.Source(name).Stored(t.Context())
	assert.Error(t, err)
	require.NoError(t, handler.Flush(t.Context()))
}
