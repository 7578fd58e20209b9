package pkce

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
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
				s := NewSession("k", 0)
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

type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// To find the style out, x/oauth2 would send a code that was refused again.
func TestAutoDetectedStyleIsRefused(t *testing.T) {
	p := newProvider(t)
	config := p.config("http://localhost/callback")
	s := NewSession("k", 0)
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
	}
	assert.Zero(t, p.exchanges())
}

// knowing is a client that knows its provider's issuer.
type knowing struct {
	*oauth2.Config
	issuer string
}

func (k knowing) Issuer() string { return k.issuer }

var _ Issuer = knowing{}

func TestKnownIssuer(t *testing.T) {
	const issuer = "https://p.example"
	for name, tt := range map[string]struct {
		flow, known, sent string
		want              error
	}{
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
			p := newProvider(t)
			p.iss = tt.sent
			a := newApp(t, p, false)
			a.flow.Issuer = tt.flow
			a.flow.Config = knowing{a.flow.Config.(*oauth2.Config), tt.known}
			b := a.browser()
			b.open(b.begin(a, "k"))
			got, _ := a.last()
			assert.ErrorIs(t, got.err, tt.want)
			assert.Equal(t, tt.want == nil, p.exchanges() == 1)
		})
	}
}
