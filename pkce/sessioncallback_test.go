package pkce

import (
	"context"
	"errors"
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
)

func TestSessionCallbackNilDone(t *testing.T) {
	assert.Panics(t, func() { begun("k").Callback(t.Context(), newStub(), nil) })
}

// Nothing but a callback with the attempt's state ends it, and that does once, whatever
// the provider says.
func TestSessionCallback(t *testing.T) {
	for name, tt := range map[string]struct {
		query url.Values
		want  error
	}{
		"a token":            {url.Values{"code": {"c"}}, nil},
		"the user says no":   {url.Values{"error": {"access_denied"}}, ErrDenied},
		"a repeated code":    {url.Values{"code": {"c", "d"}}, ErrStartAgain},
		"neither":            {url.Values{}, ErrStartAgain},
		"an issuer":          {url.Values{"code": {"c"}, "iss": {"https://provider.example"}}, nil},
		"the wrong issuer":   {url.Values{"code": {"c"}, "iss": {"https://evil.example"}}, ErrMisconfigured},
		"the client's fault": {url.Values{"error": {"unauthorized_client"}}, ErrMisconfigured},
	} {
		t.Run(name, func(t *testing.T) {
			c, s := newStub(), begun("k")
			if tt.query.Has("iss") {
				s.Issuer = "https://provider.example"
			}
			var got []outcome
			h := s.Callback(t.Context(), c, func(_ http.ResponseWriter, r *http.Request, s *Session, tok *oauth2.Token, err error) {
				got = append(got, outcome{s, tok, err, r})
			}, oauth2.SetAuthURLParam("audience", "a"))
			send := func(method, state string, header ...string) *http.Response {
				query := url.Values{"state": {state}}
				for name, values := range tt.query {
					query[name] = values
				}
				r := httptest.NewRequest(method, "/callback?"+query.Encode(), http.NoBody)
				for _, name := range header {
					r.Header.Set(name, "prefetch")
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				return w.Result()
			}
			assert.Equal(t, http.StatusMethodNotAllowed, send("HEAD", s.State).StatusCode)
			assert.Equal(t, http.StatusServiceUnavailable, send("GET", s.State, "Sec-Purpose").StatusCode)
			assert.Empty(t, got)
			for _, state := range []string{"", "guessed", strings.ToUpper(s.State)} {
				send("GET", state)
				assert.Nil(t, got[0].session)
				assert.ErrorIs(t, got[0].err, ErrState)
				checkError(t, got[0].err, s.State, s.Verifier)
				got = nil
			}

			resp := send("GET", s.State)
			assert.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
			assert.Empty(t, resp.Cookies())
			assert.Same(t, s, got[0].session)
			assert.ErrorIs(t, got[0].err, tt.want)
			if tt.want == nil {
				assert.Equal(t, accessToken, got[0].token.AccessToken)
				assert.Equal(t, []url.Values{{"audience": {"a"}, "client_id": {""}, "code": {"c"}, "code_verifier": {s.Verifier}, "response_type": {"code"}}}, c.calls)
			} else {
				checkError(t, got[0].err, s.State, s.Verifier)
				assert.Empty(t, c.calls)
			}
			calls := len(c.calls)
			send("POST", s.State)
			assert.Same(t, s, got[1].session)
			assert.ErrorIs(t, got[1].err, ErrAlreadyUsed)
			assert.Len(t, c.calls, calls)
		})
	}
}

// An attempt that nobody was sent to the consent page for isn't finished by anyone.
func TestSessionThatHasntBegun(t *testing.T) {
	c, copied := newStub(), *begun("k")
	copied.State = ""
	for _, s := range []*Session{nil, {}, {Expiry: time.Now().Add(time.Hour)}, &copied} {
		for _, query := range []url.Values{{"code": {"c"}}, {"code": {"c"}, "state": {""}}, {"code": {"c"}, "state": {"x"}}, {"code": {"c"}, "state": {"", ""}}} {
			_, err := s.Exchange(t.Context(), c, query)
			assert.ErrorIs(t, err, ErrState)
			called := 0
			s.Callback(t.Context(), c, func(_ http.ResponseWriter, _ *http.Request, got *Session, token *oauth2.Token, err error) {
				called++
				assert.Nil(t, got)
				assert.Nil(t, token)
				assert.ErrorIs(t, err, ErrState)
			}).ServeHTTP(httptest.NewRecorder(), callback(query))
			assert.Equal(t, 1, called)
			if s != nil {
				s.State = "" // which Callback has filled in
			}
		}
	}
	assert.Empty(t, c.calls)
}

// A server has to have its handler before the redirect URL, and so the consent page's, can
// be made. What a stranger sends to it meanwhile changes nothing.
func TestSessionCallbackBeforeAuthorize(t *testing.T) {
	c, s := newShops(), new(Session)
	var tokens atomic.Int32
	h := s.Callback(t.Context(), c, func(_ http.ResponseWriter, _ *http.Request, _ *Session, _ *oauth2.Token, err error) {
		if err == nil {
			tokens.Add(1)
		} else {
			assert.ErrorIs(t, err, ErrState)
		}
	})
	var stranger sync.WaitGroup
	stranger.Go(func() { h.ServeHTTP(httptest.NewRecorder(), callback(url.Values{"st": {"guessed"}, "c": {"c"}})) })
	_, err := s.Authorize(t.Context(), c, shop("tea.shops.example")) // at the same time, for the race detector
	require.NoError(t, err)
	stranger.Wait()
	assert.Zero(t, tokens.Load())
	h.ServeHTTP(httptest.NewRecorder(), callback(url.Values{"st": {s.State}, "c": {"c"}}))
	assert.EqualValues(t, 1, tokens.Load())
	assert.Equal(t, "tea.shops.example", c.calls[0].Get("shop"))
}

func TestSessionCallbackExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newStub(), &Session{Expiry: time.Now().Add(time.Minute)}
		var got error
		h := s.Callback(t.Context(), c, func(_ http.ResponseWriter, _ *http.Request, _ *Session, _ *oauth2.Token, err error) { got = err })
		time.Sleep(time.Minute)
		h.ServeHTTP(httptest.NewRecorder(), callback(url.Values{"state": {s.State}, "code": {"c"}}))
		assert.ErrorIs(t, got, ErrState)
		assert.Empty(t, c.calls)
	})
}

func TestSessionCallbackAtOnce(t *testing.T) {
	c, s := newStub(), begun("k")
	var passed, repeated atomic.Int32
	h := s.Callback(t.Context(), c, func(_ http.ResponseWriter, _ *http.Request, _ *Session, _ *oauth2.Token, err error) {
		if err == nil {
			passed.Add(1)
		} else if errors.Is(err, ErrAlreadyUsed) && passed.Load() == 1 { // it has waited
			repeated.Add(1)
		}
	})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			h.ServeHTTP(httptest.NewRecorder(), callback(url.Values{"state": {s.State}, "code": {"c"}}))
		})
	}
	wg.Wait()
	assert.EqualValues(t, 1, passed.Load())
	assert.EqualValues(t, 19, repeated.Load())
	assert.Len(t, c.calls, 1)
}

// The exchange ends with the context of the program, or after five minutes, and not with
// the browser's request.
func TestSessionCallbackContext(t *testing.T) {
	for name, tt := range map[string]struct {
		program, want time.Duration
	}{"the program ends": {time.Second, time.Second}, "nothing ends": {time.Hour, 5 * time.Minute}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := begun("k")
				ctx, cancel := context.WithTimeout(t.Context(), tt.program)
				defer cancel()
				var got error
				h := s.Callback(ctx, waiting{newStub()}, func(_ http.ResponseWriter, _ *http.Request, _ *Session, _ *oauth2.Token, err error) { got = err })
				left, leave := context.WithCancel(t.Context())
				leave()
				begun := time.Now()
				h.ServeHTTP(httptest.NewRecorder(), callback(url.Values{"state": {s.State}, "code": {"c"}}).WithContext(left))
				assert.Equal(t, tt.want, time.Since(begun))
				assert.ErrorIs(t, got, context.DeadlineExceeded)
				checkError(t, got, s.State, s.Verifier)
			})
		})
	}
}
