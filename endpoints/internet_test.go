package endpoints_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/internal/pipenet"
)

// internet stands for the whole of it: one server that every host name leads to, so
// that nothing leaves the machine. It remembers what it was sent, as it is inside of TLS.
type internet struct {
	client *http.Client

	mu   sync.Mutex
	seen []string
}

func newInternet(t testing.TB, answer http.HandlerFunc) *internet {
	n := new(internet)
	transport := pipenet.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		dump, err := httputil.DumpRequest(r, true)
		if err != nil {
			t.Errorf("can't read the request: %v", err)
		}
		n.mu.Lock()
		n.seen = append(n.seen, strings.ReplaceAll(string(dump), "\r\n", "\n"))
		n.mu.Unlock()
		answer(w, r)
	}))
	n.client = &http.Client{Transport: transport}
	return n
}

// context returns a context for x/oauth2 under which every request ends here.
func (n *internet) context() context.Context {
	return context.WithValue(context.Background(), oauth2.HTTPClient, n.client)
}

// requests returns the requests so far as they came, byte for byte, but with their
// headers in the order of their names.
func (n *internet) requests() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.seen)
}

// only returns the one request that was made.
func (n *internet) only(t testing.TB) string {
	t.Helper()
	seen := n.requests()
	require.Len(t, seen, 1, "requests made")
	return seen[0]
}

// answer is a handler that always answers the same.
func answer(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil // or net/http guesses it
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func answerJSON(status int, body string) http.HandlerFunc {
	return answer(status, "application/json", body)
}

// roundTripper is a function as an http.RoundTripper, for tests that need neither a
// network nor the time that it takes.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (f roundTripper) context() context.Context {
	return context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: f})
}

// answering returns a roundTripper that answers as the handler does.
func answering(h http.Handler) roundTripper {
	return func(r *http.Request) (*http.Response, error) {
		if r.Body != nil {
			defer r.Body.Close()
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		resp := w.Result()
		resp.Request = r
		return resp, nil
	}
}

// client is what Config and *oauth2.Config have in common.
type client interface {
	AuthCodeURL(state string, opts ...oauth2.AuthCodeOption) string
	Exchange(ctx context.Context, code string, opts ...oauth2.AuthCodeOption) (*oauth2.Token, error)
	TokenSource(ctx context.Context, t *oauth2.Token) oauth2.TokenSource
	Client(ctx context.Context, t *oauth2.Token) *http.Client
}

// ways are the two ways to use a provider. The tests of what goes over the wire run
// both with the same table.
var ways = []struct {
	name string
	use  func(ctx context.Context, p endpoints.Provider, c oauth2.Config) (context.Context, client)
}{
	{"Provider.Config", func(ctx context.Context, p endpoints.Provider, c oauth2.Config) (context.Context, client) {
		return ctx, p.Config(c)
	}},
	{"Provider.Context", func(ctx context.Context, p endpoints.Provider, c oauth2.Config) (context.Context, client) {
		c.Endpoint = p.Endpoint
		return p.Context(ctx), &c
	}},
}

// refresh spends a refresh token.
func refresh(ctx context.Context, c client, refreshToken string) (*oauth2.Token, error) {
	return c.TokenSource(ctx, &oauth2.Token{RefreshToken: refreshToken}).Token()
}

// rfc is a provider that has nothing to adapt.
var rfc = endpoints.Provider{
	Name: "RFC",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://auth.example/authorize",
		TokenURL:  "https://auth.example/token",
		AuthStyle: oauth2.AuthStyleInParams,
	},
	RevokeURL: "https://auth.example/revoke",
	APIURLs:   []string{"https://api.example/v1"},
}
