package pkce

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
)

const (
	clientID     = "client-7"
	clientSecret = "secret-of-the-client"
	accessToken  = "access-token-of-the-user"
)

// provider is an authorization server. Its consent page answers at once.
type provider struct {
	*httptest.Server
	t *testing.T

	denies   bool   // the user says no
	noPKCE   bool   // PKCE parameters are an error; otherwise they are required
	iss      string // sent with the answer, if not empty
	token    http.HandlerFunc
	mu       sync.Mutex
	codes    map[string]url.Values // authorization requests, by unspent code
	requests []url.Values          // token requests
}

func newProvider(t *testing.T) *provider {
	p := &provider{t: t, codes: make(map[string]url.Values)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /authorize", p.consent)
	mux.HandleFunc("POST /token", p.exchange)
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

// approve returns what the provider sends to the callback.
func (p *provider) approve(request url.Values) url.Values {
	answer := url.Values{"state": request["state"]}
	if p.iss != "" {
		answer.Set("iss", p.iss)
	}
	if p.denies {
		answer.Set("error", "access_denied")
		answer.Set("error_description", "The user said no.")
		return answer
	}
	assert.Equal(p.t, "code", request.Get("response_type"))
	assert.Equal(p.t, clientID, request.Get("client_id"))
	if p.noPKCE {
		assert.False(p.t, request.Has("code_challenge") || request.Has("code_challenge_method"), "PKCE at a provider without")
	} else {
		assert.Equal(p.t, "S256", request.Get("code_challenge_method"))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	code := fmt.Sprintf("code-number-%d", len(p.codes)+len(p.requests))
	p.codes[code] = request
	answer.Set("code", code)
	return answer
}

func (p *provider) consent(w http.ResponseWriter, r *http.Request) {
	answer := p.approve(r.URL.Query())
	http.Redirect(w, r, r.URL.Query().Get("redirect_uri")+"?"+answer.Encode(), http.StatusFound)
}

func (p *provider) exchange(w http.ResponseWriter, r *http.Request) {
	assert.NoError(p.t, r.ParseForm())
	form := r.PostForm
	p.mu.Lock()
	p.requests = append(p.requests, form)
	request, ok := p.codes[form.Get("code")]
	delete(p.codes, form.Get("code"))
	p.mu.Unlock()
	if p.token != nil {
		p.token(w, r)
		return
	}
	refuse := func(status int, code string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":%q,"error_description":"about %s"}`, code, form.Get("code"))
	}
	hash := sha256.Sum256([]byte(form.Get("code_verifier")))
	_, redirect := form["redirect_uri"]
	_, verifier := form["code_verifier"]
	switch {
	case form.Get("client_id") != clientID || form.Get("client_secret") != clientSecret:
		refuse(http.StatusUnauthorized, "invalid_client")
	case !ok, redirect != request.Has("redirect_uri"), form.Get("redirect_uri") != request.Get("redirect_uri"):
		refuse(http.StatusBadRequest, "invalid_grant")
	case p.noPKCE && verifier,
		!p.noPKCE && base64.RawURLEncoding.EncodeToString(hash[:]) != request.Get("code_challenge"):
		refuse(http.StatusBadRequest, "invalid_grant")
	default:
		writeToken(w)
	}
}

func writeToken(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer"}`, accessToken)
}

func (p *provider) exchanges() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.requests)
}

// config returns a client of the provider.
func (p *provider) config(redirectURL string) *oauth2.Config {
	return &oauth2.Config{
		ClientID:     clientID,
		ClientSecret: clientSecret,
		RedirectURL:  redirectURL,
		Endpoint:     oauth2.Endpoint{AuthURL: p.URL + "/authorize", TokenURL: p.URL + "/token", AuthStyle: oauth2.AuthStyleInParams},
	}
}

// app is a web application with a Flow.
type app struct {
	*httptest.Server
	t        *testing.T
	flow     *Flow
	mu       sync.Mutex
	outcomes []outcome
}

// outcome is what done was called with.
type outcome struct {
	session *Session
	token   *oauth2.Token
	err     error
	request *http.Request
}

// newApp starts an application at p, over https if secure is set: its requests say so, though
// there is no TLS, which would take longer than the rest.
func newApp(t *testing.T, p *provider, secure bool) *app {
	a := &app{t: t, flow: &Flow{Sealer: newSealer(t)}}
	mux := http.NewServeMux()
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if secure {
			r.TLS = new(tls.ConnectionState)
		}
		mux.ServeHTTP(w, r)
	}))
	if secure {
		a.URL = strings.Replace(a.URL, "http:", "https:", 1)
		a.Client().Transport.(*http.Transport).DialTLSContext = new(net.Dialer).DialContext
	}
	t.Cleanup(a.Close)
	a.flow.Config = p.config(a.URL + "/callback")
	mux.HandleFunc("GET /connect", func(w http.ResponseWriter, r *http.Request) {
		s, err := a.flow.Begin(w, r, r.FormValue("key"))
		if assert.NoError(t, err) {
			http.Redirect(w, r, s.URL, http.StatusFound)
		}
	})
	mux.HandleFunc("GET /page", func(w http.ResponseWriter, r *http.Request) {
		s, err := a.flow.BeginEmbedded(w, r, r.FormValue("key"))
		if assert.NoError(t, err) {
			json.NewEncoder(w).Encode(map[string]string{"state": s.State, "url": s.URL})
		}
	})
	mux.Handle("/callback", a.flow.Callback(func(w http.ResponseWriter, r *http.Request, s *Session, tok *oauth2.Token, err error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.outcomes = append(a.outcomes, outcome{s, tok, err, r})
		if err != nil {
			secrets := []string{r.Form.Get("code"), r.Form.Get("state")}
			if s != nil {
				secrets = append(secrets, s.Verifier, s.State)
			}
			checkError(t, err, secrets...)
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, err)
			return
		}
		fmt.Fprint(w, "connected ", s.Connection)
	}))
	return a
}

// last returns what done was called with the last time, and how often it was.
func (a *app) last() (outcome, int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.outcomes) == 0 {
		return outcome{}, 0
	}
	return a.outcomes[len(a.outcomes)-1], len(a.outcomes)
}

// browser is someone's browser, which stops before the callback.
type browser struct {
	*http.Client
	t *testing.T
}

func (a *app) browser() *browser {
	jar, err := cookiejar.New(nil)
	require.NoError(a.t, err)
	c := *a.Client()
	c.Jar = jar
	c.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/callback" {
			return http.ErrUseLastResponse
		}
		return nil
	}
	return &browser{&c, a.t}
}

// begin goes through the consent page and returns the URL of the callback.
func (b *browser) begin(a *app, key string) string {
	resp, err := b.Get(a.URL + "/connect?key=" + url.QueryEscape(key))
	require.NoError(b.t, err)
	resp.Body.Close()
	require.Equal(b.t, http.StatusFound, resp.StatusCode)
	return resp.Header.Get("Location")
}

// page opens the page of an embedded flow.
func (b *browser) page(a *app, key string) (state, consent string) {
	var page struct{ State, URL string }
	require.NoError(b.t, json.Unmarshal([]byte(b.open(a.URL+"/page?key="+url.QueryEscape(key))), &page))
	return page.State, page.URL
}

// open returns what the browser shows.
func (b *browser) open(u string) string { return b.read(b.Get(u)) }

func (b *browser) read(resp *http.Response, err error) string {
	require.NoError(b.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(b.t, err)
	return string(body)
}

// edit returns u with its query changed.
func edit(t *testing.T, u string, change func(url.Values)) string {
	parsed, err := url.Parse(u)
	require.NoError(t, err)
	query := parsed.Query()
	change(query)
	parsed.RawQuery = query.Encode()
	return parsed.String()
}

// newSealer returns a Sealer with a key of its own.
func newSealer(t *testing.T) storage.Sealer {
	keys, err := storage.NewKeyset(storage.NewKey())
	require.NoError(t, err)
	return keys
}

// brokenSealer is a key management service that can't be reached.
type brokenSealer struct{}

var errUnreachable = errors.New("kms: unreachable")

func (brokenSealer) Seal(context.Context, []byte, []byte) ([]byte, error) { return nil, errUnreachable }
func (brokenSealer) Open(context.Context, []byte, []byte) ([]byte, error) { return nil, errUnreachable }

// stubConfig is a Config without a server. It knows what it was called with.
type stubConfig struct {
	oauth2.Config
	url   func(state string) string // instead of Config's
	token *oauth2.Token
	err   error

	mu    sync.Mutex
	calls []url.Values
}

// begun returns an attempt that has begun.
func begun(connection string) *Session {
	s := &Session{Connection: connection}
	s.begin()
	return s
}

func newStub() *stubConfig {
	return &stubConfig{
		Config: oauth2.Config{
			ClientID:    clientID,
			RedirectURL: "http://localhost/callback",
			Endpoint:    oauth2.Endpoint{AuthURL: "https://provider.example/authorize"},
		},
		token: &oauth2.Token{AccessToken: accessToken},
	}
}

func (c *stubConfig) AuthCodeURL(state string, opts ...oauth2.AuthCodeOption) string {
	if c.url != nil {
		return c.url(state)
	}
	return c.Config.AuthCodeURL(state, opts...)
}

func (c *stubConfig) Exchange(ctx context.Context, code string, opts ...oauth2.AuthCodeOption) (*oauth2.Token, error) {
	var empty oauth2.Config
	u, _ := url.Parse(empty.AuthCodeURL("", append(opts, oauth2.SetAuthURLParam("code", code))...))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, u.Query())
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return c.token, c.err
}

// checkError fails if err doesn't call for exactly one action, or if any way to
// print it shows a secret.
func checkError(t *testing.T, err error, secrets ...string) {
	t.Helper()
	if !assert.Error(t, err) {
		return
	}
	var actions []error
	for _, action := range []error{ErrStartAgain, ErrDenied, ErrMisconfigured} {
		if errors.Is(err, action) {
			actions = append(actions, action)
		}
	}
	assert.Len(t, actions, 1, "%v", err)
	if errors.Is(err, ErrState) {
		assert.ErrorIs(t, err, ErrStartAgain)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Error("text", "err", err)
	slog.New(slog.NewTextHandler(&log, nil)).Error("text", "err", err)
	encoded, _ := json.Marshal(err)
	shown := fmt.Sprintf("%v %+v %#v %q %d %s %s", err, err, err, err, err, log.String(), encoded)
	assert.True(t, strings.HasPrefix(err.Error(), "pkce: "), "%v", err)
	for _, secret := range append(secrets, clientSecret, accessToken) {
		if secret != "" {
			assert.False(t, strings.Contains(shown, secret), "the error shows a secret: %s", shown)
		}
	}
}
