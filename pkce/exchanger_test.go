package pkce

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// A token endpoint sends the request, with code, verifier and the client's secret in
// it, on to someone else.
func TestExchangeIsNotRedirected(t *testing.T) {
	var elsewhere atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer thief.Close()
	followed := func(*http.Request, []*http.Request) error { return nil }
	for name, client := range map[string]any{
		"default client":    nil,
		"client of context": &http.Client{CheckRedirect: followed},
		"nil client":        (*http.Client)(nil),
	} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			t.Run(name+" "+http.StatusText(status), func(t *testing.T) {
				p := newProvider(t)
				p.token = http.RedirectHandler(thief.URL, status).ServeHTTP
				ctx := t.Context()
				if client != nil {
					ctx = context.WithValue(ctx, oauth2.HTTPClient, client)
				}
				s := begun("k")
				_, err := s.Exchange(ctx, p.config("http://localhost/callback"), url.Values{"state": {s.State}, "code": {"the-code"}})
				assert.ErrorIs(t, err, ErrMisconfigured)
				assert.ErrorContains(t, err, fmt.Sprint("the provider answered status ", status))
				checkError(t, err, s.State, s.Verifier, "the-code")
			})
		}
	}
	assert.Zero(t, elsewhere.Load())
	assert.Nil(t, http.DefaultClient.CheckRedirect)
}

// The client that the application chose makes the exchange.
func TestExchangeUsesTheClientOfTheContext(t *testing.T) {
	used := false
	client := &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		used = true
		return http.DefaultTransport.RoundTrip(r)
	})}
	a := newApp(t, newProvider(t), false)
	a.flow.RequestContext = func(ctx context.Context) context.Context {
		return context.WithValue(ctx, oauth2.HTTPClient, client)
	}
	b := a.browser()
	assert.Equal(t, "connected k", b.open(b.begin(a, "k")))
	assert.True(t, used)
	assert.Nil(t, client.CheckRedirect, "the application's client was changed")
}

// Over HTTP/2 net/http makes a request again that has a body to send again.
func TestACodeIsSentOnceOverHTTP2(t *testing.T) {
	client := &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		if trace := httptrace.ContextClientTrace(r.Context()); trace != nil {
			trace.WroteHeaderField(":method", nil)
		}
		_, err := r.GetBody()
		return nil, err
	})}
	config := newProvider(t).config("http://localhost/callback")
	s := begun("k")
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, client)
	_, err := s.Exchange(ctx, config, url.Values{"state": {s.State}, "code": {"c"}})
	assert.ErrorIs(t, err, ErrStartAgain)
	assert.ErrorContains(t, err, "it isn't sent again")
}

type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

type nilExchanger struct{ Exchanger }

// To find the style out, x/oauth2 would send a code that was refused again.
func TestAutoDetectedStyleIsRefused(t *testing.T) {
	p := newProvider(t)
	config := p.config("http://localhost/callback")
	s := begun("k")
	callback := url.Values{"state": {s.State}, "code": {"c"}}
	var nilConfig *oauth2.Config
	for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleAutoDetect, oauth2.AuthStyleInParams, oauth2.AuthStyleInHeader} {
		config.Endpoint.AuthStyle = style
		f := &Flow{Config: config, Sealer: newSealer(t)}
		w := httptest.NewRecorder()
		_, err := f.Begin(w, httptest.NewRequest("GET", "/", nil), "k")
		if style != oauth2.AuthStyleAutoDetect {
			require.NoError(t, err)
			continue
		}
		_, _, atCallback := f.call(t, httptest.NewRequest("GET", "/callback?state=x&code=y", nil))
		_, atExchange := s.Exchange(t.Context(), config, callback)
		for _, err := range []error{err, atCallback, atExchange} {
			assert.ErrorIs(t, err, ErrMisconfigured)
			assert.ErrorContains(t, err, "Endpoint.AuthStyle of ")
			assert.ErrorContains(t, err, "is not set: auto-detection would send the code twice; set oauth2.AuthStyleInParams or oauth2.AuthStyleInHeader")
			checkError(t, err, s.State, s.Verifier)
		}
		assert.Empty(t, w.Header())
		_, err = (&Flow{Config: nilConfig, Sealer: newSealer(t)}).Begin(w, httptest.NewRequest("GET", "/", nil), "k")
		assert.ErrorIs(t, err, ErrMisconfigured)
		assert.EqualError(t, err, "pkce: Flow.Config is a nil *oauth2.Config")
		_, err = (&Flow{Config: (*nilExchanger)(nil), Sealer: newSealer(t)}).Begin(w, httptest.NewRequest("GET", "/", nil), "k")
		assert.EqualError(t, err, "pkce: Flow.Config is a nil *pkce.nilExchanger")
	}
	assert.Zero(t, p.exchanges())
}

// What a provider could not answer to is refused before the user is sent there.
func TestBeginChecksTheClient(t *testing.T) {
	for redirect, want := range map[string]string{
		"https://app.example/callback":             "",
		"https://app.example:8443/callback?x=1":    "",
		"HTTPS://app.example/callback":             "",
		"http://localhost:8080/callback":           "",
		"http://127.0.0.1:8080/callback":           "",
		"http://[::1]/callback":                    "",
		"http://app.localhost/callback":            "",
		"com.example.app:/callback":                "",
		"com.example.app:callback":                 "",
		"myapp://callback":                         "",
		"urn:ietf:wg:oauth:2.0:oob":                "",
		"":                                         "RedirectURL of Flow.Config is missing",
		"/callback":                                "RedirectURL of Flow.Config is not an absolute URL",
		"callback":                                 "RedirectURL of Flow.Config is not an absolute URL",
		"//app.example/callback":                   "RedirectURL of Flow.Config is not an absolute URL",
		"app.example/callback":                     "RedirectURL of Flow.Config is not an absolute URL",
		"localhost:8080/callback":                  "RedirectURL of Flow.Config is not an absolute URL",
		"app.example:443/callback":                 "RedirectURL of Flow.Config is not an absolute URL",
		"127.0.0.1:8080/callback":                  "RedirectURL of Flow.Config is not an absolute URL",
		"https:///callback":                        "RedirectURL of Flow.Config is not an absolute URL",
		"https:callback":                           "RedirectURL of Flow.Config is not an absolute URL",
		"https://:443/callback":                    "RedirectURL of Flow.Config is not an absolute URL",
		"https://app.example/%zz":                  "RedirectURL of Flow.Config is not an absolute URL",
		"https://app.example/callback#":            "RedirectURL of Flow.Config has a fragment",
		"https://app.example/callback#x":           "RedirectURL of Flow.Config has a fragment",
		"http://app.example/callback":              "RedirectURL of Flow.Config is plain http",
		"http://192.0.2.1/callback":                "RedirectURL of Flow.Config is plain http",
		"http://localhost.example/callback":        "RedirectURL of Flow.Config is plain http",
		"HTTP://127.0.0.1.app.example/callback":    "RedirectURL of Flow.Config is plain http",
		"http://localhost@app.example:80/callback": "RedirectURL of Flow.Config is plain http",
	} {
		t.Run(redirect, func(t *testing.T) {
			f, c := newFlow(t)
			c.RedirectURL = redirect
			_, err := f.Begin(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), "k")
			if want == "" {
				require.NoError(t, err)
				return
			}
			assert.ErrorIs(t, err, ErrMisconfigured)
			assert.ErrorContains(t, err, want)
			checkError(t, err)
			_, err = f.BeginEmbedded(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), "k")
			assert.NoError(t, err, "an embedded flow has no redirect")
		})
	}

	f, c := newFlow(t)
	c.ClientID = ""
	for _, begin := range []func(http.ResponseWriter, *http.Request, string, ...oauth2.AuthCodeOption) (*Session, error){f.Begin, f.BeginEmbedded} {
		w := httptest.NewRecorder()
		_, err := begin(w, httptest.NewRequest("GET", "/", nil), "k")
		assert.ErrorIs(t, err, ErrMisconfigured)
		assert.EqualError(t, err, "pkce: ClientID of the Config is empty")
		assert.Empty(t, w.Header())
	}

	// An option may say what the Config doesn't.
	c.RedirectURL = ""
	_, err := f.Begin(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), "k",
		oauth2.SetAuthURLParam("client_id", "tenant"), oauth2.SetAuthURLParam("redirect_uri", "https://tenant.example/callback"))
	assert.NoError(t, err)
}

// renaming is the client of a provider whose consent page has other names, or none,
// for parameters.
type renaming struct {
	*stubConfig
	names map[string]string
}

func (c renaming) AuthCodeURL(state string, opts ...oauth2.AuthCodeOption) string {
	u, _ := url.Parse(c.stubConfig.AuthCodeURL(state, opts...))
	params := u.Query()
	for name, other := range c.names {
		value := params.Get(name)
		params.Del(name)
		if other != "" && value != "" {
			params.Set(other, value)
		}
	}
	u.RawQuery = params.Encode()
	return u.String()
}

func TestConsentPageWithOtherNames(t *testing.T) {
	f, c := newFlow(t)
	config := renaming{c, map[string]string{"client_id": "client_key", "redirect_uri": "return_to"}}
	f.Config = config
	begin := func() error {
		_, err := f.Begin(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), "k")
		return err
	}
	require.NoError(t, begin())
	s, cookie := f.attempt(t, "k")
	c.ClientID = "another"
	_, _, err := f.call(t, callback(url.Values{"state": {s.State}, "code": {"c"}}, cookie))
	assert.ErrorIs(t, err, ErrState, "the attempt isn't bound to the client")

	c.RedirectURL = ""
	assert.ErrorContains(t, begin(), "RedirectURL of Flow.Config is missing")
	c.ClientID = ""
	assert.ErrorContains(t, begin(), "ClientID of the Config is empty")

	config.names["client_id"], config.names["redirect_uri"] = "", "" // the provider knows both
	assert.NoError(t, begin())
	c.url = func(state string) string { // and options are all that it doesn't take
		if state == "state" {
			return "https://p.example/authorize"
		}
		return "https://p.example/authorize?state=" + state
	}
	f.Config = c
	assert.NoError(t, begin())
}

// knowing is a client that knows its provider's issuer, and registers its tokens under
// another name.
type knowing struct {
	*oauth2.Config
	issuer      string
	inCallbacks bool
}

var _ Authorizer = knowing{}

func (k knowing) Issuer() (string, bool) { return k.issuer, k.inCallbacks }
func (k knowing) Registration() (issuer, clientID string) {
	return "https://tokens.example", k.ClientID
}
func (k knowing) RedirectURL() string { return k.Config.RedirectURL }

func (k knowing) Authorize(_ context.Context, state, verifier string, opts ...oauth2.AuthCodeOption) (string, map[string]string, error) {
	return k.AuthCodeURL(state, append(opts, oauth2.S256ChallengeOption(verifier))...), nil, nil
}

func (k knowing) ReadCallback(callback url.Values) (url.Values, map[string]string) {
	return callback, nil
}

func TestKnownIssuer(t *testing.T) {
	const issuer = "https://p.example"
	p := newProvider(t)
	a := newApp(t, p, false)
	config := a.flow.Config.(*oauth2.Config)
	for name, tt := range map[string]struct {
		flow, known, sent string
		want              error
	}{
		"promised":                    {"", issuer + " promised", issuer, nil},
		"promised, not named":         {"", issuer + " promised", "", ErrMisconfigured},
		"promised, another":           {"", issuer + " promised", "https://q.example", ErrMisconfigured},
		"equal":                       {"", issuer, issuer, nil},
		"equal but for a slash":       {"", issuer, issuer + "/", nil},
		"a slash that is left out":    {"", issuer + "/", issuer, nil},
		"another":                     {"", issuer, "https://q.example", ErrMisconfigured},
		"another path":                {"", issuer, issuer + "/tenant", ErrMisconfigured},
		"a longer host":               {"", issuer, issuer + ".q.example", ErrMisconfigured},
		"not named":                   {"", issuer, "", nil},
		"not known":                   {"", "", "https://q.example", nil},
		"neither":                     {"", "", "", nil},
		"the Flow's":                  {issuer, "https://q.example", issuer, nil},
		"the Flow's, another":         {issuer, "https://q.example", "https://q.example", ErrMisconfigured},
		"the Flow's is never lenient": {issuer, issuer, issuer + "/", ErrMisconfigured},
		"the Flow's, not named":       {issuer, issuer, "", ErrMisconfigured},
	} {
		t.Run(name, func(t *testing.T) {
			p.iss, a.flow.Issuer = tt.sent, tt.flow
			known, promised := strings.CutSuffix(tt.known, " promised")
			a.flow.Config = knowing{config, known, promised}
			before := p.exchanges()
			b := a.browser()
			b.open(b.begin(a, "k"))
			got, _ := a.last()
			assert.ErrorIs(t, got.err, tt.want)
			assert.Equal(t, tt.want == nil, p.exchanges() == before+1)
		})
	}
}

func TestNilRequestContext(t *testing.T) {
	f, c := newFlow(t)
	s, cookie := f.attempt(t, "k")
	f.RequestContext = func(context.Context) context.Context { return nil }
	got, _, err := f.call(t, callback(url.Values{"state": {s.State}, "code": {"c"}}, cookie))
	assert.ErrorIs(t, err, ErrMisconfigured)
	assert.EqualError(t, err, "pkce: Flow.RequestContext returned nil")
	assert.Equal(t, "k", got.Connection)
	assert.Empty(t, c.calls)
}
