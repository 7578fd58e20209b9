// Conformanceclient is the client that the conformance suite of the Model Context Protocol
// tests: it connects to the server that it is given the URL of, lists the tools and calls
// one. TestConformance has the suite run it.
//
//	conformanceclient http://127.0.0.1:4711/mcp        with this module's Handler
//	conformanceclient -sdk http://127.0.0.1:4711/mcp   with the SDK's own
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource/mcpauth"
)

const redirectURL = "http://localhost:3000/callback"

func main() {
	log.SetFlags(0)
	sdk := flag.Bool("sdk", false, "use the SDK's own handler, which keeps nothing")
	flag.Parse()
	if err := run(context.Background(), flag.Arg(0), *sdk); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, server string, sdk bool) error {
	config, err := configuration()
	if err != nil {
		return err
	}
	if sdk {
		handler, err := auth.NewAuthorizationCodeHandler(config)
		if err != nil {
			return err
		}
		return use(ctx, server, handler)
	}
	at, err := os.MkdirTemp("", "conformanceclient")
	if err != nil {
		return err
	}
	defer os.RemoveAll(at)
	dir, err := storage.OpenDir(at)
	if err != nil {
		return err
	}
	defer dir.Close()
	keys, err := storage.NewKeyset(storage.NewKey())
	if err != nil {
		return err
	}
	handler := &mcpauth.Handler{Server: server, Store: storage.Encrypt(dir, keys), Config: config}
	return errors.Join(use(ctx, server, handler), handler.Flush(ctx))
}

// configuration is how the suite expects a client to be known, beginning with the way that
// is asked for first.
func configuration() (*auth.AuthorizationCodeHandlerConfig, error) {
	config := &auth.AuthorizationCodeHandlerConfig{
		RedirectURL:                    redirectURL,
		AuthorizationCodeFetcher:       approve,
		ClientIDMetadataDocumentConfig: &auth.ClientIDMetadataDocumentConfig{URL: "https://conformance-test.local/client-metadata.json"},
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{
			Metadata: &oauthex.ClientRegistrationMetadata{RedirectURIs: []string{redirectURL}},
		},
	}
	scenario := os.Getenv("MCP_CONFORMANCE_CONTEXT")
	if scenario == "" {
		return config, nil
	}
	var known struct {
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
	}
	if err := json.Unmarshal([]byte(scenario), &known); err != nil {
		return nil, fmt.Errorf("MCP_CONFORMANCE_CONTEXT: %w", err)
	}
	if known.ClientID != "" {
		config.PreregisteredClient = &oauthex.ClientCredentials{
			ClientID:         known.ClientID,
			ClientSecretAuth: &oauthex.ClientSecretAuth{ClientSecret: known.ClientSecret},
		}
	}
	return config, nil
}

// approve is a user: the suite's consent page redirects at once.
func approve(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, args.URL, nil)
	if err != nil {
		return nil, err
	}
	browser := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := browser.Do(req)
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	callback, err := url.Parse(resp.Header.Get("Location"))
	if err != nil {
		return nil, err
	}
	q := callback.Query()
	return &auth.AuthorizationResult{Code: q.Get("code"), State: q.Get("state"), Iss: q.Get("iss")}, nil
}

// use is what a client does.
func use(ctx context.Context, server string, handler auth.OAuthHandler) error {
	client := mcp.NewClient(&mcp.Implementation{Name: "conformanceclient", Version: "1.0.0"}, nil)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: server, OAuthHandler: handler}, nil)
	if err != nil {
		return err
	}
	defer session.Close()
	if _, err := session.ListTools(ctx, nil); err != nil {
		return err
	}
	_, err = session.CallTool(ctx, &mcp.CallToolParams{Name: "test-tool", Arguments: map[string]any{}})
	return err
}
