package tokensource

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// tokenServer is an API and its token endpoint on one origin, without a network. It says
// who came with which Authorization.
type tokenServer struct {
	mu       sync.Mutex
	requests []string
}

func (s *tokenServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r.URL.Path+" "+r.Header.Get("Authorization"))
	if r.URL.Path != "/token" {
		return reply(200, "ok"), nil
	}
	body, _ := io.ReadAll(r.Body)
	form, _ := url.ParseQuery(string(body))
	resp := reply(200, fmt.Sprintf(`{"access_token":"new-%s","refresh_token":"next","expires_in":3600}`, form.Get("refresh_token")), "Content-Type", "application/json")
	resp.Request = r
	return resp, nil
}

// wrapping is middleware that an application may have.
type wrapping struct{ base http.RoundTripper }

func (w wrapping) RoundTrip(r *http.Request) (*http.Response, error) {
	return w.base.RoundTrip(r.Clone(r.Context()))
}

func TestClientOfAConnectionMayBeTheOneToRefreshItWith(t *testing.T) {
	for who, config := range map[string]func() Refresher{
		"x/oauth2": func() Refresher {
			return &oauth2.Config{ClientID: "id", Endpoint: oauth2.Endpoint{TokenURL: "https://api.example.com/token", AuthStyle: oauth2.AuthStyleInParams}}
		},
		"endpoints": func() Refresher {
			p := endpoints.Provider{Name: "Test", APIURLs: []string{apiURL}, Endpoint: oauth2.Endpoint{
				AuthURL: "https://api.example.com/auth", TokenURL: "https://api.example.com/token", AuthStyle: oauth2.AuthStyleInParams}}
			return p.Config(oauth2.Config{ClientID: "id", ClientSecret: "secret"})
		},
	} {
		for how, client := range map[string]func(m *Manager) *http.Client{
			"its own": func(m *Manager) *http.Client { return m.Client("k") },
			"one that wraps its own": func(m *Manager) *http.Client {
				return &http.Client{Transport: wrapping{wrapping{m.Client("k").Transport}}}
			},
			"another connection's": func(m *Manager) *http.Client { return m.Client("other") },
			"one of x/oauth2": func(m *Manager) *http.Client {
				ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: m.Base})
				return oauth2.NewClient(ctx, m.Source("k"))
			},
			"one of x/oauth2 over it": func(m *Manager) *http.Client {
				ctx := context.WithValue(context.Background(), oauth2.HTTPClient, m.Client("k"))
				return oauth2.NewClient(ctx, m.Source("k"))
			},
		} {
			t.Run(who+", "+how, func(t *testing.T) {
				onEvery(t, func(f *fixture) {
					server := new(tokenServer)
					m := f.process()
					m.Config, m.Base, m.APIURLs = config(), server, []string{apiURL}
					for _, name := range []string{"k", "other"} {
						require.NoError(f, m.Save(f.Context(), name, &oauth2.Token{AccessToken: "old", RefreshToken: name, Expiry: time.Now().Add(time.Minute)}))
					}
					time.Sleep(time.Hour)
					ctx := context.WithValue(f.Context(), oauth2.HTTPClient, client(m)) // as oidc.ClientContext does
					r := <-later(func() (*oauth2.Token, error) { return m.Source("k").TokenContext(ctx) })
					require.NoError(f, r.err)
					assert.Equal(f, "new-k", r.AccessToken)
					assert.Zero(f, r.took)
					assert.Equal(f, []string{"/token "}, server.requests)

					time.Sleep(2 * time.Hour)
					req, err := http.NewRequestWithContext(ctx, "GET", apiURL+"/me", nil)
					require.NoError(f, err)
					resp, err := m.Client("k").Do(req)
					require.NoError(f, err)
					resp.Body.Close()
					assert.Equal(f, []string{"/token ", "/token ", "/v1/me Bearer new-next"}, server.requests)
				})
			})
		}
	}
}

func TestTraceOfOneCallersContextDoesNotFireForTheSharedRequest(t *testing.T) {
	type key struct{}
	answer := make(chan bool)
	var posts atomic.Int32
	var carried any
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		posts.Add(1)
		<-answer
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"new","expires_in":3600}`)
	}))
	defer server.Close()
	m := &Manager{
		Config: &oauth2.Config{Endpoint: oauth2.Endpoint{TokenURL: server.URL, AuthStyle: oauth2.AuthStyleInParams}}, Store: newMemory(),
		RequestContext: func(ctx context.Context) context.Context {
			carried = ctx.Value(key{})
			return ctx
		},
	}
	require.NoError(t, m.Save(t.Context(), "k", &oauth2.Token{AccessToken: "old", RefreshToken: "r", Expiry: time.Now().Add(-time.Hour)}))
	var fired atomic.Int32
	fire := func() { fired.Add(1) }
	ctx := httptrace.WithClientTrace(context.WithValue(t.Context(), key{}, "the caller's"), &httptrace.ClientTrace{
		GetConn: func(string) { fire() }, GotConn: func(httptrace.GotConnInfo) { fire() }, WroteHeaders: fire,
		WroteRequest: func(httptrace.WroteRequestInfo) { fire() }, GotFirstResponseByte: fire,
		PutIdleConn: func(error) { fire() }, ConnectStart: func(string, string) { fire() },
	})
	var through atomic.Int32
	client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		through.Add(1)
		return http.DefaultTransport.RoundTrip(r)
	})}
	ctx, cancel := context.WithCancel(context.WithValue(ctx, oauth2.HTTPClient, client))
	failed := make(chan error)
	go func() {
		_, err := m.Source("k").TokenContext(ctx)
		failed <- err
	}()
	require.Eventually(t, func() bool { return posts.Load() == 1 }, 5*time.Second, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-failed, context.Canceled)
	close(answer)
	require.NoError(t, m.Flush(t.Context()))
	token, err := m.Source("k").Token()
	require.NoError(t, err)
	assert.Equal(t, "new", token.AccessToken)
	assert.EqualValues(t, 1, posts.Load())
	assert.EqualValues(t, 1, through.Load(), "the HTTP client is taken along")
	assert.Zero(t, fired.Load())
	assert.Nil(t, carried)
}

func TestTokenRequestHasATimeoutWhateverContextItIsGiven(t *testing.T) {
	onSwap(t, func(f *fixture) {
		hang := func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
		m, _ := f.revocable(hang)
		m.RequestContext = func(context.Context) context.Context { return context.Background() }
		begun := time.Now()
		require.ErrorIs(f, m.Disconnect(f.Context(), "k"), context.DeadlineExceeded)
		assert.Equal(f, defaultRefreshTimeout, time.Since(begun))

		m = f.processWith(func(ctx context.Context, _ string) (*oauth2.Token, error) { return nil, hang(ctx) })
		m.RequestContext = func(context.Context) context.Context { return context.Background() }
		time.Sleep(time.Hour)
		_, err := m.Source("k").Token()
		require.ErrorIs(f, err, context.DeadlineExceeded)
		m.RequestContext = func(context.Context) context.Context { return nil }
		time.Sleep(time.Hour)
		_, err = m.Source("k").Token()
		require.ErrorContains(f, err, "panicked")
	})
}

// It is meant for calls of the API, and the answer is everyone's.
func TestTimeoutOfACallersClientDoesNotEndATokenRequest(t *testing.T) {
	callers := &http.Client{Timeout: time.Second, Jar: new(cookiejar.Jar)}
	conf := configFunc(func(ctx context.Context, refresh string) (*oauth2.Token, error) {
		client := ctx.Value(oauth2.HTTPClient).(*http.Client)
		assert.Zero(t, client.Timeout)
		assert.Same(t, callers.Jar, client.Jar)
		return &oauth2.Token{AccessToken: "new", RefreshToken: refresh}, nil
	})
	m := &Manager{Config: conf, Registration: testOwner, Store: newMemory()}
	require.NoError(t, m.Save(t.Context(), "k", &oauth2.Token{RefreshToken: "r"}))
	_, err := m.Source("k").TokenContext(context.WithValue(t.Context(), oauth2.HTTPClient, callers))
	require.NoError(t, err)
	assert.Equal(t, time.Second, callers.Timeout)
}
