package tokensource

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAuthorizationOfARequestsOwnIsKeptUnlessItIsABearer(t *testing.T) {
	const token = "Bearer access-1"
	for _, test := range []struct {
		field string
		own   []string
		sent  []string // nil: as it was
	}{
		{"Authorization", nil, []string{token}},
		{"Authorization", []string{""}, []string{token}},
		{"Authorization", []string{"Bearer"}, []string{token}},
		{"Authorization", []string{"Bearer "}, []string{token}},
		{"Authorization", []string{"Bearer other"}, []string{token}},
		{"Authorization", []string{"bearer other"}, []string{token}},
		{"Authorization", []string{"  BEARER\tother"}, []string{token}},
		{"Authorization", []string{"Bearer a", "Bearer b"}, []string{token}},
		{"authorization", []string{"Bearer other"}, []string{token}},
		{"AUTHORIZATION", []string{""}, []string{token}},
		{"Authorization", []string{"Basic Y2xpZW50OnNlY3JldA=="}, nil},
		{"Authorization", []string{"basic Y2xpZW50OnNlY3JldA=="}, nil},
		{"Authorization", []string{" \t Basic Y2xpZW50OnNlY3JldA=="}, nil},
		{"authorization", []string{"Basic Y2xpZW50OnNlY3JldA=="}, nil},
		{"Authorization", []string{"Digest username=x"}, nil},
		{"Authorization", []string{"DPoP eyJ"}, nil},
		{"Authorization", []string{"BearerX other"}, nil},
		{"Authorization", []string{"Negotiate"}, nil},
		{"Authorization", []string{"Bearer a", "Basic Y2xpZW50OnNlY3JldA=="}, nil},
		{"Authorization", []string{"", "Basic Y2xpZW50OnNlY3JldA=="}, nil},
	} {
		t.Run(test.field+": "+strings.Join(test.own, "|"), func(t *testing.T) {
			onSwap(t, func(f *fixture) {
				m := f.connected()
				var sent []string
				m.APIURLs = []string{apiURL}
				m.Base = roundTripper(func(r *http.Request) (*http.Response, error) {
					for name, values := range r.Header {
						if strings.EqualFold(name, "authorization") {
							sent = append(sent, values...)
						}
					}
					return reply(200, ""), nil
				})
				if test.sent == nil {
					test.sent = test.own
				}
				r, err := http.NewRequest("GET", apiURL, nil)
				require.NoError(f, err)
				r.Header.Set("Accept", "application/json") // a header such as most are
				resp, err := m.Client("k").Do(r)
				require.NoError(f, err)
				resp.Body.Close()
				require.Equal(f, []string{token}, sent)
				sent, r.Header = nil, http.Header{}
				if test.own != nil {
					r.Header[test.field] = test.own
				}
				before := r.Header.Clone()
				resp, err = m.Client("k").Do(r)
				require.NoError(f, err)
				resp.Body.Close()
				assert.Equal(f, test.sent, sent)
				assert.Equal(f, before, r.Header)
			})
		})
	}
}

// net/http makes a Basic Authorization of the user in a URL.
func TestUserInAURLIsAnAuthorizationOfItsOwn(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		api := withAPI(m)
		resp, err := m.Client("k").Get("https://client:of-its-own@api.example.com/v1")
		require.NoError(f, err)
		resp.Body.Close()
		assert.True(f, strings.HasPrefix(api.calls()[0].token, "Basic "))
	})
}

func TestRefusalOfAnAuthorizationOfItsOwnIsNoneOfTheToken(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		api := withAPI(m)
		api.respond = func(*http.Request, string, string) *http.Response { return reply(401, "who are you") }
		r, err := http.NewRequest("GET", apiURL, nil)
		require.NoError(f, err)
		r.SetBasicAuth("client", "wrong")
		resp, err := m.Client("k").Do(r)
		require.NoError(f, err)
		status, body := f.read(resp)
		assert.Equal(f, 401, status)
		assert.Equal(f, "who are you", body)
		assert.Len(f, api.calls(), 1)
		assert.Zero(f, f.count())
		assert.Equal(f, StateHealthy, f.status(m).State)
	})
}

func TestRequestWithAnAuthorizationOfItsOwnNeedsNoToken(t *testing.T) {
	for _, field := range []string{"Authorization", "authorization"} {
		onSwap(t, func(f *fixture) {
			m := f.process()
			withAPI(m)
			r, err := http.NewRequest("GET", apiURL, nil)
			require.NoError(f, err)
			r.Header[field] = []string{"Basic Y2xpZW50OnNlY3JldA=="}
			resp, err := m.Client("k").Do(r)
			require.NoError(f, err)
			resp.Body.Close()
		})
	}
}
