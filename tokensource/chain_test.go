package tokensource

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTokenDoesNotComeBackToARedirectThatHasLeft follows chains of redirects. A "+" says
// that the request has the token, and a "-" that it hasn't.
func TestTokenDoesNotComeBackToARedirectThatHasLeft(t *testing.T) {
	for name, wrap := range map[string]func(http.RoundTripper) http.RoundTripper{
		"": func(base http.RoundTripper) http.RoundTripper { return base },
		"by a Base that doesn't say what it answers": func(base http.RoundTripper) http.RoundTripper {
			return roundTripper(func(r *http.Request) (*http.Response, error) {
				resp, err := base.RoundTrip(r)
				resp.Request = nil
				return resp, err
			})
		},
	} {
		for _, chain := range [][]string{
			{"+https://api.example.com/1", "-https://evil.example/2", "-https://api.example.com/3"},
			{"+https://api.example.com/1", "+https://api.example.com/2", "-https://evil.example/3", "-https://other.example/4", "-https://api.example.com/5", "-https://api.example.com/6"},
			{"+https://api.example.com/1", "+https://uploads.example.com/2", "+https://api.example.com/3", "-https://evil.example/4", "-https://uploads.example.com/5"},
			{"+https://api.example.com/1", "-http://api.example.com/2", "-https://api.example.com/3"},
			{"+https://api.example.com/1", "-https://api.example.com:8443/2", "-https://api.example.com/3"},
			{"+https://api.example.com/1", "-https://api.example.com.evil.example/2", "-https://API.example.com:443/3"},
			{"+https://api.example.com/1", "-https://api.example.com@evil.example/2", "-https://api.example.com/3"},
		} {
			for _, status := range []int{302, 303, 307, 308} {
				if testing.Short() && status%2 > 0 {
					continue
				}
				t.Run(fmt.Sprint(name, status, chain), func(t *testing.T) {
					onSwap(t, func(f *fixture) {
						m := f.connected()
						api := withAPI(m)
						m.Base = wrap(api)
						m.APIURLs = []string{"https://api.example.com/v1", "https://uploads.example.com"}
						api.respond = func(r *http.Request, _, _ string) *http.Response {
							for i, hop := range chain[:len(chain)-1] {
								if strings.HasSuffix(hop, r.URL.Path) {
									return reply(status, "", "Location", chain[i+1][1:])
								}
							}
							return reply(200, "the end")
						}
						resp, err := m.Client("k").Post(chain[0][1:], "text/plain", strings.NewReader("body"))
						require.NoError(f, err)
						_, body := f.read(resp)
						assert.Equal(f, "the end", body)
						var got []string
						for i, c := range api.calls() {
							sign := "-"
							if c.token == "Bearer access-1" {
								sign = "+"
							}
							got = append(got, sign+c.url)
							if status >= 307 || i == 0 {
								assert.Equal(f, "body", c.body)
							}
							assert.True(f, sign == "+" || !strings.Contains(c.token, "access-"), c.token)
						}
						assert.Equal(f, chain, got)
						for r := resp.Request; r != nil; {
							assert.NotContains(f, fmt.Sprint(r.Header), "access-1", "of a request by which a response is known")
							if r.Response == nil {
								break
							}
							r = r.Response.Request
						}
					})
				})
			}
		}
	}
}

func TestSeveralOriginsOfAnAPIGetTheToken(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		api := withAPI(m)
		m.APIURLs = []string{"https://api.example.com", "https://uploads.example.com/x", "http://[::1]:8080"}
		for _, u := range []string{"https://api.example.com/1", "https://uploads.example.com/2", "http://[::1]:8080/3"} {
			resp, err := m.Client("k").Get(u)
			require.NoError(f, err)
			resp.Body.Close()
		}
		for _, c := range api.calls() {
			assert.Equal(f, "Bearer access-1", c.token)
		}
		_, err := m.Client("k").Get("https://example.com/")
		require.ErrorContains(f, err, "https://api.example.com, https://uploads.example.com")
		assert.Len(f, api.calls(), 3)
	})
}

func TestHostOfAnotherOriginDoesNotGetTheToken(t *testing.T) {
	for host, taken := range map[string]bool{
		"": true, "api.example.com": true, "API.EXAMPLE.COM": true, "api.example.com:443": true,
		"evil.example": false, "api.example.com.": false, "api.example.com:8443": false, "x@api.example.com": false,
		"api.example.com@evil.example": false, "api.example.com/": false, "api.example.com evil.example": false,
		"api.example.com:443:80": false, "api.example.com\r\nX: y": false, "[::1": false, "%61pi.example.com": false,
	} {
		onSwap(t, func(f *fixture) {
			m := f.connected()
			api := withAPI(m)
			r, err := http.NewRequest("GET", apiURL, nil)
			require.NoError(f, err)
			r.Host = host
			resp, err := m.Client("k").Do(r)
			if taken {
				require.NoError(f, err, host)
				resp.Body.Close()
				return
			}
			require.Error(f, err, host)
			assert.Empty(f, api.calls())
		})
	}
}

// A reverse proxy sends the Host that it was called by, unless it is told otherwise.
func TestReverseProxyThatKeepsItsOwnHostDoesNotGetTheToken(t *testing.T) {
	var hosts, tokens []string
	api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		hosts, tokens = append(hosts, r.Host), append(tokens, r.Header.Get("Authorization"))
	}))
	defer api.Close()
	p := new(fakeProvider)
	m := &Manager{Config: p, Store: newMemory(), APIURLs: []string{api.URL}}
	require.NoError(t, m.Save(t.Context(), "k", p.login()))
	target, err := url.Parse(api.URL)
	require.NoError(t, err)
	keeps := httputil.NewSingleHostReverseProxy(target)
	sets := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	for _, proxy := range []*httputil.ReverseProxy{keeps, sets} {
		proxy.Transport = m.Client("k").Transport
		proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, err error) {
			assert.ErrorContains(t, err, "is not sent to")
			assert.NotContains(t, err.Error(), "access-")
			w.WriteHeader(http.StatusBadGateway)
		}
	}
	ask := func(proxy http.Handler) int {
		r := httptest.NewRequest("GET", "https://tenant.example/path", nil)
		w := httptest.NewRecorder()
		proxy.ServeHTTP(w, r)
		return w.Code
	}
	assert.Equal(t, 502, ask(keeps))
	assert.Empty(t, hosts)
	assert.Equal(t, 200, ask(sets))
	assert.Equal(t, []string{target.Host}, hosts)
	assert.Equal(t, []string{"Bearer access-1"}, tokens)
}

func TestResponseNamesTheCallersOwnRequest(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		api := withAPI(m)
		api.respond = refusing("access-2")
		for what, respond := range map[string]func(*http.Request, string, string) *http.Response{
			"at once": nil, "after a replay": refusing("access-2"), "without a refresh": nil,
			"refused for good": func(*http.Request, string, string) *http.Response { return reply(401, "") },
		} {
			api.respond = respond
			r, err := http.NewRequest("POST", apiURL+"/things", strings.NewReader("body"))
			require.NoError(f, err)
			if what == "without a refresh" {
				r.SetBasicAuth("client", "of-the-callers-own")
			}
			resp, err := m.Client("k").Transport.RoundTrip(r)
			require.NoError(f, err)
			resp.Body.Close()
			assert.Same(f, r, resp.Request, what)
			assert.NotContains(f, fmt.Sprint(r.Header), "access-", what)
		}
	})
}

// TestRedirectDoesNotTakeATokenOfTheRequestsOwnAlong: some SDKs put the token into the request
// themselves. net/http copies a field Authorization to another port of the same host, and any
// other to every host.
func TestRedirectDoesNotTakeATokenOfTheRequestsOwnAlong(t *testing.T) {
	for name, test := range map[string]struct {
		field, scheme string
		own, want     http.Header
	}{
		"a Bearer":                      {"Authorization", "Bearer ", http.Header{"Authorization": {"Bearer access-1"}}, http.Header{}},
		"a Bearer in another case":      {"Authorization", "Bearer ", http.Header{"authorization": {"bearer access-1"}}, http.Header{}},
		"a scheme of the API's":         {"Authorization", "Zoho-oauthtoken ", http.Header{"Authorization": {"Zoho-oauthtoken access-1"}}, http.Header{}},
		"a field of the API's":          {"X-Token", "", http.Header{"X-Token": {"access-1"}}, http.Header{}},
		"the same in another case":      {"X-Token", "", http.Header{"x-token": {"access-1"}}, http.Header{}},
		"a Bearer beside that field":    {"X-Token", "", http.Header{"Authorization": {"Bearer access-1"}}, http.Header{}},
		"what isn't a token":            {"X-Token", "", http.Header{"X-Trace": {"7"}}, http.Header{"X-Trace": {"7"}}},
		"credentials that were given":   {"Authorization", "Bearer ", http.Header{"Authorization": {"Basic x"}}, http.Header{"Authorization": {"Basic x"}}},
		"credentials beside that field": {"X-Token", "", http.Header{"Authorization": {"Basic x"}, "X-Token": {"access-1"}}, http.Header{"Authorization": {"Basic x"}}},
	} {
		t.Run(name, func(t *testing.T) {
			onSwap(t, func(f *fixture) {
				m := f.process()
				m.Config = tenants{f.fakeProvider, test.field, test.scheme}
				f.connectTenant(m, "tea", "tea")
				var got http.Header
				m.Base = roundTripper(func(r *http.Request) (*http.Response, error) {
					if r.URL.Port() == "" {
						return reply(307, "", "Location", "https://tea.example.com:8443/"), nil
					}
					got = r.Header.Clone()
					return reply(200, ""), nil
				})
				r, err := http.NewRequest(http.MethodGet, "https://tea.example.com/v1", nil)
				require.NoError(f, err)
				r.Header = test.own.Clone()
				resp, err := m.Client("tea").Do(r)
				require.NoError(f, err)
				resp.Body.Close()
				delete(got, "Referer")
				assert.Equal(f, test.want, got)
			})
		})
	}
}
