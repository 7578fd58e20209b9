package mcpauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource/mcpauth"
)

var ctx = context.Background()

const redirectURL = "http://127.0.0.1:3000/callback"

// server is an MCP server of the SDK, which takes the tokens of one issuer.
type server struct {
	*httptest.Server
	endpoint string

	mu       sync.Mutex
	issuer   *issuer
	metadata map[string]any // replaces its protected resource metadata, if not nil
	scopes   []string       // that a call needs
	refuses  bool           // all tokens
	moved    string         // where its endpoint redirects to, if not ""
	broken   bool           // there is no metadata just now
	called   int
}

func newServer(t testing.TB, trusted *issuer) *server {
	s := &server{issuer: trusted}
	m := mcp.NewServer(&mcp.Implementation{Name: "server", Version: "1"}, nil)
	mcp.AddTool(m, &mcp.Tool{Name: "greet"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "hello"}}}, nil, nil
	})
	protocol := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return m }, &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/oauth-protected-resource/mcp", s.serveMetadata)
	mux.HandleFunc("/mcp", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		moved := s.moved
		s.mu.Unlock()
		if moved != "" {
			http.Redirect(w, r, moved, http.StatusTemporaryRedirect)
			return
		}
		if s.admits(w, r) {
			protocol.ServeHTTP(w, r)
		}
	})
	s.Server = httptest.NewServer(mux)
	s.endpoint = s.URL + "/mcp"
	t.Cleanup(s.Close)
	return s
}

func (s *server) set(edit func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	edit()
}

func (s *server) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	m := s.metadata
	if m == nil {
		m = map[string]any{"resource": s.endpoint, "authorization_servers": []string{s.issuer.URL}}
	}
	reply(w, http.StatusOK, m)
}

// admits answers a request that has no token which is good for it.
func (s *server) admits(w http.ResponseWriter, r *http.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	g := s.issuer.check(token, s.endpoint)
	challenge := fmt.Sprintf(`Bearer resource_metadata=%q`, s.URL+"/.well-known/oauth-protected-resource/mcp")
	if g == nil || s.refuses {
		w.Header().Set("WWW-Authenticate", challenge+`, error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
		return false
	}
	missing := func(scope string) bool { return !slices.Contains(g.scopes, scope) }
	if slices.ContainsFunc(s.scopes, missing) {
		w.Header().Set("WWW-Authenticate", challenge+fmt.Sprintf(`, error="insufficient_scope", scope=%q`, strings.Join(s.scopes, " ")))
		w.WriteHeader(http.StatusForbidden)
		return false
	}
	s.called++
	return true
}

// newStore returns a store, and opens it again for another process.
func newStore(t testing.TB) (store *storage.Encrypted, again func() *storage.Encrypted) {
	key, memory := storage.NewKey(), new(storage.Memory)
	again = func() *storage.Encrypted {
		keys, err := storage.NewKeyset(key)
		require.NoError(t, err)
		return storage.Encrypt(memory, keys)
	}
	return again(), again
}

func openStore(t testing.TB, at string, key []byte) *storage.Encrypted {
	t.Helper()
	keys, err := storage.NewKeyset(key)
	require.NoError(t, err)
	dir, err := storage.OpenDir(at)
	require.NoError(t, err)
	t.Cleanup(func() { dir.Close() })
	return storage.Encrypt(dir, keys)
}

// replace replaces a member of the record that a store has under a name.
func replace(t testing.TB, store storage.Store, name, member string, value any) {
	t.Helper()
	data, version, err := store.Get(ctx, name)
	require.NoError(t, err)
	var record map[string]json.RawMessage // whose other members stay what they are
	require.NoError(t, json.Unmarshal(data, &record))
	require.Contains(t, record, member)
	record[member], err = json.Marshal(value)
	require.NoError(t, err)
	data, err = json.Marshal(record)
	require.NoError(t, err)
	_, err = store.Put(ctx, name, data, version)
	require.NoError(t, err)
}

// declinedLongAgo lets the time pass for which a user who declined isn't asked again.
func declinedLongAgo(t testing.TB, store storage.Store, s *server) {
	t.Helper()
	replace(t, store, "mcp/"+s.endpoint+"#client", "declined", time.Now().Add(-3*time.Second))
}

// handler returns one that registers dynamically.
func handler(endpoint string, store *storage.Encrypted) *mcpauth.Handler {
	return &mcpauth.Handler{Server: endpoint, Store: store, Config: &auth.AuthorizationCodeHandlerConfig{
		AuthorizationCodeFetcher: approve,
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{
			Metadata: &oauthex.ClientRegistrationMetadata{ClientName: "test", RedirectURIs: []string{redirectURL}},
		},
	}}
}

var errDenied = errors.New("the user said no")

// approve is the user's browser, and the user: the issuer decides for both.
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
	defer resp.Body.Close()
	back, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || back.Host == "" {
		return nil, fmt.Errorf("the consent page answers %s", resp.Status)
	}
	if q := back.Query(); q.Get("error") == "" {
		return &auth.AuthorizationResult{Code: q.Get("code"), State: q.Get("state"), Iss: q.Get("iss")}, nil
	}
	return nil, errDenied
}

// connect returns a session of the SDK's client.
func connect(h *mcpauth.Handler) (*mcp.ClientSession, error) {
	client := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, nil)
	return client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: h.Server, OAuthHandler: h, DisableStandaloneSSE: true}, nil)
}

// call connects and calls the tool.
func call(h *mcpauth.Handler) error {
	session, err := connect(h)
	if err != nil {
		return err
	}
	defer session.Close()
	return greet(session)
}

func greet(session *mcp.ClientSession) error {
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "greet"})
	if err != nil {
		return err
	}
	if result.IsError || len(result.Content) != 1 {
		data, _ := json.Marshal(result)
		return fmt.Errorf("the tool answers %s", data)
	}
	return nil
}

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		child()
	}
	debug.SetGCPercent(400) // what is alive is so little that it would be marked again and again
	os.Exit(m.Run())
}
