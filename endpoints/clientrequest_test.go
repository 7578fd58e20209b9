package endpoints_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// sendToFinch sends a client's request to Finch.
func sendToFinch(ctx context.Context, path string, body, v any) error {
	return endpoints.Finch.Config(oauth2.Config{ClientID: clientID, ClientSecret: clientSecret}).SendAsClient(ctx, path, body, v)
}

func TestClientRequestIsSentAsItSays(t *testing.T) {
	for name, test := range map[string]struct {
		path string
		body any
		want string
	}{
		"a POST": {"/sessions?a=1", map[string]any{"n": 1, "text": "<é>"}, `POST /sessions?a=1 HTTP/1.1
Host: api.tryfinch.com
Accept: application/json
Accept-Encoding: gzip
Authorization: Basic aWQtb2YtdGhlLWNsaWVudDpzZSJjcmV0Ky8mPTzDqT4=
Content-Length: 21
Content-Type: application/json
Finch-Api-Version: 2020-09-17
User-Agent: Go-http-client/1.1

{"n":1,"text":"<é>"}`},
		"a GET": {"/people/%2F%3F", nil, `GET /people/%2F%3F HTTP/1.1
Host: api.tryfinch.com
Accept: application/json
Accept-Encoding: gzip
Authorization: Basic aWQtb2YtdGhlLWNsaWVudDpzZSJjcmV0Ky8mPTzDqT4=
Finch-Api-Version: 2020-09-17
User-Agent: Go-http-client/1.1

`},
	} {
		t.Run(name, func(t *testing.T) {
			n := newInternet(t, answerJSON(201, `{"id": "x", "n": 12345678901234567890}`))
			var v struct {
				ID string
				N  uint64
			}
			require.NoError(t, sendToFinch(n.context(), test.path, test.body, &v))
			assert.Equal(t, test.want, n.only(t))
			assert.Equal(t, "x", v.ID)
			assert.Equal(t, uint64(12345678901234567890), v.N)
		})
	}
}

func TestClientRequestThatCanNotBeSent(t *testing.T) {
	refused := func(want, path string, body, v any) {
		n := newInternet(t, answerJSON(200, `{}`))
		err := sendToFinch(n.context(), path, body, v)
		assert.ErrorContains(t, err, "endpoints: Finch: SendAsClient: "+want)
		assert.Equal(t, endpoints.KindUnknown, endpoints.KindOf(err))
		assert.Empty(t, n.requests())
	}
	refused("the body has no JSON form", "/x", func() {}, nil)
	refused("the answer can't be decoded into a oauth2.Token", "/x", nil, oauth2.Token{})
	refused("the answer can't be decoded into a *oauth2.Token", "/x", nil, (*oauth2.Token)(nil))
	for _, path := range []string{
		"", "x", "//evil.example/x", "https://evil.example/x", "/x/../y", "/x/%2e%2e/y", "/x/./y", "/x//y", "/x/", "/x#y", `/x/..\y`, "/%zz",
	} {
		refused("the path must begin with a /, have no part that is empty or dots, no backslash and no fragment", path, nil, nil)
	}
	assert.EqualError(t, new(endpoints.Config).SendAsClient(t.Context(), "/x", nil, nil), "endpoints: a Config is made by Provider.Config")
}

func TestErrorOfAClientRequest(t *testing.T) {
	type id struct{ ID string }
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		v      any
		kind   endpoints.ErrorKind
		code   string
	}{
		"refused":            {answerJSON(401, `{"code": 401, "name": "invalid_client", "message": "no: `+clientID+`"}`), nil, endpoints.KindClientRejected, "invalid_client"},
		"the provider's":     {answerJSON(401, `{"code": 401, "name": "authentication_error", "finch_code": "reauthenticate_user"}`), nil, endpoints.KindCodeRejected, "reauthenticate_user"},
		"in trouble":         {answer(503, "text/html", "<html>"), nil, endpoints.KindProviderTrouble, "unreadable_response"},
		"a redirect":         {answer(307, "", ""), nil, endpoints.KindClientRejected, "unreadable_response"},
		"too many requests":  {answerJSON(429, `{}`), nil, endpoints.KindRateLimited, "too_many_requests"},
		"empty":              {answer(200, "", ""), new(id), endpoints.KindUnreadable, "unreadable_response"},
		"a page":             {answer(200, "text/html", "<html>"), new(id), endpoints.KindUnreadable, "unreadable_response"},
		"another type":       {answerJSON(200, `{"id": 1234567}`), new(id), endpoints.KindUnreadable, "unreadable_response"},
		"too long":           {answerJSON(200, `{"id": "`+string(make([]byte, 1<<20))+`"}`), new(id), endpoints.KindUnreadable, "unreadable_response"},
		"no token":           {answerJSON(200, `{"id": 1}`), new(oauth2.Token), endpoints.KindUnreadable, "unreadable_response"},
		"a page for a token": {answer(200, "text/html", "<html>"), new(oauth2.Token), endpoints.KindUnreadable, "unreadable_response"},
		"one that repeats":   {answerJSON(200, `{"id": "1234567"}`), new(repeating), endpoints.KindUnreadable, "unreadable_response"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newInternet(t, test.answer)
			err := sendToFinch(n.context(), "/sessions", 1, test.v)
			assert.Len(t, n.requests(), 1)
			var answered *oauth2.RetrieveError
			require.ErrorAs(t, err, &answered)
			assert.Equal(t, test.code, answered.ErrorCode)
			assert.Equal(t, test.kind, endpoints.KindOf(err))
			assert.NotContains(t, fmt.Sprintf("%v %s", err, answered.Body), "1234567")
			assertErrorHoldsNoSecrets(t, err)
			if token, ok := test.v.(*oauth2.Token); ok {
				assert.Equal(t, new(oauth2.Token), token)
			}
		})
	}
}

func TestErrorSaysWhyAnAnswerIsNone(t *testing.T) {
	p := rfc
	p.IntrospectURL, p.Endpoint.DeviceAuthURL = "https://as.example/introspect", "https://as.example/device"
	conf := p.Config(oauth2.Config{ClientID: clientID, ClientSecret: clientSecret})
	for want, a := range map[string]http.HandlerFunc{
		"it is empty (HTTP status 200 OK, 0 bytes":            answer(200, "", ""),
		"it is larger than 1048576 bytes (HTTP status 200 OK": answerJSON(200, `{"id": "`+strings.Repeat("x", 1<<20)+`"}`),
		"it is neither JSON nor a form (HTTP status 200 OK":   answer(200, "text/html", "<html>"),
	} {
		n := newInternet(t, a)
		assert.ErrorContains(t, conf.SendAsClient(n.context(), "/x", nil, new(any)), want)
		assert.ErrorContains(t, conf.SendAsClient(n.context(), "/x", nil, new(oauth2.Token)), want)
		_, err := conf.Introspect(n.context(), &oauth2.Token{AccessToken: "a"})
		assert.ErrorContains(t, err, want)
		_, err = conf.DeviceAuth(n.context())
		assert.ErrorContains(t, err, want)
	}
}

// repeating is a value whose error repeats the answer.
type repeating struct{}

func (*repeating) UnmarshalJSON(data []byte) error { return errors.New(string(data)) }

func TestAnswerThatNobodyLooksAt(t *testing.T) {
	for _, a := range []http.HandlerFunc{answer(204, "", ""), answer(200, "text/html", "<html>"), answerJSON(200, `{"access_token": "a1"}`)} {
		n := newInternet(t, a)
		assert.NoError(t, sendToFinch(n.context(), "/x", nil, nil))
		assert.Len(t, n.requests(), 1)
	}
}

func TestListInTheAnswerToAClientRequest(t *testing.T) {
	type item struct{ ID int }
	const body = `[{"id": 1}, {"id": 2}]`
	var items []item
	require.NoError(t, sendToFinch(newInternet(t, answerJSON(200, body)).context(), "/x", nil, &items))
	assert.Equal(t, []item{{1}, {2}}, items)
	var numbers []int
	require.NoError(t, sendToFinch(newInternet(t, answerJSON(200, `[1, 2]`)).context(), "/x", nil, &numbers))
	assert.Equal(t, []int{1, 2}, numbers)

	// An error in one of a list's elements is that element's, unless the status says otherwise.
	const withError = `[{"id": 1}, {"id": 2, "error": "expired"}]`
	require.NoError(t, sendToFinch(newInternet(t, answerJSON(200, withError)).context(), "/x", nil, &items))
	assert.Equal(t, []item{{1}, {2}}, items)
	var refused *oauth2.RetrieveError
	require.ErrorAs(t, sendToFinch(newInternet(t, answerJSON(409, withError)).context(), "/x", nil, &items), &refused)
	assert.Equal(t, "expired", refused.ErrorCode)

	one := new(item)
	err := sendToFinch(newInternet(t, answerJSON(200, body)).context(), "/x", nil, one)
	require.ErrorContains(t, err, "another type")
	assert.Zero(t, *one, "not the last of the list")
	require.Error(t, sendToFinch(newInternet(t, answerJSON(200, `null`)).context(), "/x", nil, one))

	// What a hook makes of it is what counts.
	p := rfc
	p.Response = func(r *endpoints.Response) error {
		r.Members = map[string]any{"id": 3}
		return nil
	}
	n := newInternet(t, answerJSON(200, body))
	require.NoError(t, p.Config(oauth2.Config{ClientID: clientID, ClientSecret: clientSecret}).SendAsClient(n.context(), "/x", nil, one))
	assert.Equal(t, item{3}, *one)
}

func TestTokenInTheAnswerToAClientRequest(t *testing.T) {
	p := rfc
	p.Answer.TokenIn = "data"
	p.Style.Params = endpoints.Params{"key": {"{client_id}"}} // which belongs to OAuth's requests
	n := newInternet(t, answerJSON(200, `{"data": {"access_token": "access-secret", "expires_in": 60, "account": "7"}}`))
	token := (&oauth2.Token{AccessToken: "a0", RefreshToken: "r0"}).WithExtra(map[string]any{"old": true})
	require.NoError(t, p.Config(oauth2.Config{ClientID: clientID, ClientSecret: clientSecret}).SendAsClient(n.context(), "/x", nil, token))
	assert.NotContains(t, n.only(t), "key")
	assert.Equal(t, "access-secret", token.AccessToken)
	assert.Equal(t, expiry(60e9).Unix(), token.Expiry.Unix())
	assert.Equal(t, map[string]any{"access_token": "access-secret", "expires_in": 60., "account": "7"}, token.Extra("data"))
	assert.Empty(t, token.RefreshToken, "what v had before")
	assert.Nil(t, token.Extra("old"))
}
