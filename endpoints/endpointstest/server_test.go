package endpointstest_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/endpoints/finch"
)

func origin(t *testing.T, rawURL string) string {
	t.Helper()
	r, err := http.NewRequest("GET", rawURL, nil)
	require.NoError(t, err)
	return r.URL.Scheme + "://" + r.URL.Host
}

// TestProvider: nothing but the origins of the URLs is different, and origins that
// differ in reality differ here.
func TestProvider(t *testing.T) {
	s := endpointstest.New(t)
	seen := make(map[string]string)
	for name, p := range all {
		here := s.Provider(p)
		login, api := origin(t, here.Endpoint.AuthURL), origin(t, here.APIURLs[0])
		assert.Regexp(t, `^http://127\.0\.0\.1:\d+$`, login)
		assert.Regexp(t, `^http://127\.0\.0\.1:\d+$`, api)
		for _, o := range []string{login, api} {
			assert.Empty(t, seen[o], "%s and %s share an origin", name, seen[o])
			seen[o] = name
		}
		real := map[string]string{origin(t, p.Endpoint.AuthURL): login, origin(t, p.APIURLs[0]): api}
		for _, u := range []struct{ real, here string }{
			{p.Endpoint.AuthURL, here.Endpoint.AuthURL},
			{p.Endpoint.TokenURL, here.Endpoint.TokenURL},
			{p.RevokeURL, here.RevokeURL},
			{p.APIURLs[0], here.APIURLs[0]},
			{p.IntrospectURL, here.IntrospectURL},
		} {
			if u.real == "" {
				assert.Empty(t, u.here)
				continue
			}
			o := origin(t, u.real)
			assert.Equal(t, strings.Replace(u.real, o, real[o], 1), u.here)
		}
		assert.Empty(t, here.RefreshURL)
		assert.Equal(t, here, s.Provider(here), "again")
		require.NoError(t, here.Validate())

		here.Endpoint.AuthURL, here.Endpoint.TokenURL = p.Endpoint.AuthURL, p.Endpoint.TokenURL
		here.RevokeURL, here.IntrospectURL, here.APIURLs[0] = p.RevokeURL, p.IntrospectURL, p.APIURLs[0]
		assert.Equal(t, p, here)
	}
	other := endpoints.Chart // the host that Chart's reference names
	other.Endpoint.TokenURL = "https://api.trychart.com/auth/token"
	assert.Equal(t, s.Provider(endpoints.Chart).Endpoint, s.Provider(other).Endpoint)
	other.RefreshURL = "https://api.trychart.com/again?x=1"
	assert.Equal(t, s.Provider(endpoints.Chart).APIURLs[0]+"/again?x=1", s.Provider(other).RefreshURL)
	other.Endpoint.AuthURL = "https://connect.example.com"
	assert.Equal(t, s.Config(endpoints.Chart, ""), s.Config(other, ""), "known by its name")
}

func TestMisuse(t *testing.T) {
	s := endpointstest.New(t)
	assert.PanicsWithValue(t, `endpointstest: there is no provider "Acme" here`, func() { s.Provider(endpoints.Provider{Name: "Acme"}) })
	for _, url := range []string{"/callback", "http://localhost/#x", "http://local host/"} {
		assert.Panics(t, func() { s.Config(endpoints.Finch, url) }, url)
	}
	assert.PanicsWithValue(t, `endpointstest: Connect has the unknown value "wages"`, func() { s.Connect(endpoints.Finch, "wages") })
}

func TestConfig(t *testing.T) {
	s := endpointstest.New(t)
	ids := make(map[string]bool)
	for _, p := range all {
		c := s.Config(p, callback)
		assert.Equal(t, s.Provider(p).Endpoint, c.Endpoint)
		assert.Equal(t, callback, c.RedirectURL)
		assert.Empty(t, c.Scopes)
		assert.Equal(t, c, s.Config(p, callback), "the same client again")
		ids[c.ClientID], ids[c.ClientSecret] = true, true
	}
	assert.Len(t, ids, 8, "no two providers have an id or a secret in common")
}

func TestConnect(t *testing.T) {
	s := endpointstest.New(t)
	token := s.Connect(endpoints.Finch, "company", "ssn")
	var c finch.Connection
	require.NoError(t, endpoints.Metadata(token, &c))
	assert.Equal(t, []string{"company", "ssn"}, c.Products)
	assert.Equal(t, "gusto", c.ProviderID)
	assert.NotEmpty(t, c.ConnectionID)
	assert.True(t, token.Expiry.IsZero())
	assert.Equal(t, "Bearer", token.Type())
	assert.NotEqual(t, token.AccessToken, s.Connect(endpoints.Finch).AccessToken, "another account")

	token = s.Connect(endpoints.TaxRock)
	assert.WithinDuration(t, time.Now().Add(time.Hour), token.Expiry, 10*time.Second)
	assert.Equal(t, "offline_access read:client-accounts", token.Extra("scope"))
	assert.True(t, token.Valid())
	assert.Equal(t, endpointstest.Stats{Rejected: map[string]int{}}, s.Stats(endpoints.TaxRock))
}

func TestStatsAreACopy(t *testing.T) {
	s := endpointstest.New(t)
	s.Stats(endpoints.Finch).Rejected["mine"] = 1
	assert.Empty(t, s.Stats(endpoints.Finch).Rejected)
}

// drain reads the rest of an answer, so that its connection is used again.
func drain(t *testing.T, resp *http.Response) {
	_, err := io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	resp.Body.Close()
}

// TestMemoryIsBounded by the number of connections, whatever clients invent.
func TestMemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("sends fourteen hundred requests; run without -short")
	}
	s := endpointstest.New(t)
	p := endpoints.Chart
	client := browser(t)
	for i := range 300 {
		body := `{"` + strings.Repeat("x", i) + `":""}`
		resp, err := client.Post(s.Provider(p).Endpoint.TokenURL, "application/json", strings.NewReader(body))
		require.NoError(t, err)
		drain(t, resp)
	}
	assert.Less(t, len(s.Stats(p).Rejected), 100, "long names are cut")
	for i := range 1100 {
		resp, err := client.Get(fmt.Sprintf("%s?x%d=1", s.Provider(p).Endpoint.AuthURL, i))
		require.NoError(t, err)
		drain(t, resp)
	}
	assert.LessOrEqual(t, len(s.Stats(p).Rejected), 1001)
	assert.Positive(t, s.Stats(p).Rejected["other"])
}

// goroutines returns the stacks of the server's goroutines.
func goroutines() string {
	var b bytes.Buffer
	pprof.Lookup("goroutine").WriteTo(&b, 2)
	var stacks []string
	for stack := range strings.SplitSeq(b.String(), "\n\n") {
		if strings.Contains(stack, "net/http.(*conn).serve") || strings.Contains(stack, "endpointstest.(*") {
			stacks = append(stacks, stack)
		}
	}
	return strings.Join(stacks, "\n\n")
}

func TestCloseLeavesNothing(t *testing.T) {
	s, err := endpointstest.Start()
	require.NoError(t, err)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 20}} // holds on to its connections
	var wg sync.WaitGroup
	for _, p := range all {
		token := s.Connect(p)
		for range 20 {
			wg.Go(func() {
				r, err := http.NewRequest("GET", s.Provider(p).APIURLs[0]+apiPath[p.Name], nil)
				assert.NoError(t, err)
				token.SetAuthHeader(r)
				resp, err := client.Do(r)
				if assert.NoError(t, err) {
					io.Copy(io.Discard, resp.Body) // or else the connection isn't kept
					resp.Body.Close()
				}
			})
		}
	}
	wg.Wait()
	require.NotEmpty(t, goroutines())
	start := time.Now()
	s.Close()
	assert.Less(t, time.Since(start), 2*time.Second, "idle connections don't hold it up")
	s.Close()
	// What is left is on its last line.
	assert.Eventually(t, func() bool { return goroutines() == "" }, 5*time.Second, time.Millisecond, goroutines)
	_, err = client.Get(s.Provider(endpoints.Finch).APIURLs[0])
	assert.Error(t, err)
}

// TestCloseWaits for the answer to a request, and cuts its delay short.
func TestCloseWaits(t *testing.T) {
	p := endpoints.TaxRock
	s, err := endpointstest.Start()
	require.NoError(t, err)
	token := s.Connect(p)
	s.Fail(p, endpointstest.Fault{RequestDelay: time.Hour, AnswerDelay: time.Hour})
	answered := make(chan int, 1)
	go func() {
		a, _ := trySend(t, "POST", s.Provider(p).Endpoint.TokenURL, jsonHeader(), marshal(t, refresh(s, p, token.RefreshToken)))
		answered <- a.status
	}()
	require.Eventually(t, func() bool { return s.Stats(p).Faulted == 1 }, 10*time.Second, time.Millisecond)
	start := time.Now()
	s.Close()
	assert.Less(t, time.Since(start), 4*time.Second)
	assert.Equal(t, 1, s.Stats(p).Refreshed, "it is done when Close returns")
	assert.Equal(t, 200, <-answered)
}

// TestCloseWhileAnswering closes a connection that the client would keep as soon as
// its request is answered.
func TestCloseWhileAnswering(t *testing.T) {
	s, err := endpointstest.Start()
	require.NoError(t, err)
	started := make(chan bool)
	s.Fail(endpoints.Finch, endpointstest.Fault{On: endpointstest.API, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		started <- true
		time.Sleep(10 * time.Millisecond) // Close begins
	})})
	answered := make(chan int, 1)
	go func() { answered <- get(t, s, endpoints.Finch, "/introspect", "x").status }()
	<-started
	start := time.Now()
	s.Close()
	assert.Less(t, time.Since(start), 3*time.Second)
	assert.Equal(t, 200, <-answered)
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	p := endpoints.TaxRock
	s := endpointstest.New(t)
	rotating(s, p, time.Minute)
	shared := s.Connect(p)
	rounds := 10
	if testing.Short() {
		rounds = 3
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range rounds {
				token := s.Connect(p)
				s.Fail(p, endpointstest.Fault{AnswerDelay: time.Millisecond, Times: 1})
				s.SetPolicy(p, s.Policy(p))
				s.Config(p, callback)
				s.Advance(time.Millisecond)
				// Spent by eight at once, within its grace.
				post(t, s, p, refresh(s, p, shared.RefreshToken))
				get(t, s, p, "/client-accounts", token.AccessToken)
				s.Revoke(p, token)
				s.Clear(p)
				s.Stats(p)
			}
		})
	}
	wg.Wait()
	stats := s.Stats(p)
	assert.Equal(t, 8*rounds, stats.Refreshed)
	assert.Equal(t, 8*rounds-1, stats.Graced)
	assert.Equal(t, 8*rounds, stats.APIAnswered)
	assert.Equal(t, 8*rounds, stats.Revoked)
}

// TestManyProcesses is what a soak of a token keeper does: processes with 64 goroutines
// each.
func TestManyProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; run without -short")
	}
	const processes, goroutines, calls = 2, 32, 5
	p := endpoints.TaxRock
	s := endpointstest.New(t)
	rotating(s, p, 0)
	shared := s.Connect(p)
	var wg sync.WaitGroup
	for range processes {
		own := s.Connect(p)
		child := exec.Command(os.Args[0], "-test.run=^TestChildProcess$")
		child.Env = append(os.Environ(), "ENDPOINTSTEST_CHILD=1",
			"API="+s.Provider(p).APIURLs[0]+"/client-accounts", "ACCESS="+shared.AccessToken,
			"TOKEN="+s.Provider(p).Endpoint.TokenURL, "ID="+s.Config(p, "").ClientID, "SECRET="+s.Config(p, "").ClientSecret,
			"REFRESH="+own.RefreshToken)
		wg.Go(func() {
			out, err := child.CombinedOutput()
			assert.NoError(t, err, string(out))
		})
	}
	wg.Wait()
	stats := s.Stats(p)
	assert.Equal(t, processes*goroutines*calls, stats.APIAnswered)
	assert.Equal(t, processes*calls, stats.Refreshed)
	assert.Zero(t, stats.Reused)
	assert.Empty(t, stats.Rejected)
}

// TestChildProcess is one of the processes.
func TestChildProcess(t *testing.T) {
	if os.Getenv("ENDPOINTSTEST_CHILD") == "" {
		return
	}
	p := endpoints.TaxRock
	p.Endpoint.TokenURL = os.Getenv("TOKEN")
	config := p.Config(oauth2.Config{ClientID: os.Getenv("ID"), ClientSecret: os.Getenv("SECRET")})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for range 5 {
				r, err := http.NewRequest("GET", os.Getenv("API"), nil)
				assert.NoError(t, err)
				r.Header.Set("Authorization", "Bearer "+os.Getenv("ACCESS"))
				resp, err := client.Do(r)
				if assert.NoError(t, err) {
					assert.Equal(t, 200, resp.StatusCode)
					resp.Body.Close()
				}
			}
		})
	}
	token := &oauth2.Token{RefreshToken: os.Getenv("REFRESH")}
	for range 5 {
		token.Expiry = time.Unix(1, 0)
		next, err := config.TokenSource(t.Context(), token).Token()
		require.NoError(t, err)
		require.NotEqual(t, token.RefreshToken, next.RefreshToken)
		token = next
	}
	wg.Wait()
}
