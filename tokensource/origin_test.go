package tokensource

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/oauth2keep/oauth2keep/internal/httpclient"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

func TestTokenIsSentToTheOriginOfTheAPIOnly(t *testing.T) {
	for _, test := range []struct {
		api, url string
		same     bool
	}{
		{"https://api.example.com/v1", "https://api.example.com/v1/me", true},
		{"https://api.example.com/v1", "https://api.example.com/other", true},
		{"https://api.example.com/v1", "https://api.example.com", true},
		{"https://api.example.com", "https://api.example.com:443/", true},
		{"https://api.example.com:443", "https://api.example.com/", true},
		{"http://127.0.0.1", "http://127.0.0.1:80/", true},
		{"http://api.example.com", "http://api.example.com:80/", false},
		{"https://API.example.com", "HTTPS://api.EXAMPLE.com/", true},
		{"https://api.example.com", "https://api.example.com/@evil.com", true},
		{"https://[::1]:8443", "https://[::1]:8443/", true},
		{"https://api.example.com", "http://api.example.com/", false},
		{"http://api.example.com", "https://api.example.com/", false},
		{"https://api.example.com", "http://api.example.com:443/", false},
		{"https://api.example.com", "https://api.example.com:8443/", false},
		{"https://api.example.com:8443", "https://api.example.com/", false},
		{"https://api.example.com", "https://example.com/", false},
		{"https://api.example.com", "https://v2.api.example.com/", false},
		{"https://api.example.com", "https://api.example.com.evil.com/", false},
		{"https://api.example.com", "https://api.example.com@evil.com/", false},
		{"https://api.example.com", "https://evil.com/https://api.example.com/", false},
		{"https://api.example.com", "https://api.example.com./", false},
		{"https://[::1]:8443", "https://[::2]:8443/", false},
		{"https://api.example.com", "ftp://api.example.com/", false},
	} {
		t.Run(test.api+" "+test.url, func(t *testing.T) {
			onSwap(t, func(f *fixture) {
				m := f.connected()
				api := withAPI(m)
				m.APIURLs = []string{test.api}
				resp, err := m.Client("k").Get(test.url)
				if test.same {
					require.NoError(f, err)
					resp.Body.Close()
					assert.Equal(f, "Bearer access-1", api.calls()[0].token)
					return
				}
				require.Error(f, err)
				assert.Empty(f, api.calls())
				assert.NotContains(f, err.Error(), "access-1")
			})
		})
	}
}

// An API may hand out links to files that lie elsewhere.
func TestRedirectIsFollowedWithTheTokenOnTheOriginAndWithoutItOnceItHasLeft(t *testing.T) {
	for _, elsewhere := range []string{
		"https://files.example.com/file", "http://api.example.com/file", "https://api.example.com:8443/file",
		"https://evil.com/file", "https://api.example.com@evil.com/file", "//evil.com/file",
	} {
		t.Run(elsewhere, func(t *testing.T) {
			onSwap(t, func(f *fixture) {
				m := f.connected()
				api := withAPI(m)
				api.respond = func(r *http.Request, _, _ string) *http.Response {
					switch r.URL.Path {
					case "/v1/start":
						return reply(302, "", "Location", "/v1/second")
					case "/v1/second":
						return reply(302, "", "Location", elsewhere)
					case "/file":
						return reply(302, "", "Location", "https://API.example.com:443/v1/end")
					}
					return reply(200, "the end")
				}
				r, err := http.NewRequest("GET", apiURL+"/start", nil)
				require.NoError(f, err)
				r.Header.Set("Authorization", "Bearer of-the-callers-own")
				resp, err := m.Client("k").Do(r)
				require.NoError(f, err)
				_, body := f.read(resp)
				assert.Equal(f, "the end", body)
				var tokens []string
				for _, c := range api.calls() {
					tokens = append(tokens, c.token)
				}
				require.Len(f, tokens, 4)
				assert.Equal(f, "Bearer access-1", tokens[0])
				assert.Equal(f, "Bearer access-1", tokens[1])
				assert.NotContains(f, tokens[2], "access-1")
				assert.NotContains(f, tokens[3], "access-1", "who was asked on the way has chosen what is asked")
				assert.Zero(f, api.unclosed())
			})
		})
	}
}

func TestRefusalElsewhereIsNoRefusalOfTheToken(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		api := withAPI(m)
		api.respond = func(r *http.Request, _, _ string) *http.Response {
			if r.URL.Host == "api.example.com" {
				return reply(307, "", "Location", "https://files.example.com/")
			}
			return reply(401, "log in to the file server")
		}
		status, body := f.get(m.Client("k"))
		assert.Equal(f, 401, status)
		assert.Equal(f, "log in to the file server", body)
		assert.Zero(f, f.count())
	})
}

// Two real servers on ports of one host.
func TestRealRedirectToAnotherPortLosesTheTokenAndKeepsTheBody(t *testing.T) {
	type seen struct{ token, body string }
	var other, api []seen
	read := func(r *http.Request) seen {
		body, _ := io.ReadAll(r.Body)
		return seen{r.Header.Get("Authorization"), string(body)}
	}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { other = append(other, read(r)) }))
	defer elsewhere.Close()
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		api = append(api, read(r))
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	}))
	defer origin.Close()
	p := new(fakeProvider)
	m := &Manager{Config: p, Store: newMemory(), APIURLs: []string{origin.URL}}
	require.NoError(t, m.Save(t.Context(), "k", p.login()))
	resp, err := m.Client("k").Post(origin.URL, "text/plain", strings.NewReader("hello"))
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, []seen{{"Bearer access-1", "hello"}}, api)
	assert.Equal(t, []seen{{"", "hello"}}, other)
}

// apiConfig is a Config that knows its API.
type apiConfig struct {
	*fakeProvider
	url string
}

func (c apiConfig) APIURLs(*oauth2.Token) ([]string, error) {
	if c.url == "" {
		return nil, nil
	}
	return []string{c.url}, nil
}

func (c apiConfig) APIHeader(*oauth2.Token) http.Header { return nil }

func (c apiConfig) TokenRejected(*http.Response) (string, bool) { return "", true }

func TestOriginComesFromTheManagerOrElseFromItsConfig(t *testing.T) {
	for _, test := range []struct{ manager, config, want, mistake string }{
		{"https://a.example.com", "https://b.example.com", "https://a.example.com", ""},
		{"", "https://b.example.com", "https://b.example.com", ""},
		{"", "", "", "set Manager.APIURL"},
		{"https://a.example.com /v1", "", "", "tokensource: Manager.APIURLs[1] is not an absolute URL"},
		{"api.example.com", "", "", "tokensource: Manager.APIURLs[0] is not an absolute URL"},
		{"https://%zz", "", "", "tokensource: Manager.APIURLs[0] is not an absolute URL"},
		{"", "mailto:api@example.com", "", "tokensource: APIURLs[0] of Manager.Config is not an absolute URL"},
	} {
		m := &Manager{Config: apiConfig{new(fakeProvider), test.config}, Store: newMemory()}
		if test.manager != "" {
			m.APIURLs = strings.Fields(test.manager)
		}
		got, err := m.apiSettings().origins, m.apiSettings().err
		if err == nil {
			a := m.newAccess("k", &record{ID: "id", AccessToken: "a"})
			got, err = a.origins, a.err
		}
		if test.mistake != "" {
			assert.ErrorContains(t, err, test.mistake)
			continue
		}
		require.NoError(t, err)
		want, err := httpclient.ParseOrigin(test.want)
		require.NoError(t, err)
		assert.Equal(t, httpclient.Origins{want}, got)
	}
}
