package pkce

import (
	"bytes"
	"context"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// The whole way, in a browser with a cookie jar, over http and https.
func TestFlow(t *testing.T) {
	for name, tls := range map[string]bool{"http": false, "https": true} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			a := newApp(t, p, tls)
			b := a.browser()
			callback := b.begin(a, "acct 7/ü")
			assert.Equal(t, "connected acct 7/ü", b.open(callback))
			got, n := a.last()
			assert.Equal(t, 1, n)
			assert.Equal(t, accessToken, got.token.AccessToken)
			require.Len(t, p.requests, 1)
			assert.Equal(t, a.URL+"/callback", p.requests[0].Get("redirect_uri"))

			b.open(callback) // a reload
			got, n = a.last()
			assert.Equal(t, 2, n)
			assert.ErrorIs(t, got.err, ErrAlreadyUsed)
			assert.NotErrorIs(t, got.err, ErrState)
			assert.Equal(t, "acct 7/ü", got.session.Connection)
			assert.Nil(t, got.token)
			assert.Equal(t, 1, p.exchanges())
		})
	}
}

// Several attempts in one browser finish in any order.
func TestLesson18TwoTabs(t *testing.T) {
	for name, order := range map[string][]int{"in order": {0, 1, 2}, "reversed": {2, 1, 0}, "mixed": {1, 2, 0}} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t, newProvider(t), true)
			b := a.browser()
			keys := []string{"one", "two", "three"}
			var callbacks []string
			for _, key := range keys {
				callbacks = append(callbacks, b.begin(a, key))
			}
			for _, i := range order {
				assert.Equal(t, "connected "+keys[i], b.open(callbacks[i]))
			}
		})
	}
}

// Login CSRF: nobody finishes in his browser what was begun in another.
func TestLesson18StateNotBoundToBrowser(t *testing.T) {
	p := newProvider(t)
	a := newApp(t, p, true)
	attacker, victim := a.browser(), a.browser()
	callback := attacker.begin(a, "the attacker's")

	for _, key := range []string{"", "the victim's"} { // without an attempt of his own, and with one
		if key != "" {
			victim.begin(a, key)
		}
		victim.open(callback)
		got, _ := a.last()
		assert.ErrorIs(t, got.err, ErrState)
		assert.Nil(t, got.session)
		assert.Nil(t, got.token)
	}
	assert.Zero(t, p.exchanges())
	assert.Equal(t, "connected the attacker's", attacker.open(callback), "another browser ended the attempt")
}

// A site on a sibling subdomain can set cookies for the whole domain, but none
// with the prefix. It plants the attacker's own attempt.
func TestPlantedCookie(t *testing.T) {
	p := newProvider(t)
	a := newApp(t, p, true)
	attacker, victim := a.browser(), a.browser()
	callback := attacker.begin(a, "the attacker's")
	site, err := url.Parse(a.URL)
	require.NoError(t, err)
	cookies := attacker.Jar.Cookies(site)
	require.Len(t, cookies, 1)
	name, ok := strings.CutPrefix(cookies[0].Name, "__Host-")
	require.True(t, ok)

	plant := func(name, value string) {
		victim.Jar.SetCookies(site, []*http.Cookie{{Name: name, Value: value, Path: "/"}})
		victim.open(callback)
		got, _ := a.last()
		assert.ErrorIs(t, got.err, ErrState)
		assert.ErrorContains(t, got.err, "this browser has no attempt")
		assert.Nil(t, got.session)
	}
	plant(name, cookies[0].Value)

	// The same with an attempt that was sealed for the plain name.
	u, err := url.Parse(callback)
	require.NoError(t, err)
	r := httptest.NewRequest("GET", "/", nil)
	binding, err := a.flow.bind(r)
	require.NoError(t, err)
	secure, err := a.flow.open(t.Context(), binding, cookies[0])
	require.NoError(t, err)
	binding.secure = false
	plain, err := a.flow.seal(t.Context(), binding, secure)
	require.NoError(t, err)
	require.Equal(t, name, plain.Name)
	require.Equal(t, secure.State, u.Query().Get("state"))
	plant(plain.Name, plain.Value)
	assert.Zero(t, p.exchanges())
}

// On plain http nothing keeps others from planting cookies, but rubbish of the
// same name doesn't hide the attempt.
func TestPlantedRubbish(t *testing.T) {
	a := newApp(t, newProvider(t), false)
	b := a.browser()
	callback := b.begin(a, "k")
	site, err := url.Parse(a.URL + "/callback")
	require.NoError(t, err)
	real := b.Jar.Cookies(site)[0]
	b.Jar.SetCookies(site, []*http.Cookie{
		{Name: real.Name, Value: "rubbish", Path: "/callback"},
		{Name: real.Name, Value: "!", Path: "/callback/"},
	})
	require.Len(t, b.Jar.Cookies(site), 2)
	require.Equal(t, "rubbish", b.Jar.Cookies(site)[0].Value)
	assert.Equal(t, "connected k", b.open(callback))
}

func TestDenied(t *testing.T) {
	p := newProvider(t)
	p.denies = true
	a := newApp(t, p, false)
	b := a.browser()
	b.open(b.begin(a, "acct-7"))
	got, n := a.last()
	assert.Equal(t, 1, n)
	assert.ErrorIs(t, got.err, ErrDenied)
	var auth *AuthError
	require.ErrorAs(t, got.err, &auth)
	assert.Equal(t, AuthError{Code: "access_denied", Description: "The user said no."}, *auth)
	require.NotNil(t, got.session)
	assert.Equal(t, "acct-7", got.session.Connection)
	assert.Zero(t, p.exchanges())

	// Without a state that verifies, an error is nothing but a link.
	b.open(a.URL + "/callback?error=access_denied")
	got, n = a.last()
	assert.Equal(t, 2, n)
	assert.ErrorIs(t, got.err, ErrState)
	assert.NotErrorIs(t, got.err, ErrDenied)
	assert.Nil(t, got.session)
}

func TestNoPKCE(t *testing.T) {
	p := newProvider(t)
	p.noPKCE = true
	a := newApp(t, p, false)
	a.flow.NoPKCE = true
	b := a.browser()
	assert.Equal(t, "connected k", b.open(b.begin(a, "k")))
	assert.False(t, p.requests[0].Has("code_verifier"))
}

// The verifier is that of the attempt, so a code that was issued for another
// attempt's challenge is worth nothing.
func TestInjectedCode(t *testing.T) {
	p := newProvider(t)
	a := newApp(t, p, false)
	attacker, victim := a.browser(), a.browser()
	stolen := ""
	edit(t, victim.begin(a, "the victim's"), func(q url.Values) { stolen = q.Get("code") })
	attacker.open(edit(t, attacker.begin(a, "the attacker's"), func(q url.Values) { q.Set("code", stolen) }))
	got, _ := a.last()
	assert.ErrorIs(t, got.err, ErrStartAgain)
	var answer *oauth2.RetrieveError
	require.ErrorAs(t, got.err, &answer)
	assert.Equal(t, "invalid_grant", answer.ErrorCode)
	assert.Nil(t, got.token)
	assert.Equal(t, "the attacker's", got.session.Connection)
}

func TestIssuer(t *testing.T) {
	for name, tt := range map[string]struct {
		expected, sent string
		want           error
	}{
		"none":         {"", "", nil},
		"not expected": {"", "https://p.example", nil},
		"equal":        {"https://p.example", "https://p.example", nil},
		"missing":      {"https://p.example", "", ErrMisconfigured},
		"another":      {"https://p.example", "https://q.example", ErrMisconfigured},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			p.iss = tt.sent
			a := newApp(t, p, false)
			a.flow.Issuer = tt.expected
			b := a.browser()
			b.open(b.begin(a, "k"))
			got, _ := a.last()
			assert.ErrorIs(t, got.err, tt.want)
			assert.Equal(t, tt.want == nil, got.token != nil)
			assert.Equal(t, tt.want == nil, p.exchanges() == 1)
		})
	}
}

// Mix-up (RFC 9700 section 4.4): an attempt at one provider isn't finished at the
// callback of another, with the same keys in the same browser.
func TestAnotherProvider(t *testing.T) {
	p := newProvider(t)
	a := newApp(t, p, false)
	b := a.browser()
	callback := b.begin(a, "k")
	config := *a.flow.Config.(*oauth2.Config)
	for name, change := range map[string]func(*oauth2.Config){
		"provider":     func(c *oauth2.Config) { c.Endpoint.AuthURL = "https://q.example/authorize" },
		"path":         func(c *oauth2.Config) { c.Endpoint.AuthURL += "/v2" },
		"client":       func(c *oauth2.Config) { c.ClientID = "client-8" },
		"redirect URI": func(c *oauth2.Config) { c.RedirectURL += "/other" },
	} {
		t.Run(name, func(t *testing.T) {
			u, err := url.Parse(callback)
			require.NoError(t, err)
			other := config
			change(&other)
			flow := &Flow{Config: &other, Sealer: a.flow.Sealer}
			r := httptest.NewRequest("GET", callback, nil)
			for _, c := range b.Jar.Cookies(u) {
				r.AddCookie(c)
			}
			_, _, err = flow.call(t, r)
			assert.ErrorIs(t, err, ErrState)
			assert.ErrorContains(t, err, "is from another provider")
		})
	}
	assert.Equal(t, "connected k", b.open(callback))
}

// dropEmpty removes empty parameters from token requests, as the adapter of
// package endpoints does.
type dropEmpty struct{}

func (dropEmpty) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	for name, values := range r.PostForm {
		if values[0] == "" {
			delete(r.PostForm, name)
		}
	}
	out, err := http.NewRequestWithContext(r.Context(), r.Method, r.URL.String(), strings.NewReader(r.PostForm.Encode()))
	if err != nil {
		return nil, err
	}
	out.Header = r.Header
	return http.DefaultTransport.RoundTrip(out)
}

// The provider's JavaScript in the page gets the state and hands over the code. One
// handler serves both flows.
func TestEmbedded(t *testing.T) {
	get := func(b *browser, u string, answer url.Values) (*http.Response, error) {
		return b.Get(u + "?" + answer.Encode())
	}
	post := func(b *browser, u string, answer url.Values) (*http.Response, error) {
		return b.PostForm(u, answer)
	}
	formData := func(b *browser, u string, answer url.Values) (*http.Response, error) {
		var body bytes.Buffer
		m := multipart.NewWriter(&body)
		for name := range answer {
			if err := m.WriteField(name, answer.Get(name)); err != nil {
				return nil, err
			}
		}
		if err := m.Close(); err != nil {
			return nil, err
		}
		return b.Post(u, m.FormDataContentType(), &body)
	}
	postQuery := func(b *browser, u string, answer url.Values) (*http.Response, error) {
		return b.Post(u+"?"+answer.Encode(), "", nil)
	}
	for name, send := range map[string]func(*browser, string, url.Values) (*http.Response, error){
		"GET": get, "POST": post, "POST of a FormData": formData, "POST with a query": postQuery,
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			a := newApp(t, p, true)
			a.flow.RequestContext = func(ctx context.Context) context.Context {
				return context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: dropEmpty{}})
			}
			b := a.browser()
			state, consent := b.page(a, "embedded one")
			redirect := b.begin(a, "redirected one")
			u, err := url.Parse(consent)
			require.NoError(t, err)
			require.False(t, u.Query().Has("redirect_uri"), consent)
			assert.Equal(t, state, u.Query().Get("state"))
			answer := p.approve(u.Query())

			assert.Equal(t, "connected embedded one", b.read(send(b, a.URL+"/callback", answer)))
			assert.False(t, p.requests[0].Has("redirect_uri"))
			got, _ := a.last()
			assert.True(t, got.session.Embedded)

			assert.Equal(t, "connected redirected one", b.open(redirect))
			assert.Equal(t, a.URL+"/callback", p.requests[1].Get("redirect_uri"))
			got, _ = a.last()
			assert.False(t, got.session.Embedded)

			b.read(send(b, a.URL+"/callback", answer))
			got, n := a.last()
			assert.Equal(t, 3, n)
			assert.ErrorIs(t, got.err, ErrAlreadyUsed)

			// Another user can't be given that code either.
			state, consent = b.page(a, "x")
			u, err = url.Parse(consent)
			require.NoError(t, err)
			answer = p.approve(u.Query())
			require.Equal(t, state, answer.Get("state"))
			b.read(send(a.browser(), a.URL+"/callback", answer))
			got, _ = a.last()
			assert.ErrorIs(t, got.err, ErrState)
		})
	}
}

func TestExchangeOptions(t *testing.T) {
	p := newProvider(t)
	a := newApp(t, p, false)
	a.flow.ExchangeOptions = []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("x-chart-async", "true")}
	b := a.browser()
	assert.Equal(t, "connected k", b.open(b.begin(a, "k")))
	assert.Equal(t, "true", p.requests[0].Get("x-chart-async"))
}

// call serves r and returns what done was called with.
func (f *Flow) call(t *testing.T, r *http.Request) (*Session, *oauth2.Token, error) {
	t.Helper()
	var got []outcome
	w := httptest.NewRecorder()
	f.Callback(func(_ http.ResponseWriter, r *http.Request, s *Session, tok *oauth2.Token, err error) {
		got = append(got, outcome{s, tok, err, r})
	}).ServeHTTP(w, r)
	require.Len(t, got, 1, "done was not called exactly once")
	return got[0].session, got[0].token, got[0].err
}

// attempt begins an attempt and returns it with its cookie.
func (f *Flow) attempt(t *testing.T, key string) (*Session, *http.Cookie) {
	t.Helper()
	w := httptest.NewRecorder()
	s, err := f.Begin(w, httptest.NewRequest("GET", "/", nil), key)
	require.NoError(t, err)
	cookies := w.Result().Cookies()
	require.Len(t, cookies, 1)
	return s, cookies[0]
}

// callback returns a callback with the cookies.
func callback(query url.Values, cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequest("GET", "/callback?"+query.Encode(), nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return r
}
