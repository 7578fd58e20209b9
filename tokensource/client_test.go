package tokensource

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

func TestClientAuthenticatesACopyOfTheRequest(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		api := withAPI(m)
		r, err := http.NewRequest("POST", apiURL+"/me?x=1", strings.NewReader("body"))
		require.NoError(f, err)
		r.Header.Set("Authorization", "Bearer of the caller's own")
		r.Header["X-Odd"] = []string{"a", "b"}
		before := r.Clone(f.Context())
		resp, err := m.Client("k").Transport.RoundTrip(r)
		require.NoError(f, err)
		status, body := f.read(resp)
		assert.Equal(f, 200, status)
		assert.Equal(f, "ok", body)
		assert.Equal(f, []call{{"POST", apiURL + "/me?x=1", "Bearer access-1", "body"}}, api.calls())
		assert.Equal(f, before.Header, r.Header)
		assert.Equal(f, before.URL, r.URL)
	})
}

func TestClientSendsABearerWhateverTheTokensType(t *testing.T) {
	for tokenType, want := range map[string]string{"": "Bearer t", "bearer": "Bearer t", "BEARER": "Bearer t", "bot": "Bearer t", "mac": "Bearer t"} {
		onSwap(t, func(f *fixture) {
			m := f.process()
			api := withAPI(m)
			require.NoError(f, m.Save(f.Context(), "k", &oauth2.Token{AccessToken: "t", TokenType: tokenType}))
			f.get(m.Client("k"))
			assert.Equal(f, want, api.calls()[0].token)
		})
	}
}

func TestClientRefreshesEarlyInTheBackground(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		api := withAPI(m)
		client := m.Client("k")
		for range 70 {
			f.get(client)
			time.Sleep(time.Minute)
		}
		assert.Equal(f, 1, f.count())
		assert.Equal(f, "Bearer access-1", api.calls()[48].token)
		assert.Equal(f, "Bearer access-2", api.calls()[56].token)
		assert.Zero(f, api.unclosed())
	})
}

func TestRefusedTokenIsRefreshedAndTheRequestRepeatedOnce(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		api := withAPI(m)
		api.respond = refusing("access-2")
		resp, err := m.Client("k").Post(apiURL+"/things", "text/plain", strings.NewReader("the body"))
		require.NoError(f, err)
		status, body := f.read(resp)
		assert.Equal(f, 200, status)
		assert.Equal(f, "ok access-2", body)
		assert.Equal(f, []call{
			{"POST", apiURL + "/things", "Bearer access-1", "the body"},
			{"POST", apiURL + "/things", "Bearer access-2", "the body"},
		}, api.calls())
		assert.Equal(f, 1, f.count())
		assert.Zero(f, api.unclosed(), "that of the first response too")
		assert.Equal(f, "access-2", f.stored().AccessToken)

		f.get(m.Client("k"))
		assert.Len(f, api.calls(), 3)
	})
}

func TestRefusedRequestWhoseBodyCannotBeRepeatedIsHandedThrough(t *testing.T) {
	for name, getBody := range map[string]func() (io.ReadCloser, error){
		"no GetBody":    nil,
		"GetBody fails": func() (io.ReadCloser, error) { return nil, errors.New("the file is gone") },
		"GetBody is beside": func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("x")), errors.New("the file is gone")
		},
	} {
		t.Run(name, func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				m := f.connected()
				api := withAPI(m)
				api.respond = refusing("access-2")
				r, err := http.NewRequest("POST", apiURL+"/things", api.counted(strings.NewReader("the body")))
				require.NoError(f, err)
				r.GetBody = getBody
				resp, err := m.Client("k").Do(r)
				require.NoError(f, err)
				status, body := f.read(resp)
				assert.Equal(f, 401, status)
				assert.Equal(f, "refused Bearer access-1", body)
				assert.Len(f, api.calls(), 1)
				assert.Zero(f, f.count(), "until someone needs it")
				assert.Equal(f, StateExpiring, f.status(m).State)

				status, body = f.get(m.Client("k"))
				assert.Equal(f, 200, status)
				assert.Equal(f, "ok access-2", body, "the next request has a new token")
				assert.Equal(f, 1, f.count())
				assert.Zero(f, api.unclosed())
			})
		})
	}
}

func TestRequestsWithoutABodyAreRepeated(t *testing.T) {
	for name, body := range map[string]io.ReadCloser{"nil": nil, "http.NoBody": http.NoBody} {
		t.Run(name, func(t *testing.T) {
			onSwap(t, func(f *fixture) {
				m := f.connected()
				api := withAPI(m)
				api.respond = refusing("access-2")
				r, err := http.NewRequest("DELETE", apiURL+"/things", nil)
				require.NoError(f, err)
				r.Body = body
				resp, err := m.Client("k").Transport.RoundTrip(r)
				require.NoError(f, err)
				status, _ := f.read(resp)
				assert.Equal(f, 200, status)
				assert.Zero(f, api.unclosed())
			})
		})
	}
}

func TestStampedeOfRefusedRequestsMakesOneRefresh(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.latency = after(time.Second)
		m := f.connected()
		api := withAPI(m)
		api.respond = func(r *http.Request, token, body string) *http.Response {
			time.Sleep(100 * time.Millisecond)
			return refusing("access-2")(r, token, body)
		}
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				resp, err := m.Client("k").Get(apiURL)
				if assert.NoError(f, err) {
					status, _ := f.read(resp)
					assert.Equal(f, 200, status)
				}
			})
		}
		wg.Wait()
		assert.Equal(f, 1, f.count())
		assert.Len(f, api.calls(), 200)
		assert.Zero(f, api.unclosed())
	})
}

func TestAPIThatRefusesEveryTokenMakesNoLoop(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.latency = after(100 * time.Millisecond)
		m := f.connected()
		api := withAPI(m)
		api.respond = refusing()
		status, body := f.get(m.Client("k"))
		assert.Equal(f, 401, status)
		assert.Equal(f, "refused Bearer access-2", body)
		assert.Len(f, api.calls(), 2)
		for range 59 {
			time.Sleep(time.Second - lookPause)
			status, _ = f.get(m.Client("k")) // a new client each time, as a handler would
			assert.Equal(f, 401, status)
		}
		assert.Equal(f, 1, f.count(), "a new token wouldn't help")
		assert.Len(f, api.calls(), 2+59)
		time.Sleep(refusedFor)
		f.get(m.Client("k"))
		assert.Equal(f, 2, f.count(), "or would it, by now?")
		assert.Zero(f, api.unclosed())
	})
}

// TestTokenOfAnotherProcessIsBetterThanAUselessOne: a new token that is refused isn't
// refreshed, but what another process got meanwhile is tried.
func TestTokenOfAnotherProcessIsBetterThanAUselessOne(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.latency = after(100 * time.Millisecond)
		m := f.connected()
		other := f.process()
		api := withAPI(m)
		api.respond = refusing("access-3")
		status, _ := f.get(m.Client("k"))
		assert.Equal(f, 401, status, "with access-1, and with access-2, which it was issued")
		time.Sleep(time.Second)
		status, _ = f.get(m.Client("k"))
		assert.Equal(f, 401, status)
		assert.Equal(f, 1, f.count())

		require.Equal(f, "access-2", f.access(other))
		s := other.Source("k")
		s.reject(s.known())
		require.Equal(f, "access-3", f.access(other))
		time.Sleep(time.Second)
		status, body := f.get(m.Client("k"))
		assert.Equal(f, 200, status)
		assert.Equal(f, "ok access-3", body)
		assert.Equal(f, 2, f.count(), "nothing was refreshed for it")
		assert.Zero(f, api.unclosed())
	})
}

// TestTokenThatTheNextOneEndsIsReplaced has a provider that ends the access token at the
// moment it issues the next, to a process that hasn't saved it yet.
func TestTokenThatTheNextOneEndsIsReplaced(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.latency = after(time.Second)
		m := f.connected()
		other := f.process()
		api := withAPI(m)
		for _, next := range []string{"access-2", "access-3", "access-4"} {
			f.access(other)
			refreshed := other.Source("k").keepAlive(f.Context(), other.Source("k").known(), f.stored(), time.Now()).done
			time.Sleep(100 * time.Millisecond)
			api.respond = refusing(next)
			status, body := f.get(m.Client("k"))
			assert.Equal(f, 200, status)
			assert.Equal(f, "ok "+next, body)
			<-refreshed
		}
		assert.Equal(f, 3, f.count(), "nothing was refreshed for it")
	})
}

// What another process refreshed before may have been revoked together with the token
// that was refused.
func TestRefusalOfATokenThatWasAdoptedIsNoReasonNotToRefreshIt(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.latency = after(100 * time.Millisecond)
		m := f.connected()
		other := f.process()
		f.access(other)
		api := withAPI(other)
		api.respond = refusing("access-3")
		s := m.Source("k")
		s.reject(s.known())
		require.Equal(f, "access-2", f.access(m))
		time.Sleep(time.Second)
		status, _ := f.get(other.Client("k"))
		assert.Equal(f, 401, status, "with access-1, and with access-2, which it adopted")
		assert.Equal(f, 1, f.count())
		status, body := f.get(other.Client("k"))
		assert.Equal(f, 200, status)
		assert.Equal(f, "ok access-3", body)
		assert.Equal(f, 2, f.count())
	})
}

func TestRefusalOfATokenThatWasReplacedMeanwhileLeavesTheNewOneAlone(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		api := withAPI(m)
		api.respond = func(r *http.Request, token, body string) *http.Response {
			if r.URL.Path == "/v1/slow" && token == "Bearer access-1" {
				time.Sleep(10 * time.Second)
			}
			return refusing("access-2")(r, token, body)
		}
		slow := make(chan int)
		go func() {
			resp, err := m.Client("k").Get(apiURL + "/slow")
			if assert.NoError(f, err) {
				status, _ := f.read(resp)
				slow <- status
			}
		}()
		time.Sleep(time.Second)
		status, _ := f.get(m.Client("k"))
		assert.Equal(f, 200, status)
		assert.Equal(f, 200, <-slow, "repeated with the token that is there")
		assert.Equal(f, 1, f.count())
		assert.Equal(f, "access-2", f.access(m))
		assert.Equal(f, StateHealthy, f.status(m).State)
	})
}

func TestRefusedResponseIsHandedThroughIfTheRefreshFails(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		api := withAPI(m)
		api.respond = refusing("access-2")
		f.fault = func() error { return answer(503, "") }
		r, err := http.NewRequest("POST", apiURL, nil)
		require.NoError(f, err)
		r.Body = api.counted(strings.NewReader("the body"))
		r.GetBody = func() (io.ReadCloser, error) { return api.counted(strings.NewReader("the body")), nil }
		resp, err := m.Client("k").Do(r)
		require.NoError(f, err)
		status, body := f.read(resp)
		assert.Equal(f, 401, status)
		assert.Equal(f, "refused Bearer access-1", body)
		assert.Zero(f, api.unclosed(), "also the body that was for the repetition")

		_, err = m.Client("k").Get(apiURL)
		assert.ErrorContains(f, err, "the provider is unavailable", "it isn't sent with a token that is known to be bad")
		assert.Len(f, api.calls(), 1)
		f.fault = nil
		time.Sleep(5 * time.Second)
		status, _ = f.get(m.Client("k"))
		assert.Equal(f, 200, status)
	})
}

func TestRefusedResponseIsHandedThroughWhenTheCallerCannotWait(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.latency = after(10 * time.Second)
		m := f.connected()
		api := withAPI(m)
		api.respond = refusing("access-2")
		ctx, cancel := context.WithTimeout(f.Context(), time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, "GET", apiURL, nil)
		require.NoError(f, err)
		resp, err := m.Client("k").Do(r)
		require.NoError(f, err)
		status, _ := f.read(resp)
		assert.Equal(f, 401, status)
		require.NoError(f, m.Flush(f.Context()))
		assert.Equal(f, "access-2", f.stored().AccessToken)
	})
}

func TestErrorOfTheRepeatedRequestIsReturned(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		api := withAPI(m)
		api.respond = func(_ *http.Request, token, _ string) *http.Response {
			if token == "Bearer access-1" {
				return reply(401, "")
			}
			return nil
		}
		_, err := m.Client("k").Post(apiURL, "text/plain", bytes.NewReader([]byte("x")))
		assert.ErrorContains(f, err, "the connection to the API was cut")
		assert.Zero(f, api.unclosed())
		assert.Len(f, api.calls(), 2)
	})
}

func TestErrorOfTheTransportIsReturned(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		api := withAPI(m)
		api.respond = func(*http.Request, string, string) *http.Response { return nil }
		_, err := m.Client("k").Get(apiURL)
		assert.ErrorContains(f, err, "the connection to the API was cut")
		assert.Len(f, api.calls(), 1)
	})
}

func TestRequestBodyIsClosedIfTheRequestIsNotSent(t *testing.T) {
	onSwap(t, func(f *fixture) {
		for name, test := range map[string]struct {
			url  string
			m    *Manager
			want string
		}{
			"no connection": {apiURL, f.process(), "there is no connection of that name"},
			"other origin":  {"https://evil.example.com", f.connected(), "is not sent to https://evil.example.com"},
			"no host":       {"/v1/me?access_token=secret", f.connected(), `"/v1/me" is not an absolute URL, such as https://`},
			"no API":        {apiURL, &Manager{Config: f.fakeProvider, Store: f.store}, "set Manager.APIURL"},
			"no Config":     {apiURL, &Manager{Store: f.store}, "Manager.Config is not set"},
		} {
			key := "k"
			if name == "no connection" {
				key = "unknown"
			}
			api := new(fakeAPI)
			test.m.Base = api
			if test.want != "set Manager.APIURL" {
				test.m.APIURLs = []string{apiURL}
			}
			resp, err := test.m.Client(key).Post(test.url, "text/plain", api.counted(strings.NewReader("body")))
			assert.Nil(f, resp)
			assert.ErrorContains(f, err, test.want, name)
			assert.Zero(f, api.unclosed(), name)
			assert.Empty(f, api.calls(), name)
		}
	})
}

func TestClientWithoutABaseUsesTheDefaultTransport(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Header.Get("Authorization"))
	}))
	defer server.Close()
	p := new(fakeProvider)
	m := &Manager{Config: p, Store: newMemory(), APIURLs: []string{server.URL}}
	require.NoError(t, m.Save(t.Context(), "k", p.login()))
	resp, err := m.Client("k").Get(server.URL + "/path")
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "Bearer access-1", string(body))
}
