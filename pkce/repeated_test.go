package pkce

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// slow is a client whose provider takes a minute.
type slow struct{ *stubConfig }

func (c slow) Exchange(ctx context.Context, code string, opts ...oauth2.AuthCodeOption) (*oauth2.Token, error) {
	time.Sleep(time.Minute)
	return c.stubConfig.Exchange(ctx, code, opts...)
}

// A double click: the second page is the one that the user sees. It is shown when
// the first was answered, so that the application knows what became of it.
func TestRepeatedCallbackWaitsForTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := newFlow(t)
		f.Config = slow{c}
		s, cookie := f.attempt(t, "acct-7")
		var mu sync.Mutex // guards the next two
		saved := false
		var order []string
		h := f.Callback(func(_ http.ResponseWriter, _ *http.Request, s *Session, tok *oauth2.Token, err error) {
			assert.Equal(t, "acct-7", s.Connection)
			if err == nil {
				time.Sleep(time.Second) // the store's time
				mu.Lock()
				defer mu.Unlock()
				saved = true
				order = append(order, "first")
				return
			}
			assert.ErrorIs(t, err, ErrAlreadyUsed)
			assert.Nil(t, tok)
			mu.Lock()
			defer mu.Unlock()
			assert.True(t, saved, "the page was shown before the token was saved")
			order = append(order, "again")
		})
		start := time.Now()
		for range 3 {
			go h.ServeHTTP(httptest.NewRecorder(), callback(url.Values{"state": {s.State}, "code": {"c"}}, cookie))
			synctest.Wait()
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		assert.Equal(t, []string{"first", "again", "again"}, order)
		assert.Len(t, c.calls, 1)
		assert.Less(t, time.Since(start), 3*time.Minute)
	})
}

// A page that waits for another doesn't do so for ever.
func TestRepeatedCallbackStopsWaiting(t *testing.T) {
	for name, tt := range map[string]struct {
		timeout, leaves, want time.Duration
	}{
		"at the timeout":          {10 * time.Second, time.Hour, 10 * time.Second},
		"when the browser leaves": {20 * time.Second, 5 * time.Second, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, _ := newFlow(t)
				f.ExchangeTimeout = tt.timeout
				s, cookie := f.attempt(t, "k")
				release := make(chan struct{})
				h := f.Callback(func(_ http.ResponseWriter, r *http.Request, _ *Session, _ *oauth2.Token, err error) {
					if err == nil {
						<-release
						return
					}
					assert.ErrorIs(t, err, ErrAlreadyUsed)
					assert.NoError(t, r.Context().Err())
				})
				query := url.Values{"state": {s.State}, "code": {"c"}}
				go h.ServeHTTP(httptest.NewRecorder(), callback(query, cookie))
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), tt.leaves)
				defer cancel()
				start := time.Now()
				h.ServeHTTP(httptest.NewRecorder(), callback(query, cookie).WithContext(ctx))
				assert.Equal(t, tt.want, time.Since(start))
				close(release)
			})
		})
	}
}

// What panics, in done or in the client, is net/http's to report, and leaves nobody
// waiting.
func TestPanicEndsTheAttempt(t *testing.T) {
	for name, inDone := range map[string]bool{"done": true, "Exchange": false} {
		t.Run(name, func(t *testing.T) {
			f, c := newFlow(t)
			if !inDone {
				f.Config = panicking{c}
			}
			s, cookie := f.attempt(t, "k")
			query := url.Values{"state": {s.State}, "code": {"c"}}
			calls := 0
			h := f.Callback(func(_ http.ResponseWriter, _ *http.Request, _ *Session, _ *oauth2.Token, err error) {
				if calls++; err == nil {
					panic("a mistake")
				}
				assert.ErrorIs(t, err, ErrAlreadyUsed)
			})
			assert.Panics(t, func() { h.ServeHTTP(httptest.NewRecorder(), callback(query, cookie)) })
			start := time.Now()
			h.ServeHTTP(httptest.NewRecorder(), callback(query, cookie))
			assert.Less(t, time.Since(start), time.Minute)
			if inDone {
				assert.Equal(t, 2, calls)
				assert.Len(t, c.calls, 1)
			}
		})
	}
}

type panicking struct{ *stubConfig }

func (panicking) Exchange(context.Context, string, ...oauth2.AuthCodeOption) (*oauth2.Token, error) {
	panic("a mistake")
}

// The browser has the answer of the first callback, and the second one reaches
// another process, or one that was started since.
func TestRepeatedCallbackAtAnotherProcess(t *testing.T) {
	f, c := newFlow(t)
	s, cookie := f.attempt(t, "acct-7")
	query := url.Values{"state": {s.State}, "code": {"c"}}
	w := httptest.NewRecorder()
	f.Callback(func(_ http.ResponseWriter, _ *http.Request, _ *Session, _ *oauth2.Token, err error) {
		assert.NoError(t, err)
	}).ServeHTTP(w, callback(query, cookie))
	marked := w.Result().Cookies()[0]
	other := &Flow{Config: c, Sealer: f.Sealer}
	for range 2 {
		got, token, err := other.call(t, callback(query, marked))
		assert.ErrorIs(t, err, ErrAlreadyUsed)
		assert.NotErrorIs(t, err, ErrState)
		assert.Equal(t, "acct-7", got.Connection)
		assert.Nil(t, token)
		checkError(t, err, s.State, s.Verifier)
	}
	assert.Len(t, c.calls, 1)
}

// The page that the user sees is told apart only in the browser that began: a URL
// alone says nothing about the connection, and a mark can't be put in front of
// something else.
func TestRepeatedCallbackOfAnotherBrowser(t *testing.T) {
	p := newProvider(t)
	a := newApp(t, p, true)
	b := a.browser()
	used := b.begin(a, "acct-7")
	require.Equal(t, "connected acct-7", b.open(used))
	a.browser().open(used)
	got, _ := a.last()
	assert.ErrorIs(t, got.err, ErrState)
	assert.NotErrorIs(t, got.err, ErrAlreadyUsed)
	assert.Nil(t, got.session)

	f, c := newFlow(t)
	s, cookie := f.attempt(t, "k")
	_, other := f.attempt(t, "another")
	for _, value := range []string{".", "." + other.Value, ".." + cookie.Value, cookie.Value + "."} {
		got, _, err := f.call(t, callback(url.Values{"state": {s.State}, "code": {"c"}}, &http.Cookie{Name: cookie.Name, Value: value}))
		assert.ErrorIs(t, err, ErrState, value)
		assert.Nil(t, got)
	}
	assert.Empty(t, c.calls)
}

// It expires as the attempt does.
func TestRepeatedCallbackExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := newFlow(t)
		s, cookie := f.attempt(t, "k")
		query := url.Values{"state": {s.State}, "code": {"c"}}
		time.Sleep(10 * time.Minute)
		w := httptest.NewRecorder()
		f.Callback(func(http.ResponseWriter, *http.Request, *Session, *oauth2.Token, error) {}).ServeHTTP(w, callback(query, cookie))
		marked := w.Result().Cookies()[0]
		assert.Equal(t, 1200, marked.MaxAge)
		time.Sleep(20 * time.Minute)
		got, _, err := f.call(t, callback(query, marked))
		assert.ErrorIs(t, err, ErrState)
		assert.ErrorContains(t, err, "expired")
		assert.Nil(t, got)
	})
}

// A Sealer that hangs is given up when the exchange would be.
func TestSealerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := newFlow(t)
		s, cookie := f.attempt(t, "k")
		f.Sealer = hangingSealer{}
		start := time.Now()
		_, _, err := f.call(t, callback(url.Values{"state": {s.State}, "code": {"c"}}, cookie))
		assert.Equal(t, 5*time.Minute, time.Since(start))
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorIs(t, err, ErrStartAgain)
		assert.Empty(t, c.calls)
	})
}

type hangingSealer struct{ brokenSealer }

func (hangingSealer) Open(ctx context.Context, _, _ []byte) ([]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// A RequestContext that returns a context of its own doesn't take the timeout away.
func TestExchangeTimeoutOfAnotherContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := newFlow(t)
		f.Config = waiting{c}
		f.RequestContext = func(context.Context) context.Context { return context.Background() }
		s, cookie := f.attempt(t, "k")
		start := time.Now()
		_, _, err := f.call(t, callback(url.Values{"state": {s.State}, "code": {"c"}}, cookie))
		assert.Equal(t, 5*time.Minute, time.Since(start))
		assert.ErrorIs(t, err, context.DeadlineExceeded)
	})
}
