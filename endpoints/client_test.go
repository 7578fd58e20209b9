package endpoints_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// bearers tells, for each request, its URL and the token in it.
func bearers(requests []string) []string {
	var out []string
	for _, r := range requests {
		lines := strings.Split(r, "\n")
		path := strings.Fields(lines[0])[1]
		seen := strings.TrimPrefix(lines[1], "Host: ") + path
		for _, line := range lines {
			if token, ok := strings.CutPrefix(line, "Authorization: "); ok {
				seen += " " + token
			}
		}
		out = append(out, seen)
	}
	return out
}

func clientOf(ctx context.Context, apiURL string) *http.Client {
	p := rfc
	p.APIURLs = []string{apiURL}
	return p.Config(oauth2.Config{ClientID: "id"}).Client(ctx, &oauth2.Token{AccessToken: "a1"})
}

func TestClientSendsTheTokenToTheAPIOriginOnly(t *testing.T) {
	for _, test := range []struct {
		api, url string
		sent     string // "" if it is refused
		refusal  string
	}{
		{"https://api.example/v1", "https://api.example/v2/x?y", "api.example/v2/x?y Bearer a1", ""},
		{"https://api.example", "https://api.example:443/", "api.example:443/ Bearer a1", ""},
		{"https://api.example:443/", "https://api.example/", "api.example/ Bearer a1", ""},
		{"https://API.example", "https://api.EXAMPLE/", "api.EXAMPLE/ Bearer a1", ""},
		{"HTTPS://api.example", "https://api.example/", "api.example/ Bearer a1", ""},
		{"https://api.example:8443", "https://api.example:8443/", "api.example:8443/ Bearer a1", ""},
		{"https://[::1]:8443", "https://[::1]:8443/", "[::1]:8443/ Bearer a1", ""},

		{"https://api.example", "https://api.example:8443/", "", "the token is for https://api.example and is not sent to https://api.example:8443"},
		{"https://api.example", "http://api.example/", "", "the token is for https://api.example and is not sent to http://api.example"},
		{"https://api.example", "http://api.example:443/", "", "the token is for https://api.example and is not sent to http://api.example:443"},
		{"https://api.example", "https://evil-api.example/", "", "the token is for https://api.example and is not sent to https://evil-api.example"},
		{"https://api.example", "https://api.example.evil/", "", "the token is for https://api.example and is not sent to https://api.example.evil"},
		{"https://api.example", "https://v2.api.example/", "", "the token is for https://api.example and is not sent to https://v2.api.example"},
		{"https://api.example", "https://api.example@evil.example/", "", "the token is for https://api.example and is not sent to https://evil.example"},
	} {
		t.Run(test.api+" "+test.url, func(t *testing.T) {
			net := newInternet(t, answer(200, "", ""))
			body := &closeRecorder{Reader: strings.NewReader("x")}
			r, err := http.NewRequest("POST", test.url, body)
			require.NoError(t, err)
			resp, err := clientOf(net.context(), test.api).Do(r)
			assert.True(t, body.closed)
			if test.sent == "" {
				assert.ErrorContains(t, err, "endpoints: RFC: "+test.refusal)
				assert.Equal(t, endpoints.KindUnknown, endpoints.KindOf(err))
				assert.Empty(t, net.requests())
				return
			}
			require.NoError(t, err)
			resp.Body.Close()
			assert.Equal(t, []string{test.sent}, bearers(net.requests()))
		})
	}
	_, err := clientOf(context.Background(), "https://api.example").Get("https://evil.example/")
	assert.ErrorContains(t, err, "not sent to https://evil.example", "without a body")
}

func TestClientFollowsRedirectsWithoutTheTokenElsewhere(t *testing.T) {
	net := newInternet(t, func(w http.ResponseWriter, r *http.Request) {
		next := map[string]string{
			"/start": "https://cdn.example/file", "/file": "https://api.example/back", "/back": "https://api.example:8443/end",
		}[r.URL.Path]
		if next != "" {
			http.Redirect(w, r, next, http.StatusTemporaryRedirect)
		}
	})
	resp, err := clientOf(net.context(), "https://api.example").Get("https://api.example/start")
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, 200, resp.StatusCode)
	assert.Equal(t, []string{
		"api.example/start Bearer a1", "cdn.example/file", "api.example/back", "api.example:8443/end",
	}, bearers(net.requests()), "what the stranger has chosen gets no token either")
}

func TestClientNeedsToKnowWhereTheAPIIs(t *testing.T) {
	net := newInternet(t, answer(200, "", ""))
	p := rfc
	p.APIURLs = nil
	_, err := p.Config(oauth2.Config{ClientID: "id"}).Client(net.context(), &oauth2.Token{AccessToken: "a1"}).Get("https://api.example/")
	assert.ErrorContains(t, err, "endpoints: RFC: Provider.APIURLs must say where the API is that the token is for")
	assert.Empty(t, net.requests())
}

func TestClientSendsTheTokenToEachAPIOrigin(t *testing.T) {
	net := newInternet(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/start" {
			http.Redirect(w, r, "https://uploads.example/end", http.StatusTemporaryRedirect)
		}
	})
	p := rfc
	p.APIURLs = []string{"https://api.example/v1", "https://uploads.example"}
	conf := p.Config(oauth2.Config{ClientID: "id"})
	urls, err := conf.APIURLs(&oauth2.Token{AccessToken: "a1"})
	require.NoError(t, err)
	assert.Equal(t, p.APIURLs, urls)
	urls[0] = "https://evil.example"
	client := conf.Client(net.context(), &oauth2.Token{AccessToken: "a1"})
	for _, u := range []string{"https://api.example/start", "https://uploads.example/x"} {
		resp, err := client.Get(u)
		require.NoError(t, err)
		resp.Body.Close()
	}
	_, err = client.Get("https://evil.example/")
	assert.ErrorContains(t, err, "the token is for https://api.example, https://uploads.example and is not sent to https://evil.example")
	assert.Equal(t, []string{"api.example/start Bearer a1", "uploads.example/end Bearer a1", "uploads.example/x Bearer a1"}, bearers(net.requests()))
}

func TestClientRefusesAHostThatIsntTheURLs(t *testing.T) {
	net := newInternet(t, answer(200, "", ""))
	client := clientOf(net.context(), "https://api.example")
	r, err := http.NewRequest("GET", "https://api.example/", nil)
	require.NoError(t, err)
	r.Host = "evil.example"
	_, err = client.Do(r)
	assert.ErrorContains(t, err, "is not sent to https://api.example for the host evil.example")
	_, err = client.Transport.RoundTrip(&http.Request{Method: "GET"})
	assert.ErrorContains(t, err, "is not sent to a request without a URL")
	assert.Empty(t, net.requests())
}

func TestTokenTypeIsNeverTheScheme(t *testing.T) {
	net := newInternet(t, answer(200, "", ""))
	for _, tokenType := range []string{"", "bearer", "BearerToken", "bot", "jwt-bearer", "mac", "Basic"} {
		token := &oauth2.Token{AccessToken: "a1", TokenType: tokenType}
		resp, err := rfc.Config(oauth2.Config{ClientID: "id"}).Client(net.context(), token).Get("https://api.example/")
		require.NoError(t, err)
		resp.Body.Close()
		require.NoError(t, endpoints.Finch.Config(oauth2.Config{ClientID: "id"}).Revoke(net.context(), token))
	}
	requests := bearers(net.requests())
	assert.Len(t, requests, 14)
	for _, r := range requests {
		assert.True(t, strings.HasSuffix(r, " Bearer a1"), r)
	}
}

func TestClientKeepsAnotherAuthorization(t *testing.T) {
	net := newInternet(t, answer(200, "", ""))
	client := clientOf(net.context(), "https://api.example")
	for own, want := range map[string]string{"Basic aWQ6cw==": "Basic aWQ6cw==", "bearer other": "Bearer a1", "": "Bearer a1"} {
		r, err := http.NewRequest("GET", "https://api.example/", nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", own)
		resp, err := client.Do(r)
		require.NoError(t, err)
		resp.Body.Close()
		assert.Equal(t, own, r.Header.Get("Authorization"))
		sent := net.requests()
		assert.Contains(t, sent[len(sent)-1], "\nAuthorization: "+want+"\n")
		r.Header = nil
		resp, err = client.Transport.RoundTrip(r)
		require.NoError(t, err, "without a header")
		resp.Body.Close()
	}
}

// A header's fields are sent in whatever case they stand in the map, so that two
// spellings of one would be two fields.
func TestClientSendsOneTokenWhateverTheCaseOfAField(t *testing.T) {
	net := newInternet(t, answer(200, "", ""))
	p := endpoints.Provider{
		Endpoint: oauth2.Endpoint{TokenURL: "https://auth.example/token"}, APIURLs: []string{"https://api.example"},
		API: endpoints.API{Header: map[string]string{"X-Token": "{access_token}", "X-Version": "1"}},
	}
	custom := p.Config(oauth2.Config{}).Client(net.context(), &oauth2.Token{AccessToken: "a1"})
	p.API.Header = map[string]string{"Authorization": "Zoho-oauthtoken {access_token}"}
	scheme := p.Config(oauth2.Config{}).Client(net.context(), &oauth2.Token{AccessToken: "a1"})
	for _, test := range []struct {
		client             *http.Client
		field, value, want string
	}{
		{clientOf(net.context(), "https://api.example"), "authorization", "Bearer other", "Authorization: Bearer a1"},
		{clientOf(net.context(), "https://api.example"), "authorization", "Basic aWQ6cw==", "Authorization: Basic aWQ6cw=="},
		{scheme, "AUTHORIZATION", "zoho-oauthtoken other", "Authorization: Zoho-oauthtoken a1"},
		{custom, "x-token", "other", "X-Token: a1 X-Version: 1"},
		{custom, "x-version", "2", "X-Token: a1 X-Version: 2"},
	} {
		r, err := http.NewRequest("GET", "https://api.example/", nil)
		require.NoError(t, err)
		r.Header[test.field] = []string{test.value}
		resp, err := test.client.Do(r)
		require.NoError(t, err)
		resp.Body.Close()
		assert.Equal(t, http.Header{test.field: {test.value}}, r.Header)
		sent := net.requests()
		var fields []string
		for _, line := range strings.Split(sent[len(sent)-1], "\n") {
			if strings.HasPrefix(line, "Authorization") || strings.HasPrefix(line, "X-") {
				fields = append(fields, line)
			}
		}
		assert.Equal(t, test.want, strings.Join(fields, " "))
	}
}

func TestResponseLeadsToNoToken(t *testing.T) {
	net := newInternet(t, answer(200, "", ""))
	r, err := http.NewRequest("GET", "https://api.example/", nil)
	require.NoError(t, err)
	resp, err := clientOf(net.context(), "https://api.example").Transport.RoundTrip(r)
	require.NoError(t, err)
	resp.Body.Close()
	assert.Same(t, r, resp.Request)
	assert.Empty(t, r.Header)
}

// closer is a transport that counts.
type closer struct {
	roundTripper
	closed int
}

func (c *closer) CloseIdleConnections() { c.closed++ }

func TestIdleConnectionsAreClosedBelow(t *testing.T) {
	base := new(closer)
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: base})
	clientOf(ctx, "https://api.example").CloseIdleConnections()
	p := rfc
	p.Context(ctx).Value(oauth2.HTTPClient).(*http.Client).CloseIdleConnections()
	assert.Equal(t, 2, base.closed)
}

func TestClientRefreshesAnExpiredToken(t *testing.T) {
	net := newInternet(t, answerJSON(200, `{"access_token":"a2","expires_in":3600}`))
	expired := &oauth2.Token{AccessToken: "a1", RefreshToken: "r1", Expiry: time.Unix(1, 0)}
	client := endpoints.TaxRock.Config(oauth2.Config{ClientID: "id"}).Client(net.context(), expired)
	for range 2 {
		resp, err := client.Get("https://delegate.api.taxrock.com/client-accounts")
		require.NoError(t, err)
		resp.Body.Close()
	}
	assert.Equal(t, []string{
		"login.taxrock.com/oauth/token", "delegate.api.taxrock.com/client-accounts Bearer a2", "delegate.api.taxrock.com/client-accounts Bearer a2",
	}, bearers(net.requests()))
	assert.True(t, expired.AccessToken == "a1", "the caller's token is not changed")
}

func TestConfigIsSafeForConcurrentUse(t *testing.T) {
	p := deepest()
	conf := p.Config(oauth2.Config{ClientID: "id", ClientSecret: "s"})
	ctx := answering(answerJSON(200, `{"ok":true,"data":{"token":"issued-token"}}`)).context()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			_, err := conf.Exchange(ctx, "c0de", oauth2.SetAuthURLParam("trace", "7"))
			assert.NoError(t, err)
			_, err = refresh(p.Context(ctx), conf, "old")
			assert.NoError(t, err)
			assert.NotEmpty(t, conf.AuthCodeURL("state"))
			assert.NoError(t, conf.Revoke(ctx, &oauth2.Token{AccessToken: "x"}))
		})
	}
	group.Wait()
}
