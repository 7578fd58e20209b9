package pkce

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// The browser is at one name of the loopback, and the provider would send it to
// another, where it has no cookie. Behind a proxy the Host may be anyone's.
func TestBeginNamesHostsThatDiffer(t *testing.T) {
	const proxied = "X-Forwarded-For"
	for name, tt := range map[string]struct {
		host, redirect string
		header         []string // names and values
		page           string   // where Begin says that the page is, or "" if it begins
	}{
		"same":                           {"localhost:8080", "http://localhost:8080/cb", nil, ""},
		"another case":                   {"LOCALHOST:8080", "http://localhost:8080/cb", nil, ""},
		"localhost, 127.0.0.1":           {"localhost:8080", "http://127.0.0.1:8080/cb", nil, "localhost"},
		"127.0.0.1, localhost":           {"127.0.0.1:8080", "http://localhost:8080/cb", nil, "127.0.0.1"},
		"[::1], localhost":               {"[::1]:8080", "http://localhost:8080/cb", nil, "::1"},
		"localhost, [::1]":               {"localhost", "http://[::1]/cb", nil, "localhost"},
		"a name under localhost":         {"app.localhost:80", "http://localhost:80/cb", nil, "app.localhost"},
		"https":                          {"127.0.0.1:8443", "https://localhost:8443/cb", nil, "127.0.0.1"},
		"another port":                   {"localhost:8080", "http://localhost:9090/cb", nil, ""},
		"a development server in front":  {"127.0.0.1:8080", "http://localhost:3000/cb", nil, ""},
		"a proxy that says so":           {"127.0.0.1:8080", "http://localhost:8080/cb", []string{proxied, "127.0.0.1"}, ""},
		"an empty header says nothing":   {"127.0.0.1:8080", "http://localhost:8080/cb", []string{proxied, ""}, "127.0.0.1"},
		"a proxy at the edge":            {"localhost:8080", "https://app.example/cb", nil, ""},
		"www":                            {"www.app.example", "https://app.example/cb", nil, ""},
		"an app's scheme":                {"localhost:8080", "myapp://127.0.0.1:8080/cb", nil, ""},
		"no host":                        {"", "http://localhost/cb", nil, ""},
		"the browser knows better":       {"127.0.0.1:8080", "http://localhost:8080/cb", []string{"Sec-Fetch-Site", "same-origin", "Referer", "http://localhost:8080/"}, ""},
		"the browser says it by a proxy": {"app:1", "http://localhost:8080/cb", []string{proxied, "x", "Sec-Fetch-Site", "same-origin", "Referer", "http://127.0.0.1:8080/"}, "127.0.0.1"},
		"the browser comes from another": {"localhost:8080", "http://localhost:8080/cb", []string{"Sec-Fetch-Site", "cross-site", "Referer", "http://127.0.0.1:8080/"}, ""},
		"no referrer":                    {"localhost:8080", "http://127.0.0.1:8080/cb", []string{"Sec-Fetch-Site", "same-origin"}, "localhost"},
		"an unreadable referrer":         {"localhost:8080", "http://127.0.0.1:8080/cb", []string{"Sec-Fetch-Site", "same-origin", "Referer", "%"}, "localhost"},
	} {
		t.Run(name, func(t *testing.T) {
			f, c := newFlow(t)
			c.RedirectURL = tt.redirect
			r := httptest.NewRequest("GET", "/connect", nil)
			r.Host = tt.host
			for i := 0; i < len(tt.header); i += 2 {
				r.Header.Set(tt.header[i], tt.header[i+1])
			}
			w := httptest.NewRecorder()
			_, err := f.Begin(w, r, "k")
			if tt.page == "" {
				require.NoError(t, err)
				return
			}
			u, parseErr := url.Parse(tt.redirect)
			require.NoError(t, parseErr)
			assert.ErrorIs(t, err, ErrMisconfigured)
			assert.ErrorContains(t, err, "the page that begins is at "+tt.page+", and RedirectURL of Flow.Config at "+u.Hostname()+":")
			assert.Empty(t, w.Header())
			checkError(t, err)
			_, err = f.BeginEmbedded(w, r, "k")
			assert.NoError(t, err)
		})
	}
}

// Hosts that may be one to the browser are told at the callback, where it is known
// that the cookie is missing.
func TestCallbackWithoutCookieNamesTheHost(t *testing.T) {
	f, _ := newFlow(t)
	r := callback(url.Values{"state": {"s"}, "code": {"c"}})
	r.Host = "app.example\x1b"
	_, _, err := f.call(t, r)
	assert.ErrorIs(t, err, ErrState)
	assert.ErrorContains(t, err, `or at another host name than "app.example"`)
}

var prefetches = map[string]http.Header{
	"speculation rules":   {"Sec-Purpose": {"prefetch"}},
	"prerendering":        {"Sec-Purpose": {"prefetch;prerender"}},
	"private prefetching": {"Sec-Purpose": {"prefetch;anonymous-client-ip"}},
	"Chrome's links":      {"Purpose": {"prefetch"}},
	"Safari's top sites":  {"X-Purpose": {"preview"}},
	"Turbo":               {"X-Sec-Purpose": {"prefetch"}},
	"Firefox's, long ago": {"X-Moz": {"prefetch"}},
	"in whatever way":     {"Purpose": {"Prefetch"}},
}

// Pages that are fetched before the user asks for them, as many as they may be,
// don't touch the attempt that is under way.
func TestPrefetchBeginsNothing(t *testing.T) {
	a := newApp(t, newProvider(t), true)
	b := a.browser()
	real := b.begin(a, "real")
	site := httptest.NewRequest("GET", a.URL, nil).URL
	before := b.Jar.Cookies(site)
	for name, header := range prefetches {
		r := httptest.NewRequest("GET", "/connect", nil)
		r.Header = header.Clone()
		for _, c := range before {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		s, err := a.flow.Begin(w, r, "k")
		assert.Nil(t, s, name)
		assert.ErrorIs(t, err, ErrStartAgain, name)
		assert.ErrorContains(t, err, "prefetch", name)
		assert.Empty(t, w.Header(), name)
		checkError(t, err)
	}
	assert.Equal(t, "connected real", b.open(real))
}

// A script that follows links tells nothing of itself.
func TestLinksThatAreFollowedDontPushOutTheAttempt(t *testing.T) {
	most := 4
	if testing.Short() {
		most = 1
	}
	for before := range most {
		a := newApp(t, newProvider(t), true)
		b := a.browser()
		for range before {
			b.begin(a, "abandoned")
		}
		real := b.begin(a, "real")
		for range 30 {
			b.begin(a, "real")
		}
		assert.Equal(t, "connected real", b.open(real), "after %d others", before)
	}
}

// The browser fetches the callback before it shows it.
func TestPrefetchedCallbackSpendsNothing(t *testing.T) {
	for name, header := range prefetches {
		f, c := newFlow(t)
		s, cookie := f.attempt(t, "k")
		query := url.Values{"state": {s.State}, "code": {"c"}}
		r := callback(query, cookie)
		for name, values := range header {
			r.Header[name] = values
		}
		w := httptest.NewRecorder()
		f.Callback(func(http.ResponseWriter, *http.Request, *Session, *oauth2.Token, error) {
			t.Error("done was called")
		}).ServeHTTP(w, r)
		assert.Equal(t, http.StatusServiceUnavailable, w.Code, name)
		assert.Equal(t, "no-store", w.Header().Get("Cache-Control"), name)
		assert.Empty(t, w.Result().Cookies(), name)
		assert.Empty(t, c.calls, name)
		_, _, err := f.call(t, callback(query, cookie))
		assert.NoError(t, err, name)
	}
}

func TestIsSecure(t *testing.T) {
	for name, tt := range map[string]struct {
		redirect, host, proto string
		tls                   bool
		want                  bool
	}{
		"https redirect":                    {redirect: "https://app.example/cb", host: "localhost", want: true},
		"HTTPS redirect":                    {redirect: "HTTPS://app.example/cb", host: "localhost", want: true},
		"http redirect":                     {redirect: "http://app.example/cb", host: "app.example"},
		"http redirect, TLS":                {redirect: "http://app.example/cb", host: "app.example", tls: true, want: true},
		"http redirect, proxy with TLS":     {redirect: "http://app.example/cb", host: "app.example", proto: "https", want: true},
		"http redirect, two proxies":        {redirect: "http://app.example/cb", host: "app.example", proto: " HTTPS , http", want: true},
		"https redirect, http proxy":        {redirect: "https://app.example/cb", host: "app.example", proto: "http", want: true},
		"http redirect, http proxy":         {redirect: "http://app.example/cb", host: "app.example", proto: "http,https"},
		"embedded":                          {host: "app.example", want: true},
		"embedded, port":                    {host: "app.example:8080", want: true},
		"embedded, localhost":               {host: "localhost"},
		"embedded, localhost and port":      {host: "LocalHost:8080"},
		"embedded, a name under localhost":  {host: "app.localhost:8080"},
		"embedded, 127.0.0.1":               {host: "127.0.0.1:8080"},
		"embedded, IPv6":                    {host: "[::1]:8080"},
		"embedded, IPv6 without port":       {host: "[::1]"},
		"embedded, another address":         {host: "192.0.2.1:80", want: true},
		"embedded, a name that looks local": {host: "localhost.example", want: true},
		"embedded, localhost with TLS":      {host: "localhost", tls: true, want: true},
		"embedded, localhost behind TLS":    {host: "localhost", proto: "https", want: true},
		"embedded, no host":                 {host: "", want: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.Host = tt.host
			if tt.proto != "" {
				r.Header.Set("X-Forwarded-Proto", tt.proto)
			}
			if tt.tls {
				r.TLS = &tls.ConnectionState{}
			}
			assert.Equal(t, tt.want, isSecure(r, tt.redirect))
		})
	}
}
