package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/pkce"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// secrets are those that have been sent either way, as seen below whatever writes spans.
type secrets struct {
	mu    sync.Mutex // guards found
	found map[string]string
}

func (s *secrets) add(name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(value) > 5 {
		s.found[value] = name
	}
}

var secretNames = []string{"access_token", "refresh_token", "client_secret", "code", "code_verifier", "state"}

// RoundTrip implements http.RoundTripper.
func (s *secrets) RoundTrip(r *http.Request) (*http.Response, error) {
	values := r.URL.Query()
	if r.Body != nil {
		body, _ := io.ReadAll(r.Body)
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
		form, _ := url.ParseQuery(string(body))
		for name := range form {
			values.Set(name, form.Get(name))
		}
	}
	for _, name := range secretNames {
		s.add(name, values.Get(name))
	}
	s.add("access_token", strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	var answer map[string]any
	if json.Unmarshal(body, &answer) == nil {
		for _, name := range secretNames {
			if value, ok := answer[name].(string); ok {
				s.add(name, value)
			}
		}
	}
	return resp, err
}

// texts returns everything that is written in a span.
func texts(span trace.ReadOnlySpan) []string {
	all := []string{span.Name(), span.Status().Description, fmt.Sprint(span.Resource().Attributes()), fmt.Sprint(span.InstrumentationScope())}
	for _, a := range span.Attributes() {
		all = append(all, string(a.Key)+"="+a.Value.String())
	}
	for _, e := range span.Events() {
		all = append(all, e.Name, fmt.Sprint(e.Attributes))
	}
	for _, l := range span.Links() {
		all = append(all, fmt.Sprint(l.Attributes), l.SpanContext.TraceState().String())
	}
	return append(all, span.SpanContext().TraceState().String())
}

// leaks returns the secrets that stand in the spans, with where.
func (s *secrets) leaks(spans []trace.ReadOnlySpan) (found []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, span := range spans {
		for _, text := range texts(span) {
			for value, name := range s.found {
				if strings.Contains(text, value) || strings.Contains(text, url.QueryEscape(value)) {
					found = append(found, name+" in "+strings.SplitN(text, "=", 2)[0])
				}
			}
		}
	}
	return found
}

// traced is an application of which everything is traced: its pages, and the requests that it
// makes.
type traced struct {
	*secrets
	spans   *tracetest.SpanRecorder
	server  *endpointstest.Server
	manager *tokensource.Manager
	site    string
}

func newTraced(t *testing.T, p endpoints.Provider, options ...otelhttp.Option) *traced {
	a := &traced{secrets: &secrets{found: make(map[string]string)}, spans: tracetest.NewSpanRecorder(), server: endpointstest.New(t, p)}
	options = append(options, otelhttp.WithTracerProvider(trace.NewTracerProvider(trace.WithSpanProcessor(a.spans))))
	mux := http.NewServeMux()
	site := httptest.NewServer(otelhttp.NewHandler(mux, "page", options...))
	t.Cleanup(site.Close)
	a.site = site.URL
	config := a.server.Provider(p).Config(a.server.Config(p, site.URL+"/callback"))
	keys, err := storage.NewKeyset(storage.NewKey())
	require.NoError(t, err)
	client := &http.Client{Transport: otelhttp.NewTransport(a.secrets, options...)}
	a.manager = &tokensource.Manager{Config: config, Store: storage.Encrypt(new(storage.Memory), keys), Base: client.Transport}
	flow := &pkce.Flow{Config: config, Sealer: keys, RequestContext: func(ctx context.Context) context.Context {
		return context.WithValue(ctx, oauth2.HTTPClient, client)
	}}
	mux.HandleFunc("GET /connect", func(w http.ResponseWriter, r *http.Request) {
		s, err := flow.Begin(w, r, "customer-42")
		if assert.NoError(t, err) {
			http.Redirect(w, r, s.URL, http.StatusFound)
		}
	})
	mux.Handle("/callback", flow.Callback(func(_ http.ResponseWriter, r *http.Request, s *pkce.Session, token *oauth2.Token, err error) {
		if assert.NoError(t, err) {
			a.add("state", r.FormValue("state"))
			assert.NoError(t, a.manager.Save(r.Context(), s.Connection, token))
		}
	}))
	return a
}

// live connects an account, calls its API, has its token refreshed, meets trouble and
// loses the grant.
func (a *traced) live(t *testing.T, p endpoints.Provider) {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	user := &http.Client{Jar: jar}
	callback, err := endpointstest.Approve(t.Context(), user, a.site+"/connect")
	require.NoError(t, err)
	resp, err := user.Get(callback.String())
	require.NoError(t, err)
	resp.Body.Close()
	api := a.server.Provider(p).APIURLs[0]
	call := func() error {
		resp, err := a.manager.Client("customer-42").Get(api)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	source := a.manager.Source("customer-42")
	reject := func() *oauth2.Token {
		token, err := source.Token()
		require.NoError(t, err)
		source.Reject(token)
		return token
	}
	require.NoError(t, call())
	reject()
	require.NoError(t, call())
	require.Equal(t, 1, a.server.Stats(p).Refreshed)
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, r.URL.RawQuery+string(body))
	})
	login, err := source.Stored(t.Context())
	require.NoError(t, err)
	require.NoError(t, a.manager.Save(t.Context(), "customer-42", &oauth2.Token{AccessToken: login.AccessToken, RefreshToken: login.RefreshToken}))
	a.server.Fail(p, endpointstest.Fault{On: endpointstest.TokenEndpoint, Handler: echo, Times: 1})
	token := reject()
	require.Error(t, call())
	require.True(t, a.server.Revoke(p, token))
	token.Expiry = time.Now().Add(-time.Hour)
	require.NoError(t, a.manager.Save(t.Context(), "customer-42", token))
	requireLogin(t, call())
}

var ledger = endpoints.Provider{
	Name:     "Ledger",
	Endpoint: oauth2.Endpoint{AuthURL: "https://ledger.example/authorize", TokenURL: "https://ledger.example/token"},
	APIURLs:  []string{"https://api.ledger.example/v1"},
}

func TestNoSecretIsInASpan(t *testing.T) {
	a := newTraced(t, ledger)
	a.live(t, ledger)
	names := make(map[string]bool)
	for _, name := range a.found {
		names[name] = true
	}
	assert.Len(t, names, len(secretNames), "of %v", secretNames)
	assert.GreaterOrEqual(t, len(a.spans.Ended()), 8)
	assert.Empty(t, a.leaks(a.spans.Ended()))
}

// TestSecretsInURLsNeedAFilter: a few providers want tokens in the URL, as Instagram and
// Threads do when they are refreshed. What traces requests writes URLs down.
func TestSecretsInURLsNeedAFilter(t *testing.T) {
	inURL := ledger
	inURL.Refresh = endpoints.AuthStyle{Method: http.MethodGet}
	a := newTraced(t, inURL)
	a.live(t, inURL)
	assert.NotEmpty(t, a.leaks(a.spans.Ended()), "otelhttp hides the query: say so")

	a = newTraced(t, inURL, otelhttp.WithFilter(func(r *http.Request) bool { return r.URL.Path != "/token" }))
	a.live(t, inURL)
	assert.NotEmpty(t, a.spans.Ended())
	assert.Empty(t, a.leaks(a.spans.Ended()))
}
