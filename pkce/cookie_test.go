package pkce

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCookieAttributes(t *testing.T) {
	for redirect, want := range map[string]string{
		"https://app.example/callback":   "__Host-oauth2keep-%s; Path=/; Max-Age=1800; HttpOnly; Secure; SameSite=Lax",
		"http://localhost:8080/callback": "oauth2keep-%s; Path=/; Max-Age=1800; HttpOnly; SameSite=Lax",
	} {
		f, c := newFlow(t)
		c.RedirectURL = redirect
		w := httptest.NewRecorder()
		s, err := f.Begin(w, httptest.NewRequest("GET", "/", nil), "k")
		require.NoError(t, err)
		b := binding{secure: strings.HasPrefix(redirect, "https")}
		name, rest, _ := strings.Cut(w.Header().Get("Set-Cookie"), "=")
		_, attributes, _ := strings.Cut(rest, ";")
		assert.Equal(t, b.cookieName(s.State), name)
		hash := strings.TrimPrefix(name, b.prefix())
		assert.Len(t, hash, 16)
		assert.Equal(t, fmt.Sprintf(want, hash), name+";"+attributes)
	}
}

// The format of cookies: a change of these bytes ends all attempts under way, and
// needs a new label.
func TestAssociatedData(t *testing.T) {
	b := binding{true, "https://p.example/a", "client", "https://app.example/cb"}
	name := b.cookieName("state")
	assert.Equal(t, "__Host-oauth2keep-S6aXNcpTdl7Wpwnt", name)
	assert.Equal(t, "\x19oauth2keep pkce attempt 1\x22"+name+"\x13https://p.example/a\x06client\x16https://app.example/cb",
		string(b.associatedData(name)))
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

// A user who comes back and back again doesn't fill the Cookie header.
func TestAbandonedAttempts(t *testing.T) {
	for name, tt := range map[string]struct {
		key  string
		kept int
	}{"short keys": {"acct-7", 8}, "long keys": {strings.Repeat("k", 1000), 2}, "very long keys": {strings.Repeat("k", 2500), 1}} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t, newProvider(t), true)
			b := a.browser()
			site := httptest.NewRequest("GET", a.URL, nil).URL
			others := []*http.Cookie{
				{Name: "session", Value: "x"},
				{Name: "oauth2keep-0123456789abcdef", Value: "plain"},
				{Name: "__Host-oauth2keep-settings", Value: "x"},
			}
			b.Jar.SetCookies(site, others)
			var callbacks []string
			for i := range 12 {
				callbacks = append(callbacks, b.begin(a, fmt.Sprint(i, tt.key)))
				size := 0
				for _, c := range b.Jar.Cookies(site) {
					size += len(c.Name) + len(c.Value)
				}
				assert.Less(t, size, 4<<10+200)
			}
			assert.Len(t, b.Jar.Cookies(site), len(others)+tt.kept)
			for i, callback := range callbacks {
				shown := b.open(callback)
				assert.Equal(t, i >= len(callbacks)-tt.kept, strings.HasPrefix(shown, "connected"), "attempt %d", i)
			}
			assert.Len(t, b.Jar.Cookies(site), len(others), "another cookie was deleted")
		})
	}
}

// No two texts decode to the same content.
func TestCookieEncoding(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	f, _ := newFlow(t)
	for _, key := range []string{"", "k", "kk"} { // every length modulo 3
		s, cookie := f.attempt(t, key)
		last := len(cookie.Value) - 1
		for _, c := range alphabet {
			value := cookie.Value[:last] + string(c)
			if value == cookie.Value {
				continue
			}
			_, _, err := f.call(t, callback(url.Values{"state": {s.State}, "code": {"c"}}, &http.Cookie{Name: cookie.Name, Value: value}))
			require.ErrorIs(t, err, ErrState, "%q for %q", c, cookie.Value[last])
		}
	}
}
