package tokensource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// tenants is a client at a provider whose tenants have an API each, which takes the token in
// a header of its own, wants a version, and refuses a token with 403.
type tenants struct {
	*fakeProvider
	field, scheme string
}

func (tenants) APIURLs(t *oauth2.Token) ([]string, error) {
	tenant, _ := t.Extra("tenant").(string)
	if tenant == "" {
		return nil, errors.New("there is no tenant beside " + t.AccessToken)
	}
	return []string{"https://" + tenant + ".example.com"}, nil
}

func (c tenants) APIHeader(t *oauth2.Token) http.Header {
	return http.Header{c.field: {c.scheme + t.AccessToken}, "api-version": {"7"}}
}

func (tenants) TokenRejected(resp *http.Response) (code string, rejected bool) {
	return "", resp.StatusCode == http.StatusForbidden
}

// connectTenant saves a login, of a refresh that names the tenant again or not.
func (f *fixture) connectTenant(m *Manager, name, tenant string) {
	f.Helper()
	t := f.login()
	require.NoError(f, m.Save(f.Context(), name, t.WithExtra(map[string]any{"tenant": tenant})))
}

func TestTokenGoesToTheOriginsThatItIsFor(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.process()
		m.Config = tenants{f.fakeProvider, "Authorization", "Bearer "}
		var sent []string
		m.Base = roundTripper(func(r *http.Request) (*http.Response, error) {
			sent = append(sent, r.URL.Host+" "+r.Header.Get("Authorization"))
			return reply(200, ""), nil
		})
		f.connectTenant(m, "tea", "tea")
		f.connectTenant(m, "coffee", "coffee")
		f.connectTenant(m, "nobody", "")
		get := func(name, host string) error {
			resp, err := m.Client(name).Get("https://" + host + "/v1")
			if err == nil {
				resp.Body.Close()
			}
			return err
		}
		require.NoError(f, get("tea", "tea.example.com"))
		require.NoError(f, get("coffee", "coffee.example.com"))
		token := func(name string) string {
			t, err := m.Source(name).Token()
			require.NoError(f, err)
			return t.AccessToken
		}
		assert.Equal(f, []string{"tea.example.com Bearer " + token("tea"), "coffee.example.com Bearer " + token("coffee")}, sent)

		for range 2 {
			err := get("tea", "coffee.example.com")
			assert.ErrorContains(f, err, `the token of connection "tea" is for https://tea.example.com and is not sent to https://coffee.example.com`)
			err = get("nobody", "tea.example.com")
			assert.ErrorContains(f, err, `the token of connection "nobody" can't be sent: there is no tenant beside [redacted]`)
			assert.NotContains(f, fmt.Sprintf("%+v", err), token("nobody"))
		}
		assert.Len(f, sent, 2)

		// The tenant has moved, and a login says so.
		f.connectTenant(m, "tea", "green-tea")
		require.NoError(f, get("tea", "green-tea.example.com"))
		assert.Error(f, get("tea", "tea.example.com"))
	})
}

// movingTenants is a client at a provider that has moved the tenant, as a refresh says.
type movingTenants struct{ tenants }

func (c movingTenants) TokenSource(ctx context.Context, t *oauth2.Token) oauth2.TokenSource {
	return tokenFunc(func() (*oauth2.Token, error) {
		next, err := c.tenants.TokenSource(ctx, t).Token()
		if err != nil {
			return nil, err
		}
		return next.WithExtra(map[string]any{"tenant": "green-tea"}), nil
	})
}

func TestRequestIsNotRepeatedWithATokenForElsewhere(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.process()
		m.Config = movingTenants{tenants{f.fakeProvider, "Authorization", "Bearer "}}
		var sent []string
		m.Base = roundTripper(func(r *http.Request) (*http.Response, error) {
			sent = append(sent, r.URL.Host+" "+r.Header.Get("Authorization"))
			return reply(403, ""), nil
		})
		f.connectTenant(m, "k", "tea")
		resp, err := m.Client("k").Get("https://tea.example.com/v1")
		require.NoError(f, err)
		assert.Equal(f, 403, resp.StatusCode)
		assert.Equal(f, 1, f.count())
		_, err = m.Client("k").Get("https://tea.example.com/v1")
		assert.ErrorContains(f, err, "is for https://green-tea.example.com and is not sent to https://tea.example.com")
		assert.Equal(f, []string{"tea.example.com Bearer access-1"}, sent)
	})
}

func TestAPIChoosesTheHeaderFields(t *testing.T) {
	for name, test := range map[string]struct {
		field, scheme string
		own, want     http.Header // of the request, and as it is sent
	}{
		"a field of its own":                {"X-Token", "", nil, http.Header{"X-Token": {"TOKEN"}, "Api-Version": {"7"}}},
		"the request's is another's":        {"X-Token", "", http.Header{"X-Token": {"old"}, "x-token": {"old"}}, http.Header{"X-Token": {"TOKEN"}, "Api-Version": {"7"}}},
		"a version of the request's own":    {"X-Token", "", http.Header{"Api-Version": {"8"}}, http.Header{"X-Token": {"TOKEN"}, "Api-Version": {"8"}}},
		"a version in another case":         {"X-Token", "", http.Header{"api-version": {"8"}}, http.Header{"X-Token": {"TOKEN"}, "api-version": {"8"}}},
		"a Bearer that nobody asked for":    {"X-Token", "", http.Header{"Authorization": {"Bearer old"}}, http.Header{"X-Token": {"TOKEN"}, "Api-Version": {"7"}}},
		"the client's credentials":          {"X-Token", "", http.Header{"Authorization": {"Basic x"}}, http.Header{"Authorization": {"Basic x"}}},
		"another scheme":                    {"Authorization", "Zoho-oauthtoken ", nil, http.Header{"Authorization": {"Zoho-oauthtoken TOKEN"}, "Api-Version": {"7"}}},
		"another scheme, which is replaced": {"Authorization", "Zoho-oauthtoken ", http.Header{"authorization": {"zoho-oauthtoken old"}}, http.Header{"Authorization": {"Zoho-oauthtoken TOKEN"}, "Api-Version": {"7"}}},
		"another scheme, and credentials":   {"Authorization", "Zoho-oauthtoken ", http.Header{"Authorization": {"Basic x"}}, http.Header{"Authorization": {"Basic x"}}},
	} {
		t.Run(name, func(t *testing.T) {
			onSwap(t, func(f *fixture) {
				m := f.process()
				m.Config = tenants{f.fakeProvider, test.field, test.scheme}
				var sent http.Header
				m.Base = roundTripper(func(r *http.Request) (*http.Response, error) {
					sent = r.Header
					return reply(200, ""), nil
				})
				f.connectTenant(m, "k", "tea")
				r, err := http.NewRequest("GET", "https://tea.example.com/v1", nil)
				require.NoError(f, err)
				for field, values := range test.own {
					r.Header[field] = values
				}
				before := r.Header.Clone()
				resp, err := m.Client("k").Do(r)
				require.NoError(f, err)
				resp.Body.Close()
				assert.Equal(f, before, r.Header)

				token, err := m.Source("k").Token()
				require.NoError(f, err)
				for _, values := range test.want {
					for i := range values {
						values[i] = strings.ReplaceAll(values[i], "TOKEN", token.AccessToken)
					}
				}
				assert.Equal(f, test.want, sent)
			})
		})
	}
}

// Credentials of a request's own go where the token does, also as the first thing that a
// process sends: net/http makes some of the user in a URL, which someone else may have
// written.
func TestAuthorizationOfItsOwnGoesToTheOriginsOfTheToken(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.process()
		m.Config = tenants{f.fakeProvider, "Authorization", "Bearer "}
		f.connectTenant(m, "k", "tea")
		for name, want := range map[string]string{
			"https://client:secret@tea.example.com":    "",
			"https://client:secret@coffee.example.com": "is not sent to https://coffee.example.com",
			"https://tea.example.com@evil.example":     "is not sent to https://evil.example",
		} {
			m := f.process()
			m.Config = tenants{f.fakeProvider, "Authorization", "Bearer "}
			var sent []string
			m.Base = roundTripper(func(r *http.Request) (*http.Response, error) {
				sent = append(sent, r.Header.Get("Authorization"))
				return reply(200, ""), nil
			})
			for range 2 {
				resp, err := m.Client("k").Get(name)
				if want != "" {
					assert.ErrorContains(f, err, want)
					continue
				}
				require.NoError(f, err)
				resp.Body.Close()
			}
			if want == "" {
				assert.Equal(f, []string{"Basic Y2xpZW50OnNlY3JldA==", "Basic Y2xpZW50OnNlY3JldA=="}, sent)
			} else {
				assert.Empty(f, sent)
			}
			resp, err := m.Client("nobody").Get(name)
			require.NoError(f, err, "nothing says which they are")
			resp.Body.Close()
		}
		assert.Zero(f, f.posts)
	})
}

// What refuses a token needn't be a 401, and what is one may be about something else.
func TestAPISaysWhatRefusesAToken(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.process()
		m.Config = tenants{f.fakeProvider, "X-Token", ""}
		f.connectTenant(m, "k", "tea")
		first, err := m.Source("k").Token()
		require.NoError(f, err)
		status, bodies := http.StatusForbidden, []string(nil)
		m.Base = roundTripper(func(r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			require.NoError(f, err)
			bodies = append(bodies, string(body))
			if r.Header.Get("X-Token") == first.AccessToken {
				return reply(status, "no"), nil
			}
			return reply(200, "yes"), nil
		})
		post := func() int {
			resp, err := m.Client("k").Post("https://tea.example.com/v1", "text/plain", strings.NewReader("hello"))
			require.NoError(f, err)
			resp.Body.Close()
			return resp.StatusCode
		}
		status = http.StatusUnauthorized
		assert.Equal(f, 401, post())
		assert.Zero(f, f.posts)
		status = http.StatusForbidden
		assert.Equal(f, 200, post())
		assert.Equal(f, 1, f.posts)
		assert.Equal(f, []string{"hello", "hello", "hello"}, bodies)
	})
}

// A redirect to another host is followed without the token, also if the token has ended
// meanwhile and there is no other.
func TestRedirectFromAnAPIOfTheTokens(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.process()
		m.Config = tenants{f.fakeProvider, "X-Token", ""}
		f.connectTenant(m, "k", "tea")
		m.Base = roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host == "tea.example.com" {
				f.fault = func() error { return errors.New("the provider is down") }
				time.Sleep(3 * time.Hour)
				return reply(302, "", "Location", "https://files.example.net/x"), nil
			}
			return reply(200, r.Header.Get("X-Token")+r.Header.Get("Authorization")), nil
		})
		resp, err := m.Client("k").Get("https://tea.example.com/v1")
		require.NoError(f, err)
		_, body := f.read(resp)
		assert.Empty(f, body)
	})
}

// This process makes such requests only, and so asks for no token.
func TestAuthorizationOfItsOwnGoesToTheOriginsOfALaterLogin(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m, other := f.process(), f.process()
		for _, m := range f.all {
			m.Config = tenants{f.fakeProvider, "Authorization", "Bearer "}
			m.Base = roundTripper(func(*http.Request) (*http.Response, error) { return reply(200, ""), nil })
		}
		f.connectTenant(m, "k", "tea")
		const own = "https://client:secret@coffee.example.com"
		_, err := m.Client("k").Get(own)
		require.ErrorContains(f, err, "is not sent to https://coffee.example.com")
		f.connectTenant(other, "k", "coffee")
		time.Sleep(defaultStale + time.Second)
		resp, err := m.Client("k").Get(own)
		require.NoError(f, err)
		resp.Body.Close()
	})
}
