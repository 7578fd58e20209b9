package pkce

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
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

func TestMaxAgeMayBeTheLongestThereIs(t *testing.T) {
	f, _ := newFlow(t)
	f.MaxAge = math.MaxInt64
	w := httptest.NewRecorder()
	_, err := f.Begin(w, httptest.NewRequest("GET", "/", nil), "k")
	require.NoError(t, err)
	assert.Positive(t, w.Result().Cookies()[0].MaxAge, "a browser deletes the cookie otherwise")
}

// The format of cookies: a change of these bytes ends all attempts under way, and
// needs a new label.
func TestAssociatedData(t *testing.T) {
	b := binding{secure: true, provider: "https://p.example/a", clientID: "client", redirectURI: "https://app.example/cb"}
	name := b.cookieName("state")
	assert.Equal(t, "__Host-oauth2keep-S6aXNcpTdl7Wpwnt", name)
	assert.Equal(t, "\x19oauth2keep pkce attempt 2\x22"+name+"\x13https://p.example/a\x06client\x16https://app.example/cb",
		string(b.associatedData(name)))
}

// A user who comes back and back again doesn't fill the Cookie header. The first
// attempts and the latest ones stay.
func TestAbandonedAttempts(t *testing.T) {
	for name, tt := range map[string]struct {
		connection string
		kept       []int
	}{
		"short names":     {"acct-7", []int{0, 1, 2, 3, 8, 9, 10, 11}},
		"long names":      {strings.Repeat("k", 1000), []int{0, 11}},
		"very long names": {strings.Repeat("k", 2500), []int{11}},
	} {
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
				callbacks = append(callbacks, b.begin(a, fmt.Sprint(i, tt.connection)))
				size := 0
				for _, c := range b.Jar.Cookies(site) {
					size += len(c.Name) + len(c.Value)
				}
				assert.Less(t, size, 4<<10+200)
			}
			assert.Len(t, b.Jar.Cookies(site), len(others)+len(tt.kept))
			var connected []int
			for i, callback := range slices.Backward(callbacks) { // so that unfinished ones are left to the last
				shown := b.open(callback)
				if strings.HasPrefix(shown, "connected") {
					connected = append(connected, i)
					continue
				}
				got, _ := a.last()
				assert.ErrorIs(t, got.err, ErrState)
				if tt.kept[0] == 0 {
					assert.Contains(t, shown, "or it was given up for newer ones")
				}
			}
			slices.Reverse(connected)
			assert.Equal(t, tt.kept, connected)
			for _, c := range others {
				assert.True(t, slices.ContainsFunc(b.Jar.Cookies(site), func(left *http.Cookie) bool { return left.Name == c.Name }), "%s was deleted", c.Name)
			}
		})
	}
}

// What is kept of attempts that were used makes room first, and a long one isn't
// kept at all.
func TestUsedAttemptsGoFirst(t *testing.T) {
	a := newApp(t, newProvider(t), true)
	b := a.browser()
	pending := b.begin(a, "the one at the consent page")
	var used []string
	for i := range 20 {
		used = append(used, b.begin(a, fmt.Sprint(i)))
		require.Equal(t, fmt.Sprint("connected ", i), b.open(used[i]))
	}
	assert.Len(t, b.Jar.Cookies(httptest.NewRequest("GET", a.URL, nil).URL), 8)
	assert.Equal(t, "connected the one at the consent page", b.open(pending))
	for i, want := range map[int]error{0: ErrState, 19: ErrAlreadyUsed} {
		b.open(used[i])
		got, _ := a.last()
		assert.ErrorIs(t, got.err, want)
	}

	long := a.browser()
	require.Contains(t, long.open(long.begin(a, strings.Repeat("k", 1000))), "connected")
	assert.Empty(t, long.Jar.Cookies(httptest.NewRequest("GET", a.URL, nil).URL))
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
