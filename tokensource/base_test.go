package tokensource

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// atServer returns a Manager with a login whose API is a real server.
func atServer(t *testing.T, h http.HandlerFunc) (m *Manager, p *fakeProvider, api *httptest.Server) {
	api = httptest.NewServer(h)
	t.Cleanup(api.Close)
	p = new(fakeProvider)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	m = &Manager{Config: p, Store: newMemory(), APIURLs: []string{api.URL}, Base: transport}
	require.NoError(t, m.Save(t.Context(), "k", p.login()))
	return m, p, api
}

func TestRefusalWhoseBodyDoesNotEndHoldsNobodyUp(t *testing.T) {
	t.Parallel() // beside TestProcesses, which waits
	for name, write := range map[string]func(w http.ResponseWriter, r *http.Request){
		"endless": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		},
		"slow": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, "x")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(20 * time.Millisecond)
			}
		},
		"silent": func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	} {
		if testing.Short() && name != "silent" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			m, p, api := atServer(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") == "Bearer access-2" {
					_, _ = io.WriteString(w, "ok")
					return
				}
				w.WriteHeader(http.StatusUnauthorized)
				write(w, r)
			})
			begun := time.Now()
			resp, err := m.Client("k").Get(api.URL)
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			require.NoError(t, err)
			assert.Equal(t, "ok", string(body))
			assert.Less(t, time.Since(begun), 5*time.Second)
			assert.Equal(t, 1, p.count())
			require.NoError(t, m.Flush(t.Context()))
		})
	}
}

func TestConcurrentRefusalsOnARealConnectionMakeOneRefreshAndLeaveNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	var refused atomic.Int32
	m, p, api := atServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("Authorization") != "Bearer access-2" {
			refused.Add(1)
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write(body)
	})
	client := m.Client("k")
	callers := 64
	if testing.Short() {
		callers = 16
	}
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			want := fmt.Sprint("body ", i)
			resp, err := client.Post(api.URL, "text/plain", strings.NewReader(want))
			if !assert.NoError(t, err) {
				return
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			assert.NoError(t, err)
			assert.Equal(t, want, string(got))
			assert.NotContains(t, fmt.Sprint(resp.Request.Header), "access-")
		})
	}
	wg.Wait()
	assert.Equal(t, 1, p.count())
	assert.Positive(t, refused.Load())
	client.CloseIdleConnections()
	api.Close()
	require.NoError(t, m.Flush(t.Context()))
	assert.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+2 }, 5*time.Second, 10*time.Millisecond)
}

// hostileBase does to a request what a RoundTripper mustn't.
func hostileBase(respond func() (*http.Response, error)) roundTripper {
	return func(r *http.Request) (*http.Response, error) {
		r.Header.Set("X-Set", "changed")
		r.Header.Add("X-Add", "changed")
		r.Header.Del("X-Del")
		r.Header["X-Append"] = append(r.Header["X-Append"], "changed")
		r.Header.Set("Authorization", "changed")
		r.Header.Add("Authorization", "changed")
		r.Method, r.Host = "DELETE", "changed.example"
		if r.Body != nil {
			r.Body.Close()
		}
		return respond()
	}
}

func TestBaseThatChangesItsRequestDoesNotChangeTheCallers(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		m.APIURLs = []string{apiURL}
		m.Base = hostileBase(func() (*http.Response, error) { return reply(401, ""), nil })
		r, err := http.NewRequest("POST", apiURL, strings.NewReader("body"))
		require.NoError(f, err)
		room := make([]string, 1, 10)
		room[0] = "mine"
		r.Header = http.Header{"X-Set": {"mine"}, "X-Add": room, "X-Del": {"mine"}, "X-Append": room}
		before := r.Clone(f.Context())
		for range 3 {
			resp, err := m.Client("k").Transport.RoundTrip(r)
			require.NoError(f, err)
			resp.Body.Close()
		}
		assert.Equal(f, before.Header, r.Header)
		assert.Equal(f, before.Method, r.Method)
		assert.Equal(f, before.Host, r.Host)
		assert.Equal(f, []string{"mine", ""}, room[:2], "nor what lies behind the values")
		v, err := m.Source("k").get(f.Context())
		require.NoError(f, err)
		assert.Equal(f, []string{"Bearer " + v.record.AccessToken}, v.bearer[:])
	})
}

func TestBaseThatAnswersNothingIsAnError(t *testing.T) {
	for name, own := range map[string]bool{"": false, "with an Authorization of its own": true} {
		t.Run(name, func(t *testing.T) {
			onSwap(t, func(f *fixture) {
				m := f.connected()
				m.APIURLs = []string{apiURL}
				m.Base = roundTripper(func(*http.Request) (*http.Response, error) { return nil, nil })
				r, err := http.NewRequest("GET", apiURL, nil)
				require.NoError(f, err)
				if own {
					r.SetBasicAuth("a", "b")
				}
				_, err = m.Client("k").Transport.RoundTrip(r)
				require.ErrorContains(f, err, "neither a response nor an error")
			})
		})
	}
	onSwap(t, func(f *fixture) { // in place of the replay
		m := f.connected()
		api := withAPI(m)
		m.Base = roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("Authorization") == "Bearer access-1" {
				resp, err := api.RoundTrip(r)
				resp.StatusCode = 401
				return resp, err
			}
			return nil, nil
		})
		_, err := m.Client("k").Get(apiURL)
		require.ErrorContains(f, err, "neither a response nor an error")
		assert.Zero(f, api.unclosed())
	})
}

func TestRefusalWithoutABodyIsRefreshed(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		m.APIURLs = []string{apiURL}
		m.Base = roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Header.Get("Authorization") == "Bearer access-1" {
				return &http.Response{StatusCode: 401}, nil
			}
			return &http.Response{StatusCode: 204}, nil
		})
		r, err := http.NewRequest("GET", apiURL, nil)
		require.NoError(f, err)
		resp, err := m.Client("k").Transport.RoundTrip(r)
		require.NoError(f, err)
		assert.Equal(f, 204, resp.StatusCode)
	})
}

func TestIncompleteRequestIsSentOrAnErrorButNoPanic(t *testing.T) {
	for name, edit := range map[string]func(r *http.Request){
		"nil Header": func(r *http.Request) { r.Header = nil },
		"no Host":    func(r *http.Request) { r.Host = "" },
		"no Method":  func(r *http.Request) { r.Method = "" },
		"nil values": func(r *http.Request) { r.Header["User-Agent"] = nil },
	} {
		onSwap(t, func(f *fixture) {
			m := f.connected()
			api := withAPI(m)
			r, err := http.NewRequest("GET", apiURL, nil)
			require.NoError(f, err)
			edit(r)
			resp, err := m.Client("k").Transport.RoundTrip(r)
			require.NoError(f, err, name)
			resp.Body.Close()
			assert.Equal(f, "Bearer access-1", api.calls()[0].token, name)
		})
	}
	for name, edit := range map[string]func(r *http.Request){
		"nil URL":     func(r *http.Request) { r.URL = nil },
		"no host":     func(r *http.Request) { r.URL.Host, r.Host = "", "" },
		"no scheme":   func(r *http.Request) { r.URL.Scheme = "" },
		"opaque":      func(r *http.Request) { r.URL.Host, r.URL.Opaque = "", "//evil.example/" },
		"other Host":  func(r *http.Request) { r.URL.Host = "evil.example" },
		"empty URL":   func(r *http.Request) { *r.URL = url.URL{} },
		"only a port": func(r *http.Request) { r.URL.Host = ":443" },
	} {
		onSwap(t, func(f *fixture) {
			m := f.connected()
			api := withAPI(m)
			r, err := http.NewRequest("POST", apiURL, api.counted(strings.NewReader("body")))
			require.NoError(f, err)
			edit(r)
			_, err = m.Client("k").Transport.RoundTrip(r)
			require.Error(f, err, name)
			assert.Empty(f, api.calls(), name)
			assert.Zero(f, api.unclosed(), name)
		})
	}
}

// closer is a Base with idle connections.
type closer struct {
	http.RoundTripper
	closed int
}

func (c *closer) CloseIdleConnections() { c.closed++ }

func TestCloseIdleConnectionsReachesTheBase(t *testing.T) {
	base := new(closer)
	m := &Manager{Config: new(fakeProvider), Store: newMemory(), Base: base}
	m.Client("k").CloseIdleConnections()
	assert.Equal(t, 1, base.closed)
	m.Base = new(fakeAPI)
	m.Client("k").CloseIdleConnections() // it has none
}

// refusingBody is the body of an answer that a program's own http.RoundTripper has made.
type refusingBody struct {
	read   func()
	closed atomic.Bool
}

func (b *refusingBody) Read([]byte) (int, error) { b.read(); return 0, io.EOF }
func (b *refusingBody) Close() error             { b.closed.Store(true); return nil }

func TestRefusalWhoseBodyDoesNotReturnHoldsNobodyUp(t *testing.T) {
	for how, end := range ends {
		t.Run(how, func(t *testing.T) {
			m, p, api := atServer(t, nil)
			body := &refusingBody{read: end}
			m.Base = roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.Header.Get("Authorization") == "Bearer access-2" {
					return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
				}
				return &http.Response{StatusCode: http.StatusUnauthorized, Body: body, Request: r}, nil
			})
			resp, err := m.Client("k").Get(api.URL)
			require.NoError(t, err)
			assert.Equal(t, http.StatusOK, resp.StatusCode)
			assert.Equal(t, 1, p.count())
			assert.True(t, body.closed.Load())
		})
	}
}
