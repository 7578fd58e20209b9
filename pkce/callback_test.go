package pkce

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
)

func newFlow(t *testing.T) (*Flow, *stubConfig) {
	c := newStub()
	return &Flow{Config: c, Sealer: newSealer(t)}, c
}

func TestCallbackNilDone(t *testing.T) {
	assert.Panics(t, func() { new(Flow).Callback(nil) })
}

func TestCallbackMethods(t *testing.T) {
	f, c := newFlow(t)
	s, cookie := f.attempt(t, "k")
	called := 0
	h := f.Callback(func(_ http.ResponseWriter, _ *http.Request, _ *Session, _ *oauth2.Token, err error) {
		called++
		assert.NoError(t, err)
	})
	r := callback(url.Values{"state": {s.State}, "code": {"c"}}, cookie)
	for _, method := range []string{"HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} {
		r.Method = method
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		assert.Equal(t, http.StatusMethodNotAllowed, w.Code, method)
		assert.Equal(t, "GET, POST", w.Header().Get("Allow"), method)
		assert.Empty(t, w.Result().Cookies(), method)
	}
	assert.Zero(t, called)
	assert.Empty(t, c.calls)

	r.Method = "GET" // nothing was spent
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	assert.Equal(t, 1, called)
	assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	assert.Equal(t, "no-referrer", w.Header().Get("Referrer-Policy"))
	require.Len(t, w.Result().Cookies(), 1)
	marked := w.Result().Cookies()[0]
	assert.Equal(t, cookie.Name, marked.Name)
	assert.Equal(t, "."+cookie.Value, marked.Value)
	assert.Equal(t, 1800, marked.MaxAge)
}

// What a callback may get wrong, with a cookie that is right.
func TestCallbackState(t *testing.T) {
	for name, tt := range map[string]struct {
		query string // after the state was put in for S
		want  error
		text  string
	}{
		"good":              {"state=S&code=c", nil, ""},
		"more parameters":   {"state=S&code=c&realmId=1&realmId=2", nil, ""},
		"malformed others":  {"state=S&code=c&x=%zz&a;b", nil, ""},
		"no state":          {"code=c", ErrState, "has no state"},
		"empty state":       {"state=&code=c", ErrState, "has no state"},
		"repeated state":    {"state=S&state=S&code=c", ErrState, "more than one state"},
		"two states":        {"state=S&state=T&code=c", ErrState, "more than one state"},
		"an empty one, too": {"state=S&code=c&state=", ErrState, "more than one state"},
		"unknown state":     {"state=T&code=c", ErrState, "has no attempt with the callback's state"},
		"malformed state":   {"state=S%zz&code=c", ErrState, "has no state"},
		"denial, no state":  {"error=access_denied", ErrState, "has no state"},
		"repeated code":     {"state=S&code=c&code=d", ErrStartAgain, "repeats the parameter code"},
		"nothing":           {"state=S", ErrStartAgain, "neither a code nor an error"},
		"denial":            {"state=S&error=access_denied", ErrDenied, "access_denied"},
		"misconfigured":     {"state=S&error=invalid_scope", ErrMisconfigured, "invalid_scope"},
	} {
		t.Run(name, func(t *testing.T) {
			f, c := newFlow(t)
			s, cookie := f.attempt(t, "acct-7")
			r := callback(nil, cookie)
			r.URL.RawQuery = strings.ReplaceAll(tt.query, "S", s.State)
			got, token, err := f.call(t, r)
			if tt.want == nil {
				require.NoError(t, err)
				assert.Equal(t, accessToken, token.AccessToken)
				assert.Len(t, c.calls, 1)
				return
			}
			assert.ErrorIs(t, err, tt.want)
			assert.ErrorContains(t, err, tt.text)
			checkError(t, err, s.State, s.Verifier)
			assert.Nil(t, token)
			assert.Empty(t, c.calls)
			if tt.want == ErrState {
				assert.Nil(t, got)
			} else {
				assert.NotErrorIs(t, err, ErrState)
				assert.Equal(t, "acct-7", got.Connection)
			}
		})
	}
}

// The state in the cookie is what counts, not that the cookie's name fits.
func TestLesson18StateComparedWithCookie(t *testing.T) {
	f, c := newFlow(t)
	b, err := f.bind(httptest.NewRequest("GET", "/callback", nil))
	require.NoError(t, err)
	sealed := func(state string) *http.Cookie {
		name := b.cookieName("state-of-the-callback")
		plain := fmt.Sprintf(`{"s":%q,"e":%d}`, state, time.Now().Add(time.Hour).UnixMilli())
		value, err := f.Sealer.Seal(t.Context(), []byte(plain), b.associatedData(name))
		require.NoError(t, err)
		return &http.Cookie{Name: name, Value: base64.RawURLEncoding.EncodeToString(value)}
	}
	query := url.Values{"state": {"state-of-the-callback"}, "code": {"c"}}
	for _, state := range []string{"", "another", "state-of-the-callbac", "state-of-the-callback2"} {
		_, _, err := f.call(t, callback(query, sealed(state)))
		assert.ErrorIs(t, err, ErrState, state)
	}
	assert.Empty(t, c.calls)
	_, _, err = f.call(t, callback(query, sealed("state-of-the-callback")))
	assert.NoError(t, err)
}

func TestCallbackExpired(t *testing.T) {
	for _, maxAge := range []time.Duration{0, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			f, c := newFlow(t)
			f.MaxAge = maxAge
			lives := f.maxAge()
			early, earlyCookie := f.attempt(t, "early")
			late, lateCookie := f.attempt(t, "late")
			assert.Equal(t, int(lives/time.Second), lateCookie.MaxAge)

			time.Sleep(lives - time.Millisecond)
			_, _, err := f.call(t, callback(url.Values{"state": {early.State}, "code": {"c"}}, earlyCookie))
			assert.NoError(t, err)
			time.Sleep(time.Millisecond)
			s, _, err := f.call(t, callback(url.Values{"state": {late.State}, "code": {"c"}}, lateCookie))
			assert.ErrorIs(t, err, ErrState)
			assert.ErrorContains(t, err, "expired")
			assert.Nil(t, s)
			checkError(t, err, late.State, late.Verifier)
			assert.Len(t, c.calls, 1)
		})
	}
}

// A browser that kept the cookie, at the same time and afterwards.
func TestReplay(t *testing.T) {
	f, c := newFlow(t)
	s, cookie := f.attempt(t, "k")
	query := url.Values{"state": {s.State}, "code": {"c"}}
	var passed, repeated atomic.Int32
	var wg sync.WaitGroup
	h := f.Callback(func(_ http.ResponseWriter, _ *http.Request, s *Session, _ *oauth2.Token, err error) {
		assert.Equal(t, "k", s.Connection)
		if err == nil {
			passed.Add(1)
			return
		}
		assert.ErrorIs(t, err, ErrAlreadyUsed)
		repeated.Add(1)
	})
	start := make(chan struct{})
	for range 20 {
		wg.Go(func() {
			<-start
			h.ServeHTTP(httptest.NewRecorder(), callback(query, cookie))
		})
	}
	close(start)
	wg.Wait()
	assert.EqualValues(t, 1, passed.Load())
	assert.EqualValues(t, 19, repeated.Load())
	assert.Len(t, c.calls, 1)

	got, token, err := f.call(t, callback(query, cookie))
	assert.ErrorIs(t, err, ErrAlreadyUsed)
	assert.NotErrorIs(t, err, ErrState)
	assert.Equal(t, "k", got.Connection)
	assert.Nil(t, token)
	checkError(t, err, s.State, s.Verifier)
}

// An error of the provider's ends the attempt as well.
func TestReplayAfterError(t *testing.T) {
	for _, first := range []url.Values{{"error": {"access_denied"}}, {}, {"code": {"c", "d"}}} {
		f, c := newFlow(t)
		s, cookie := f.attempt(t, "k")
		first.Set("state", s.State)
		_, _, err := f.call(t, callback(first, cookie))
		assert.NotErrorIs(t, err, ErrState)
		checkError(t, err)
		_, _, err = f.call(t, callback(url.Values{"state": {s.State}, "code": {"c"}}, cookie))
		assert.ErrorIs(t, err, ErrAlreadyUsed)
		assert.Empty(t, c.calls)
	}
}

func TestTamperedCookie(t *testing.T) {
	f, c := newFlow(t)
	s, cookie := f.attempt(t, "k")
	query := url.Values{"state": {s.State}, "code": {"c"}}
	for i := range cookie.Value {
		changed := *cookie
		other := byte('A')
		if cookie.Value[i] == other {
			other = 'B'
		}
		changed.Value = cookie.Value[:i] + string(other) + cookie.Value[i+1:]
		_, _, err := f.call(t, callback(query, &changed))
		require.ErrorIs(t, err, ErrState, "byte %d", i)
		if !testing.Short() || i%16 == 0 {
			checkError(t, err, s.State, s.Verifier)
		}
	}
	sealed, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	require.NoError(t, err)
	for i := range sealed {
		for bit := range 8 {
			if testing.Short() && bit != i%8 {
				continue
			}
			flipped := bytes.Clone(sealed)
			flipped[i] ^= 1 << bit
			_, _, err := f.call(t, callback(query, &http.Cookie{Name: cookie.Name, Value: base64.RawURLEncoding.EncodeToString(flipped)}))
			require.ErrorIs(t, err, ErrState, "byte %d", i)
		}
	}
	for n := range len(cookie.Value) {
		_, _, err := f.call(t, callback(query, &http.Cookie{Name: cookie.Name, Value: cookie.Value[:n]}))
		require.ErrorIs(t, err, ErrState, "cut to %d", n)
	}
	_, otherCookie := f.attempt(t, "other")
	for name, value := range map[string]string{
		"another attempt's": otherCookie.Value,
		"padded":            cookie.Value + "=",
		"longer":            cookie.Value + "AAAA",
		"not base64":        "!!!!",
	} {
		_, _, err := f.call(t, callback(query, &http.Cookie{Name: cookie.Name, Value: value}))
		require.ErrorIs(t, err, ErrState, name)
	}
	assert.Empty(t, c.calls)

	foreign := &Flow{Config: c, Sealer: newSealer(t)}
	_, _, err = foreign.call(t, callback(query, cookie))
	assert.ErrorIs(t, err, ErrState, "another key")
	assert.ErrorContains(t, err, "a key that this process doesn't have", "two replicas with different keys")
	assert.ErrorIs(t, err, storage.ErrOpen)

	_, _, err = f.call(t, callback(query, cookie))
	assert.NoError(t, err)
}

func TestUnreadableCookie(t *testing.T) {
	f, c := newFlow(t)
	b, err := f.bind(httptest.NewRequest("GET", "/callback", nil))
	require.NoError(t, err)
	name := b.cookieName("st")
	for _, plain := range []string{"", "null", "{", `{"s":1}`, `[]`} {
		value, err := f.Sealer.Seal(t.Context(), []byte(plain), b.associatedData(name))
		require.NoError(t, err)
		_, _, err = f.call(t, callback(url.Values{"state": {"st"}, "code": {"c"}}, &http.Cookie{Name: name, Value: base64.RawURLEncoding.EncodeToString(value)}))
		assert.ErrorIs(t, err, ErrState, plain)
	}
	assert.Empty(t, c.calls)
}

// While the keys can't be reached, nothing is known about the attempt, and a
// reload may still succeed.
func TestSealerTrouble(t *testing.T) {
	f, _ := newFlow(t)
	s, cookie := f.attempt(t, "k")
	keys := f.Sealer
	query := url.Values{"state": {s.State}, "code": {"c"}}
	f.Sealer = brokenSealer{}
	w := httptest.NewRecorder()
	f.Callback(func(_ http.ResponseWriter, _ *http.Request, got *Session, _ *oauth2.Token, err error) {
		assert.Nil(t, got)
		assert.ErrorIs(t, err, errUnreachable)
		assert.ErrorIs(t, err, ErrStartAgain)
		assert.NotErrorIs(t, err, ErrState)
		checkError(t, err, s.State, s.Verifier)
	}).ServeHTTP(w, callback(query, cookie))
	assert.Empty(t, w.Result().Cookies(), "the cookie was deleted")

	f.Sealer = keys
	_, _, err := f.call(t, callback(query, cookie))
	assert.NoError(t, err)
}

// The user closes the tab while the provider takes its time: the token arrives all
// the same, and done can save it.
func TestLesson6ClientDisconnects(t *testing.T) {
	p := newProvider(t)
	asked, answer := make(chan struct{}), make(chan struct{})
	p.token = func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		select {
		case <-answer:
			writeToken(w)
		case <-r.Context().Done():
			t.Error("the exchange was canceled")
		}
	}
	f := &Flow{Sealer: newSealer(t)}
	finished := make(chan outcome, 1)
	left := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /connect", func(w http.ResponseWriter, r *http.Request) {
		s, err := f.Begin(w, r, "k")
		if assert.NoError(t, err) {
			http.Redirect(w, r, s.URL, http.StatusFound)
		}
	})
	type userKey struct{}
	callback := f.Callback(func(_ http.ResponseWriter, r *http.Request, s *Session, tok *oauth2.Token, err error) {
		assert.Equal(t, "the user", r.Context().Value(userKey{}))
		assert.NoError(t, r.Context().Err())
		finished <- outcome{s, tok, err, r}
	})
	mux.HandleFunc("/callback", func(w http.ResponseWriter, r *http.Request) {
		context.AfterFunc(r.Context(), func() { close(left) })
		callback.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, "the user")))
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	f.Config = p.config(server.URL + "/callback")

	b := (&app{Server: server, t: t}).browser()
	u := b.begin(&app{Server: server}, "")
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", u, nil)
	require.NoError(t, err)
	go func() {
		<-asked
		cancel()
		<-left // the application's server has noticed
		close(answer)
	}()
	_, err = b.Do(r)
	assert.ErrorIs(t, err, context.Canceled)
	got := <-finished
	require.NoError(t, got.err)
	assert.Equal(t, accessToken, got.token.AccessToken)
	assert.Equal(t, "k", got.session.Connection)
}

// waiting is a Config whose provider never answers.
type waiting struct{ *stubConfig }

func (waiting) Exchange(ctx context.Context, _ string, _ ...oauth2.AuthCodeOption) (*oauth2.Token, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestExchangeTimeout(t *testing.T) {
	for timeout, want := range map[time.Duration]time.Duration{0: 5 * time.Minute, -1: 5 * time.Minute, time.Second: time.Second} {
		synctest.Test(t, func(t *testing.T) {
			f, c := newFlow(t)
			f.Config, f.ExchangeTimeout = waiting{c}, timeout
			s, cookie := f.attempt(t, "k")
			start := time.Now()
			got, _, err := f.call(t, callback(url.Values{"state": {s.State}, "code": {"c"}}, cookie))
			assert.Equal(t, want, time.Since(start))
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			assert.ErrorIs(t, err, ErrStartAgain)
			checkError(t, err, s.State, s.Verifier)
			assert.Equal(t, "k", got.Connection)
		})
	}
}

// Two Flows with the same configuration and keys are two processes of one
// application.
func TestAnotherProcess(t *testing.T) {
	f, c := newFlow(t)
	other := &Flow{Config: c, Sealer: f.Sealer}
	s, cookie := f.attempt(t, "acct-7")
	got, token, err := other.call(t, callback(url.Values{"state": {s.State}, "code": {"c"}}, cookie))
	require.NoError(t, err)
	assert.Equal(t, "acct-7", got.Connection)
	assert.Equal(t, accessToken, token.AccessToken)
	assert.Equal(t, s.Verifier, c.calls[0].Get("code_verifier"))
}
