package endpoints_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// sentForm returns the parameters of the one request that call makes.
func sentForm(t *testing.T, call func(context.Context) error) url.Values {
	t.Helper()
	var form url.Values
	base := roundTripper(func(r *http.Request) (*http.Response, error) {
		require.Nil(t, form, "a second request")
		var err error
		form, err = url.ParseQuery(readAll(t, r.Body))
		require.NoError(t, err)
		header := http.Header{"Content-Type": {"application/json"}}
		return &http.Response{StatusCode: 200, Header: header, Body: io.NopCloser(strings.NewReader(`{"access_token":"a1"}`))}, nil
	})
	require.NoError(t, call(base.context()))
	return form
}

func TestOptionsOfAnExchangeAreThoseOfXOAuth2(t *testing.T) {
	set := oauth2.SetAuthURLParam
	for name, opts := range map[string][]oauth2.AuthCodeOption{
		"none":                    nil,
		"the verifier":            {oauth2.VerifierOption("v3rifier")},
		"a challenge":             {oauth2.S256ChallengeOption("v3rifier")},
		"one that x/oauth2 names": {oauth2.AccessTypeOffline, oauth2.ApprovalForce},
		"the code":                {set("code", "another")},
		"no redirect_uri":         {set("redirect_uri", "")},
		"a grant_type":            {set("grant_type", "urn:example:grant")},
		"the response_type":       {set("response_type", "code")},
		"another response_type":   {set("response_type", "token"), set("response_mode", "form_post")},
		"another client":          {set("client_id", "another"), set("client_secret", "another")},
		"no client":               {set("client_id", ""), set("client_secret", "")},
		"one twice":               {set("audience", "a&b=c"), set("audience", "d+e%20f;g")},
		"a refresh token":         {set("refresh_token", "r1")},
	} {
		for _, client := range []oauth2.Config{
			{ClientID: "id", ClientSecret: "secret", RedirectURL: "https://app.example/callback"},
			{ClientID: "id"},
			{RedirectURL: "https://app.example/callback"},
		} {
			client.Endpoint = rfc.Endpoint
			client.Endpoint.AuthStyle = oauth2.AuthStyleInParams
			var tokens [2]*oauth2.Token
			theirs := sentForm(t, func(ctx context.Context) (err error) {
				tokens[0], err = client.Exchange(ctx, "c0de", opts...)
				return err
			})
			ours := sentForm(t, func(ctx context.Context) (err error) {
				tokens[1], err = rfc.Config(client).Exchange(ctx, "c0de", opts...)
				return err
			})
			for name, values := range theirs {
				if values[0] == "" {
					delete(theirs, name) // it is never sent (RFC 6749, section 3.1)
				}
			}
			assert.Equal(t, theirs, ours, name)
			assert.Equal(t, tokens[0], tokens[1], name)
		}
	}
}

// A hook may need a token of another client to make its request with.
func TestCallWithTheContextOfAnAdaptedRequestIsAdaptedToo(t *testing.T) {
	net := newInternet(t, answerJSON(200, `{"access_token":"issued-token"}`))
	inner, p := rfc, rfc
	inner.Endpoint.TokenURL = "https://inner.example/token"
	inner.Style.Body = endpoints.JSONBody
	p.Request = func(r *endpoints.Request) error {
		t, err := inner.Config(oauth2.Config{ClientID: "inner"}).Exchange(r.HTTP.Context(), "c0de")
		if err != nil {
			return err
		}
		r.Params.Set("app_token", t.AccessToken)
		return nil
	}
	_, err := p.Config(oauth2.Config{ClientID: "outer"}).Exchange(net.context(), "c0de")
	require.NoError(t, err)
	requests := net.requests()
	require.Len(t, requests, 2)
	assert.Contains(t, requests[0], "\n\n"+`{"client_id":"inner","code":"c0de","grant_type":"authorization_code"}`)
	assert.Contains(t, requests[1], "\n\napp_token=issued-token&client_id=outer&code=c0de&grant_type=authorization_code")
}

func TestExchangeAllocatesLittleMoreThanXOAuth2s(t *testing.T) {
	base := roundTripper(func(r *http.Request) (*http.Response, error) {
		const answer = `{"access_token":"a1","token_type":"Bearer","refresh_token":"r1","expires_in":86400}`
		header := http.Header{"Content-Type": {"application/json"}}
		return &http.Response{StatusCode: 200, Header: header, Body: io.NopCloser(strings.NewReader(answer))}, nil
	})
	ctx := base.context()
	client := oauth2.Config{ClientID: "id", ClientSecret: "secret", RedirectURL: "https://app.example/callback", Endpoint: rfc.Endpoint}
	client.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	conf := rfc.Config(client)
	allocs := func(exchange func(context.Context, string, ...oauth2.AuthCodeOption) (*oauth2.Token, error)) float64 {
		return testing.AllocsPerRun(100, func() {
			if _, err := exchange(ctx, "c0de"); err != nil {
				panic(err)
			}
		})
	}
	assert.Less(t, allocs(conf.Exchange), 1.2*allocs(client.Exchange))
}

func TestTransportThatReturnsNothing(t *testing.T) {
	ctx := roundTripper(func(*http.Request) (*http.Response, error) { return nil, nil }).context()
	for _, way := range ways {
		ctx, conf := way.use(ctx, rfc, oauth2.Config{ClientID: "id"})
		_, err := conf.Exchange(ctx, "c0de")
		assert.ErrorContains(t, err, "a endpoints_test.roundTripper has returned neither an answer nor an error")
	}
}

// A program may take the refresh token out of what it hands on.
func TestRefreshTokenThatTheCallerHasRemovedIsStillThere(t *testing.T) {
	for _, way := range ways {
		net := newInternet(t, answerJSON(200, `{"access_token":"a1","refresh_token":"r1"}`))
		ctx, conf := way.use(net.context(), rfc, oauth2.Config{ClientID: "id"})
		token := &oauth2.Token{AccessToken: "a0", RefreshToken: "r0", Expiry: time.Unix(1, 0)}
		source := conf.TokenSource(ctx, token)
		for range 2 {
			token.RefreshToken, token.Expiry = "", time.Unix(1, 0)
			var err error
			token, err = source.Token()
			require.NoError(t, err, way.name)
		}
		requests := net.requests()
		require.Len(t, requests, 2)
		assert.Contains(t, requests[0], "refresh_token=r0")
		assert.Contains(t, requests[1], "refresh_token=r1")
	}
}
