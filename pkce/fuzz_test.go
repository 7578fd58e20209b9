package pkce

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// callbackSeeds are queries and forms of a callback, in which STATE stands for the
// state that is right.
var callbackSeeds = [][2]string{
	{"state=STATE&code=c", ""},
	{"", "state=STATE&code=c"},
	{"state=STATE", "code=c"},
	{"state=STATE&code=c", "state=STATE"},
	{"state=&code=c", ""},
	{"code=c", ""},
	{"state=STATE&state=x", ""},
	{"state=STATE&error=access_denied&error_description=%00%1b%ff&error_uri=javascript:x", ""},
	{"state=STATE&code=c&iss=https%3A%2F%2Fp.example", ""},
	{"state=STATE&code=c&code=d", ""},
	{"state=%zz&code=c;&&=&", "%"},
	{"STATE", "STATE=state"},
}

func TestCallbackSeeds(t *testing.T) {
	assert.Len(t, callbackSeeds, 12)
	passed := 0
	for _, seed := range callbackSeeds {
		if tryCallback(t, seed[0], seed[1]) {
			passed++
		}
	}
	assert.Equal(t, 4, passed)
}

func FuzzCallback(f *testing.F) {
	for _, seed := range callbackSeeds {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, query, form string) { tryCallback(t, query, form) })
}

// tryCallback sends a callback with the right cookie and reports whether it went
// through. It may do so only with the state, once.
func tryCallback(t *testing.T, query, form string) bool {
	flow, c := newFlow(t)
	s, cookie := flow.attempt(t, "k")
	query, form = strings.ReplaceAll(query, "STATE", s.State), strings.ReplaceAll(form, "STATE", s.State)
	r := httptest.NewRequest("POST", "/callback", strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.URL.RawQuery = query
	r.AddCookie(cookie)
	got, token, err := flow.call(t, r)

	inQuery, _ := url.ParseQuery(query) // what net/http makes of it
	inForm, _ := url.ParseQuery(form)
	states := append(inForm["state"], inQuery["state"]...)
	codes := append(inForm["code"], inQuery["code"]...)
	right := len(states) == 1 && states[0] == s.State
	assert.Equal(t, right, got != nil)
	assert.Equal(t, !right, errors.Is(err, ErrState))
	if err == nil {
		assert.True(t, right && len(codes) == 1 && codes[0] != "")
		assert.Equal(t, accessToken, token.AccessToken)
		assert.Len(t, c.calls, 1)
		return true
	}
	assert.Nil(t, token)
	assert.Empty(t, c.calls)
	checkError(t, err, s.State, s.Verifier)
	assert.True(t, utf8.ValidString(err.Error()))
	var auth *AuthError
	if errors.As(err, &auth) {
		assert.True(t, auth.Code != "" && len(auth.Code) <= 100 && len(auth.Description) <= 500 && len(auth.URI) <= 500)
		assert.True(t, auth.URI == "" || strings.HasPrefix(strings.ToLower(auth.URI), "http"), auth.URI)
	}
	return false
}

// cookieSeeds are contents of a cookie, as they are before they are sealed.
var cookieSeeds = []string{
	`{"s":"STATE","v":"verifier","c":"acct-7","e":32503680000000,"m":true}`,
	`{"s":"STATE","e":32503680000000}`,
	`{"s":"STATE","e":1}`,
	`{"s":"STATE"}`,
	`{"s":"another","e":32503680000000}`,
	`{"s":"","e":32503680000000}`,
	`{"e":32503680000000}`,
	`{"s":"STATE","e":-9223372036854775808}`,
	`{"s":"STATE","e":1e400}`,
	`null`,
	``,
}

func TestCookieSeeds(t *testing.T) {
	assert.Len(t, cookieSeeds, 11)
	passed := 0
	for _, seed := range cookieSeeds {
		if tryCookie(t, seed) {
			passed++
		}
	}
	assert.Equal(t, 2, passed)
}

func FuzzCookie(f *testing.F) {
	for _, seed := range cookieSeeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) { tryCookie(t, content) })
}

// tryCookie sends a callback with a cookie that has the content, once sealed and
// once as it is, and reports whether the sealed one went through.
func tryCookie(t *testing.T, content string) bool {
	const state = "state-of-the-callback"
	content = strings.ReplaceAll(content, "STATE", state)
	flow, c := newFlow(t)
	b, err := flow.bind(httptest.NewRequest("GET", "/callback", nil))
	require.NoError(t, err)
	name := b.cookieName(state)
	query := url.Values{"state": {state}, "code": {"c"}}
	send := func(value []byte) (*Session, *oauth2.Token, error) {
		return flow.call(t, callback(query, &http.Cookie{Name: name, Value: base64.RawURLEncoding.EncodeToString(value)}))
	}
	_, _, err = send([]byte(content))
	require.ErrorIs(t, err, ErrState)

	sealed, err := flow.Sealer.Seal(t.Context(), []byte(content), b.associatedData(name))
	require.NoError(t, err)
	s, token, err := send(sealed)
	if err != nil {
		require.ErrorIs(t, err, ErrState)
		assert.Nil(t, s)
		assert.Empty(t, c.calls)
		checkError(t, err, state)
		return false
	}
	assert.Equal(t, state, s.State)
	assert.True(t, s.Expiry.After(time.Now()))
	assert.NotNil(t, token)
	return true
}
