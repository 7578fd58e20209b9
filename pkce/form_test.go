package pkce

import (
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

func TestCallbackForms(t *testing.T) {
	f, _ := newFlow(t)
	send := func(query, contentType, body string, cookie *http.Cookie) error {
		r := httptest.NewRequest("POST", "/callback?"+query, strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		r.AddCookie(cookie)
		_, _, err := f.call(t, r)
		return err
	}
	const form = "application/x-www-form-urlencoded"
	for name, tt := range map[string]struct {
		query, contentType, body string
		want                     error
	}{
		"form":              {"", form, "state=S&code=c", nil},
		"form with charset": {"", form + "; charset=UTF-8", "state=S&code=c", nil},
		"query":             {"state=S&code=c", form, "", nil},
		"both":              {"state=S", form, "code=c", nil},
		"largest":           {"", form, "state=S&code=c&x=" + strings.Repeat("x", maxForm-60), nil},
		"state in both":     {"state=S", form, "state=S&code=c", ErrState},
		"code in both":      {"state=S&code=c", form, "code=d", ErrStartAgain},
		"too large":         {"", form, "state=S&code=c&x=" + strings.Repeat("x", maxForm), ErrState},
		"JSON":              {"", "application/json", `{"state":"S","code":"c"}`, ErrState},
		"no type":           {"", "", "state=S&code=c", ErrState},
	} {
		t.Run(name, func(t *testing.T) {
			s, cookie := f.attempt(t, "k")
			err := send(strings.ReplaceAll(tt.query, "S", s.State), tt.contentType, strings.ReplaceAll(tt.body, "S", s.State), cookie)
			assert.ErrorIs(t, err, tt.want)
			if tt.want != nil {
				checkError(t, err, s.State, s.Verifier)
			}
		})
	}
	type part struct{ name, value string }
	multipartOf := func(parts ...part) (contentType, body string) {
		var b strings.Builder
		m := multipart.NewWriter(&b)
		for _, p := range parts {
			require.NoError(t, m.WriteField(p.name, p.value))
		}
		require.NoError(t, m.Close())
		return m.FormDataContentType(), b.String()
	}
	for name, tt := range map[string]struct {
		query string
		parts []part
		want  error
	}{
		"FormData":               {"", []part{{"state", "S"}, {"code", "c"}}, nil},
		"FormData and query":     {"state=S", []part{{"code", "c"}}, nil},
		"largest FormData":       {"", []part{{"state", "S"}, {"code", "c"}, {"x", strings.Repeat("x", maxForm-800)}}, nil},
		"too large a FormData":   {"", []part{{"state", "S"}, {"code", "c"}, {"x", strings.Repeat("x", maxForm)}}, ErrState},
		"FormData, state twice":  {"", []part{{"state", "S"}, {"state", "S"}, {"code", "c"}}, ErrState},
		"FormData, state again":  {"state=S", []part{{"state", "S"}, {"code", "c"}}, ErrState},
		"FormData, code again":   {"state=S&code=c", []part{{"code", "d"}}, ErrStartAgain},
		"FormData without state": {"", []part{{"code", "c"}}, ErrState},
	} {
		t.Run(name, func(t *testing.T) {
			s, cookie := f.attempt(t, "k")
			for i := range tt.parts {
				tt.parts[i].value = strings.ReplaceAll(tt.parts[i].value, "S", s.State)
			}
			contentType, body := multipartOf(tt.parts...)
			assert.ErrorIs(t, send(strings.ReplaceAll(tt.query, "S", s.State), contentType, body, cookie), tt.want)
		})
	}
	t.Run("FormData that is cut off", func(t *testing.T) {
		s, cookie := f.attempt(t, "k")
		contentType, body := multipartOf(part{"state", s.State}, part{"code", "c"})
		assert.ErrorIs(t, send("", contentType, body[:len(body)-10], cookie), ErrState)
		assert.ErrorIs(t, send("", "multipart/form-data", body, cookie), ErrState)
	})
	t.Run("a file is no parameter", func(t *testing.T) {
		s, cookie := f.attempt(t, "k")
		var body strings.Builder
		m := multipart.NewWriter(&body)
		w, err := m.CreateFormFile("state", "state.txt")
		require.NoError(t, err)
		_, err = w.Write([]byte(s.State))
		require.NoError(t, err)
		require.NoError(t, m.Close())
		assert.ErrorIs(t, send("code=c", m.FormDataContentType(), body.String(), cookie), ErrState)
	})
	t.Run("the body of a GET is not read", func(t *testing.T) {
		s, cookie := f.attempt(t, "k")
		r := httptest.NewRequest("GET", "/callback?code=c", strings.NewReader("state="+s.State))
		r.Header.Set("Content-Type", form)
		r.AddCookie(cookie)
		_, _, err := f.call(t, r)
		assert.ErrorIs(t, err, ErrState)
	})
}

// Anyone can put a token of another's into a redirect (RFC 9700, section 4.6).
func TestATokenInACallbackIsNotTaken(t *testing.T) {
	f, c := newFlow(t)
	s, cookie := f.attempt(t, "k")
	_, tok, err := f.call(t, callback(url.Values{"state": {s.State}, "access_token": {"injected"}}, cookie))
	assert.ErrorIs(t, err, ErrStartAgain)
	assert.Nil(t, tok)
	assert.Empty(t, c.calls)

	s, cookie = f.attempt(t, "k")
	_, tok, err = f.call(t, callback(url.Values{"state": {s.State}, "code": {"c"}, "access_token": {"injected"}}, cookie))
	require.NoError(t, err)
	require.NotEmpty(t, tok.AccessToken)
	assert.False(t, tok.AccessToken == "injected", "the token of the callback was taken")
	assert.Len(t, c.calls, 1)
}

// Further parameters of the provider's reach done, and the caller's request is left
// alone.
func TestCallbackRequest(t *testing.T) {
	f, _ := newFlow(t)
	s, cookie := f.attempt(t, "k")
	r := callback(url.Values{"state": {s.State}, "code": {"c"}, "realmId": {"42"}}, cookie)
	body := r.Body
	f.Callback(func(_ http.ResponseWriter, got *http.Request, _ *Session, _ *oauth2.Token, err error) {
		assert.NoError(t, err)
		assert.Equal(t, "42", got.Form.Get("realmId"))
	}).ServeHTTP(httptest.NewRecorder(), r)
	assert.Nil(t, r.Form)
	assert.Equal(t, body, r.Body)
}
