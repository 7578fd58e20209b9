package tokensource

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// x/oauth2's wrappers write into the token that they are given. Run with -race.
func TestSeveralXOAuth2ClientsOnOneSourceAreRaceFree(t *testing.T) {
	notShort(t, "is for the race detector")
	p := &fakeProvider{life: 11 * time.Second} // a second longer than x/oauth2's own margin
	var mu sync.Mutex
	seen := make(map[string]bool)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen[r.Header.Get("Authorization")] = true
	}))
	defer api.Close()
	m := &Manager{Config: p, Store: newMemory()}
	require.NoError(t, m.Save(t.Context(), "k", p.login()))
	source := m.Source("k")
	var wg sync.WaitGroup
	for i := range 8 {
		client := oauth2.NewClient(t.Context(), source)
		if i%2 == 1 {
			// Never valid in its view, so that it asks, and writes, each time.
			always := oauth2.ReuseTokenSourceWithExpiry(nil, source, time.Duration(i)*time.Minute)
			client = &http.Client{Transport: &oauth2.Transport{Source: always}}
		}
		for range 4 {
			wg.Go(func() {
				for range 10 {
					resp, err := client.Get(api.URL)
					if !assert.NoError(t, err) {
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			})
		}
	}
	wg.Wait()
	require.NoError(t, m.Flush(t.Context()))
	assert.Equal(t, map[string]bool{"Bearer access-1": true}, seen)
}

func TestXOAuth2ClientGetsANewTokenWhenItsOwnHasExpired(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		api := withAPI(m)
		ctx := context.WithValue(f.Context(), oauth2.HTTPClient, &http.Client{Transport: api})
		client := oauth2.NewClient(ctx, m.Source("k"))
		f.get(client)
		time.Sleep(time.Hour)
		f.get(client)
		assert.Equal(f, "Bearer access-1", api.calls()[0].token)
		assert.Equal(f, "Bearer access-2", api.calls()[1].token)
		assert.Equal(f, 1, f.count())
	})
}

// The whole way through x/oauth2: its Config, its parser, its errors.
func TestPlainXOAuth2ConfigIsRefreshed(t *testing.T) {
	posts := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		posts++
		assert.Equal(t, "refresh_token", r.FormValue("grant_type"))
		assert.Equal(t, fmt.Sprintf("refresh-%d", posts), r.FormValue("refresh_token"))
		w.Header().Set("Content-Type", "application/json")
		if posts == 3 {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":"invalid_grant","error_description":"The secret user has revoked it."}`)
			return
		}
		fmt.Fprintf(w, `{"access_token":"access-%d","refresh_token":"refresh-%d","token_type":"bearer","expires_in":3600,"n":%d}`, posts+1, posts+1, posts)
	}))
	defer server.Close()
	m := &Manager{
		Config: &oauth2.Config{ClientID: "id", Endpoint: oauth2.Endpoint{TokenURL: server.URL, AuthStyle: oauth2.AuthStyleInParams}},
		Store:  newMemory(),
	}
	expired := time.Now().Add(-time.Minute)
	require.NoError(t, m.Save(t.Context(), "k", &oauth2.Token{AccessToken: "access-1", RefreshToken: "refresh-1", Expiry: expired}))
	tok, err := m.Source("k").Token()
	require.NoError(t, err)
	assert.Equal(t, "access-2", tok.AccessToken)
	assert.Equal(t, "refresh-2", tok.RefreshToken)
	assert.Equal(t, 1.0, tok.Extra("n"))

	require.NoError(t, m.Save(t.Context(), "k", &oauth2.Token{AccessToken: "access-1", RefreshToken: "refresh-2", Expiry: expired}))
	_, err = m.Source("k").Token()
	require.NoError(t, err)
	require.NoError(t, m.Save(t.Context(), "k", &oauth2.Token{AccessToken: "access-1", RefreshToken: "refresh-3", Expiry: expired}))
	_, err = m.Source("k").Token()
	assert.ErrorIs(t, err, ErrLoginRequired)
	assert.NotContains(t, err.Error(), "secret")
	assert.Equal(t, 3, posts, "the style isn't probed")
}

func TestTokenRequestsGoThroughTheContextsClientOrElseBase(t *testing.T) {
	transport := func(name string, used *[]string) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			*used = append(*used, name)
			resp := reply(200, `{"access_token":"new","expires_in":3600}`, "Content-Type", "application/json")
			resp.Request = r
			return resp, nil
		})
	}
	for _, test := range []struct {
		base, ctx bool
		want      string
	}{{true, false, "base"}, {true, true, "context"}, {false, true, "context"}} {
		synctest.Test(t, func(t *testing.T) {
			var used []string
			m := &Manager{
				Config: &oauth2.Config{Endpoint: oauth2.Endpoint{TokenURL: "https://login.example.com", AuthStyle: oauth2.AuthStyleInHeader}},
				Store:  newMemory(),
			}
			if test.base {
				m.Base = transport("base", &used)
			}
			ctx := t.Context()
			if test.ctx {
				ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: transport("context", &used)})
			}
			require.NoError(t, m.Save(ctx, "k", &oauth2.Token{AccessToken: "old", RefreshToken: "r", Expiry: time.Now().Add(-time.Hour)}))
			tok, err := m.Source("k").TokenContext(ctx)
			require.NoError(t, err)
			assert.Equal(t, "new", tok.AccessToken)
			assert.Equal(t, []string{test.want}, used)
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
