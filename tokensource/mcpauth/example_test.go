package mcpauth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource/mcpauth"
)

// A program connects to an MCP server, and then again after a restart: the user consents
// once.
func Example() {
	server, stop := serve()
	defer stop()
	at, err := os.MkdirTemp("", "tokens") // of the program: os.UserConfigDir, say
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(at)
	key := storage.NewKey() // of the program: from the system's keyring, module storage/keystore

	for _, what := range []string{"the first start", "after a restart"} {
		fmt.Println(what)
		if err := run(server, at, key); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// the first start
	// the user is asked: first
	// hello
	// after a restart
	// hello
}

// run is the program.
func run(server mcpServer, at string, key []byte) error {
	ctx := context.Background()
	dir, err := storage.OpenDir(at)
	if err != nil {
		return err
	}
	defer dir.Close()
	keys, err := storage.NewKeyset(key)
	if err != nil {
		return err
	}

	handler := &mcpauth.Handler{
		Server: server.url,
		Store:  storage.Encrypt(dir, keys),
		Config: &auth.AuthorizationCodeHandlerConfig{
			PreregisteredClient:      server.client, // or DynamicClientRegistrationConfig, or a ClientIDMetadataDocumentConfig
			RedirectURL:              "http://127.0.0.1:8765/callback",
			AuthorizationCodeFetcher: askUser, // of the program: opens a browser
		},
		OnConsent: func(_ context.Context, c mcpauth.Consent) error {
			fmt.Println("the user is asked:", c.Reason)
			return nil
		},
	}
	defer handler.Flush(ctx)

	client := mcp.NewClient(&mcp.Implementation{Name: "example", Version: "1.0.0"}, nil)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: handler.Server, OAuthHandler: handler}, nil)
	if err != nil {
		return err
	}
	defer session.Close()
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "greet"})
	if err != nil {
		return err
	}
	fmt.Println(result.Content[0].(*mcp.TextContent).Text)
	return nil
}

// askUser is a user who says yes.
func askUser(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
	callback, err := endpointstest.Approve(ctx, nil, args.URL)
	if err != nil {
		return nil, err
	}
	q := callback.Query()
	return &auth.AuthorizationResult{Code: q.Get("code"), State: q.Get("state"), Iss: q.Get("iss")}, nil
}

// mcpServer is an MCP server, and a client that is registered at its authorization server.
type mcpServer struct {
	url    string
	client *oauthex.ClientCredentials
}

// serve starts an MCP server and its authorization server.
func serve() (s mcpServer, stop func()) {
	mux := http.NewServeMux()
	api := httptest.NewServer(mux)
	s.url = api.URL + "/mcp"

	resource := endpoints.Params{"resource": {s.url}} // RFC 8707
	provider := endpoints.Provider{
		Name:     "example",
		Endpoint: oauth2.Endpoint{AuthURL: "https://auth.example/authorize", TokenURL: "https://auth.example/token"},
		APIURLs:  []string{"https://auth.example/userinfo"},
		Consent:  endpoints.Consent{Params: resource},
		Style:    endpoints.AuthStyle{Auth: endpoints.ClientSecretBasic},
		Exchange: endpoints.AuthStyle{Params: resource},
		Refresh:  endpoints.AuthStyle{Params: resource},
	}
	issuer, err := endpointstest.Start(provider)
	if err != nil {
		log.Fatal(err)
	}
	config := issuer.Config(provider, "http://127.0.0.1:8765/callback")
	s.client = &oauthex.ClientCredentials{ClientID: config.ClientID, ClientSecretAuth: &oauthex.ClientSecretAuth{ClientSecret: config.ClientSecret}}
	at := issuer.Provider(provider)

	tools := mcp.NewServer(&mcp.Implementation{Name: "example", Version: "1.0.0"}, nil)
	mcp.AddTool(tools, &mcp.Tool{Name: "greet"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "hello"}}}, nil, nil
	})
	protocol := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return tools }, nil)
	mux.HandleFunc("/mcp", func(w http.ResponseWriter, r *http.Request) {
		if !isGood(at.APIURLs[0], r.Header.Get("Authorization")) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		protocol.ServeHTTP(w, r)
	})
	mux.HandleFunc("/.well-known/oauth-protected-resource/mcp", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(oauthex.ProtectedResourceMetadata{
			Resource: s.url, AuthorizationServers: []string{at.Endpoint.TokenURL[:len(at.Endpoint.TokenURL)-len("/token")]},
		})
	})
	return s, func() { api.Close(); issuer.Close() }
}

// isGood asks the authorization server about a token.
func isGood(userinfo, authorization string) bool {
	req, err := http.NewRequest(http.MethodGet, userinfo, nil)
	if err != nil {
		return false
	}
	req.Header.Set("Authorization", authorization)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
