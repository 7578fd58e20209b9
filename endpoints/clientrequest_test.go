package endpoints_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

var asClient = endpoints.ClientRequest{Path: "/sessions?a=1", Body: map[string]any{"n": 1, "text": "<é>"}}

func TestClientRequestIsSentAsItSays(t *testing.T) {
	for name, test := range map[string]struct {
		request endpoints.ClientRequest
		want    string
	}{
		"a body": {asClient, `POST /sessions?a=1 HTTP/1.1
Host: api.tryfinch.com
Accept: application/json
Accept-Encoding: gzip
Authorization: Basic aWQtb2YtdGhlLWNsaWVudDpzZSUyMmNyZXQlMkIlMkYlMjYlM0QlM0MlQzMlQTklM0U=
Content-Length: 21
Content-Type: application/json
Finch-Api-Version: 2020-09-17
User-Agent: Go-http-client/1.1

{"n":1,"text":"<é>"}`},
		"a GET, with the credentials as they are": {endpoints.ClientRequest{
			Method: "GET", Path: "/people/%2F%3F", Auth: endpoints.ClientSecretBasicRaw,
		}, `GET /people/%2F%3F HTTP/1.1
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
			reply, err := endpoints.Finch.Config(oauth2.Config{ClientID: clientID, ClientSecret: clientSecret}).SendAsClient(n.context(), test.request)
			require.NoError(t, err)
			assert.Equal(t, test.want, n.only(t))
			var v struct {
				ID string
				N  uint64
			}
			require.NoError(t, reply.Decode(&v))
			assert.Equal(t, "x", v.ID)
			assert.Equal(t, uint64(12345678901234567890), v.N)
		})
	}
}

func TestClientRequestThatCanNotBeSent(t *testing.T) {
	conf := endpoints.Finch.Config(oauth2.Config{ClientID: clientID, ClientSecret: clientSecret})
	refused := func(want string, r endpoints.ClientRequest) {
		n := newInternet(t, answerJSON(200, `{}`))
		_, err := conf.SendAsClient(n.context(), r)
		assert.ErrorContains(t, err, want)
		assert.Equal(t, endpoints.KindUnknown, endpoints.KindOf(err))
		assert.Empty(t, n.requests())
	}
	refused("ClientRequest.Method is unknown", endpoints.ClientRequest{Method: "PUT", Path: "/x"})
	refused("ClientRequest.Body has no effect", endpoints.ClientRequest{Method: "GET", Path: "/x", Body: 1})
	refused("ClientRequest.Body has no JSON form", endpoints.ClientRequest{Path: "/x", Body: func() {}})
	refused(`ClientRequest.Auth can't be "none"`, endpoints.ClientRequest{Path: "/x", Auth: endpoints.PublicClient})
	for _, path := range []string{
		"", "x", "//evil.example/x", "https://evil.example/x", "/x/../y", "/x/%2e%2e/y", "/x/./y", "/x//y", "/x/", "/x#y", `/x/..\y`, "/%zz",
	} {
		refused("ClientRequest.Path must be a path", endpoints.ClientRequest{Path: path})
	}
}

func TestAnswerToAClientRequest(t *testing.T) {
	decode := func(r *endpoints.Reply) error {
		var v struct{ ID string }
		return r.Decode(&v)
	}
	token := func(r *endpoints.Reply) error {
		_, err := r.Token()
		return err
	}
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		use    func(*endpoints.Reply) error
		kind   endpoints.ErrorKind
		code   string
	}{
		"refused":           {answerJSON(401, `{"code": 401, "name": "invalid_client", "message": "no: `+clientID+`"}`), nil, endpoints.KindClientRejected, "invalid_client"},
		"the provider's":    {answerJSON(401, `{"code": 401, "name": "authentication_error", "finch_code": "reauthenticate_user"}`), nil, endpoints.KindCodeRejected, "reauthenticate_user"},
		"in trouble":        {answer(503, "text/html", "<html>"), nil, endpoints.KindProviderTrouble, "unreadable_response"},
		"a redirect":        {answer(307, "", ""), nil, endpoints.KindClientRejected, "unreadable_response"},
		"empty":             {answer(200, "", ""), decode, endpoints.KindUnreadable, "unreadable_response"},
		"a page":            {answer(200, "text/html", "<html>"), decode, endpoints.KindUnreadable, "unreadable_response"},
		"another type":      {answerJSON(200, `{"id": 1}`), decode, endpoints.KindUnreadable, "unreadable_response"},
		"no token":          {answerJSON(200, `{"id": 1}`), token, endpoints.KindUnreadable, "unreadable_response"},
		"too many requests": {answerJSON(429, `{}`), nil, endpoints.KindRateLimited, "too_many_requests"},
		"too long":          {answerJSON(200, `{"id": "`+string(make([]byte, 1<<20))+`"}`), decode, endpoints.KindUnreadable, "unreadable_response"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newInternet(t, test.answer)
			reply, err := endpoints.Finch.Config(oauth2.Config{ClientID: clientID, ClientSecret: clientSecret}).SendAsClient(n.context(), asClient)
			if test.use != nil {
				require.NoError(t, err)
				err = test.use(reply)
			}
			assert.Len(t, n.requests(), 1)
			var answered *oauth2.RetrieveError
			require.ErrorAs(t, err, &answered)
			assert.Equal(t, test.code, answered.ErrorCode)
			assert.Equal(t, test.kind, endpoints.KindOf(err))
			assertErrorHoldsNoSecrets(t, err)
		})
	}
}

func TestTokenInTheAnswerToAClientRequest(t *testing.T) {
	p := rfc
	p.Answer.TokenIn = "data"
	p.Style.Params = endpoints.Params{"key": {"{client_id}"}} // which belongs to OAuth's requests
	n := newInternet(t, answerJSON(200, `{"data": {"access_token": "access-secret", "expires_in": 60, "account": "7"}}`))
	reply, err := p.Config(oauth2.Config{ClientID: clientID, ClientSecret: clientSecret}).SendAsClient(n.context(), endpoints.ClientRequest{Method: "GET", Path: "/x"})
	require.NoError(t, err)
	assert.NotContains(t, n.only(t), "key")
	token, err := reply.Token()
	require.NoError(t, err)
	assert.Equal(t, "access-secret", token.AccessToken)
	assert.Equal(t, expiry(60e9).Unix(), token.Expiry.Unix())
	assert.Equal(t, map[string]any{"access_token": "access-secret", "expires_in": 60., "account": "7"}, token.Extra("data"))

	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", reply, reply, *reply), "access-secret")
	err = reply.Unusable(errors.New("about " + clientSecret + " and access-secret"))
	assert.ErrorContains(t, err, "can't be used: about [redacted] and [redacted] (HTTP status 200 OK")
	assert.Equal(t, endpoints.KindUnreadable, endpoints.KindOf(err))
	assertErrorHoldsNoSecrets(t, err)
}

func TestReplyStaysAsItWasSent(t *testing.T) {
	n := newInternet(t, answerJSON(200, `{"access_token": "a1", "expires_in": 60, "id": 1}`))
	reply, err := rfc.Config(oauth2.Config{ClientID: clientID}).SendAsClient(n.context(), endpoints.ClientRequest{Path: "/x"})
	require.NoError(t, err)
	for range 2 {
		token, err := reply.Token()
		require.NoError(t, err)
		assert.Equal(t, int64(60), token.ExpiresIn)
		assert.Equal(t, 1., token.Extra("id"))
	}
}
