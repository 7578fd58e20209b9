package endpoints_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// exchange exchanges a code at a provider that answers so, in that way.
func exchange(t testing.TB, answer endpoints.Answer, h http.HandlerFunc) (*oauth2.Token, error) {
	t.Helper()
	p := rfc
	p.Answer = answer
	return p.Config(oauth2.Config{ClientID: "id"}).Exchange(answering(h).context(), "c0de")
}

func TestTokenIsReadWhateverTheContentType(t *testing.T) {
	const json, form = `{"access_token":"issued-token","scope":"a b"}`, `access_token=issued-token&scope=a+b`
	for _, test := range []struct{ name, contentType, body string }{
		{"JSON", "application/json", json},
		{"JSON with a charset", "application/json; charset=utf-8", json},
		{"JSON as text", "text/plain; charset=utf-8", json},
		{"JSON as a page", "text/html", json},
		{"JSON as a form", "application/x-www-form-urlencoded", json},
		{"JSON as nothing", "", json},
		{"JSON as nonsense", "a/b/c; =", json},
		{"JSON of a vendor's", "application/vnd.provider.v2+json", json},
		{"JSON with a byte order mark", "application/json", "\xef\xbb\xbf" + json},
		{"JSON with space around", "application/json", "\r\n\t " + json + "\n\n"},
		{"form", "application/x-www-form-urlencoded", form},
		{"form with a charset", "application/x-www-form-urlencoded; charset=utf-8", form},
		{"form as text", "text/plain", form + "\n"},
		{"form as a page", "text/html", form},
		{"form as nothing", "", form},
		{"form in a page", "text/html", "<html><body>access_token=issued-token&amp;scope=a+b</body></html>\n"},
		{"JSON in a page", "text/html; charset=utf-8", "<!doctype html>\n<html> <body><pre>" + json + "</pre></body>\n</html>"},
		{"JSON in an array", "application/json", "[" + json + "]"},
		{"JSONP", "text/javascript", "callback( " + json + " );\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, status := range []int{200, 201, 202} { // Sentry says 201
				token, err := exchange(t, endpoints.Answer{}, answer(status, test.contentType, test.body))
				require.NoError(t, err)
				assert.True(t, token.AccessToken == "issued-token")
				assert.Equal(t, "a b", token.Extra("scope"))
			}
		})
	}
}

func TestAnswerWithoutATokenIsUnreadable(t *testing.T) {
	for _, test := range []struct{ name, contentType, body, why string }{
		{"nothing", "application/json", "", "it is empty (HTTP status 200 OK, 0 bytes of application/json)"},
		{"space", "text/plain", " \n", "it is empty (HTTP status 200 OK, 2 bytes of text/plain)"},
		{"a byte order mark", "", "\xef\xbb\xbf", "it is empty (HTTP status 200 OK, 3 bytes of unknown type)"},
		{"a page", "text/html; charset=utf-8", "<html>Please log in</html>", "it is neither JSON nor a form (HTTP status 200 OK, 26 bytes of text/html)"},
		{"a page as JSON", "application/json", "<html></html>", "it is neither JSON nor a form (HTTP status 200 OK, 13 bytes of application/json)"},
		{"JSON cut off", "application/json", `{"access_token":"iss`, "it is neither JSON nor a form (HTTP status 200 OK, 20 bytes of application/json)"},
		{"JSON and more", "application/json", `{"access_token":"x"}{}`, "it is neither JSON nor a form (HTTP status 200 OK, 22 bytes of application/json)"},
		{"JSON that isn't an object", "application/json", `[7]`, "it is neither JSON nor a form (HTTP status 200 OK, 3 bytes of application/json)"},
		{"an array without a token", "application/json", `["access_token"]`, "there is no access_token in it (HTTP status 200 OK, 16 bytes of application/json)"},
		{"text", "text/plain", `ok`, "it is neither JSON nor a form (HTTP status 200 OK, 2 bytes of text/plain)"},
		{"a form of nothing known, as text", "text/plain", `a=b`, "it is neither JSON nor a form (HTTP status 200 OK, 3 bytes of text/plain)"},
		{"a form of nothing known, as a page", "text/html", `a=b`, "it is neither JSON nor a form (HTTP status 200 OK, 3 bytes of text/html)"},
		{"a form in the middle of a page", "text/html", `<p>Hello,</p> <p>access_token=issued-token</p>`, "it is neither JSON nor a form (HTTP status 200 OK, 46 bytes of text/html)"},
		{"a form that is none", formType, `access_token=%zz`, "it is neither JSON nor a form (HTTP status 200 OK, 16 bytes of application/x-www-form-urlencoded)"},
		{"a form without a token", formType, `a=b`, "there is no access_token in it (HTTP status 200 OK, 3 bytes of application/x-www-form-urlencoded)"},
		{"no token", "application/json", `{"scope":"a"}`, "there is no access_token in it (HTTP status 200 OK, 13 bytes of application/json)"},
		{"an empty token", "application/json", `{"access_token":""}`, "there is no access_token in it (HTTP status 200 OK, 19 bytes of application/json)"},
		{"a null token", "application/json", `{"access_token":null}`, "there is no access_token in it (HTTP status 200 OK, 21 bytes of application/json)"},
		{"a numeric token", "application/json", `{"access_token":123}`, "there is no access_token in it (HTTP status 200 OK, 20 bytes of application/json)"},
		{"a token that is true", "application/json", `{"access_token":true}`, "there is no access_token in it (HTTP status 200 OK, 21 bytes of application/json)"},
		{"a token that is an object", "application/json", `{"access_token":{"value":"x"}}`, "there is no access_token in it (HTTP status 200 OK, 30 bytes of application/json)"},
		{"a refresh token that is true", "application/json", `{"access_token":"x","refresh_token":true}`, "the refresh_token in it is not a string (HTTP status 200 OK, 41 bytes of application/json)"},
		{"a refresh token in an array", "application/json", `{"access_token":"x","refresh_token":["r"]}`, "the refresh_token in it is not a string (HTTP status 200 OK, 42 bytes of application/json)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := exchange(t, endpoints.Answer{}, answer(200, test.contentType, test.body))
			var retrieve *oauth2.RetrieveError
			require.ErrorAs(t, err, &retrieve)
			assert.Equal(t, "unreadable_response", retrieve.ErrorCode)
			assert.Equal(t, "the answer can't be used: "+test.why, retrieve.ErrorDescription)
			assert.Equal(t, endpoints.KindUnreadable, endpoints.KindOf(err))
			assert.Equal(t, 502, retrieve.Response.StatusCode, "no longer a success")
		})
	}
}

// Taking the tags off a page takes long, and an answer in one is short.
func TestNoAnswerIsLookedForInALongPage(t *testing.T) {
	for _, test := range []struct {
		length int
		found  bool
	}{{60 << 10, true}, {70 << 10, false}} {
		page := `<pre>{"access_token":"a1","x":"` + strings.Repeat("x", test.length) + `"}</pre>`
		_, err := exchange(t, endpoints.Answer{}, answer(200, "text/html", page))
		assert.Equal(t, test.found, err == nil, test.length)
	}
}

const formType = "application/x-www-form-urlencoded"

func TestErrorInsideASuccessIsAnError(t *testing.T) {
	slack := endpoints.Answer{Success: map[string]string{"ok": "true"}}
	wechat := endpoints.Answer{
		Success: map[string]string{"errcode": "0"}, Names: map[string]string{"error": "errcode"},
		Errors: []endpoints.ErrorRule{{Code: "40029", Kind: endpoints.KindCodeRejected}},
	}
	coros := endpoints.Answer{Success: map[string]string{"result": "0000"}, Names: map[string]string{"error": "result"}}
	tiktok := endpoints.Answer{TokenIn: "data", Success: map[string]string{"error.code": "ok"}}
	for _, test := range []struct {
		name, body        string
		style             endpoints.Answer
		code, description string
		kind              endpoints.ErrorKind
	}{
		{"error", `{"error":"invalid_grant","error_description":"Spent"}`, endpoints.Answer{}, "invalid_grant", "Spent", endpoints.KindCodeRejected},
		{"error beside a token", `{"access_token":"x","error":"invalid_grant"}`, endpoints.Answer{}, "invalid_grant", "", endpoints.KindCodeRejected},
		{"error in capitals", `{"Error":"invalid_grant"}`, endpoints.Answer{}, "invalid_grant", "", endpoints.KindCodeRejected},
		{"error is an object", `{"error":{"code":"invalid_client","message":"Who?"}}`, endpoints.Answer{}, "invalid_client", "Who?", endpoints.KindClientRejected},
		{"error is true", `{"error":true,"message":"The code was used."}`, endpoints.Answer{}, "invalid_grant", "The code was used.", endpoints.KindCodeRejected},
		{"error is a number", `{"error":17,"message":"The code was used."}`, endpoints.Answer{}, "invalid_grant", "The code was used.", endpoints.KindCodeRejected},
		{"error is a list", `{"error":["x"],"message":"The code was used."}`, endpoints.Answer{}, "invalid_grant", "The code was used.", endpoints.KindCodeRejected},
		{"a code and a message instead of a token", `{"code":"invalid_grant","message":"Spent"}`, endpoints.Answer{}, "invalid_grant", "Spent", endpoints.KindCodeRejected},
		{"slack", `{"ok":false,"error":"invalid_code"}`, slack, "invalid_code", "", endpoints.KindCodeRejected},
		{"slack, with a token all the same", `{"ok":false,"access_token":"x"}`, slack, "unreadable_response", "HTTP status 200 OK", endpoints.KindUnreadable},
		{"wechat", `{"errcode":40029,"errmsg":"invalid code"}`, wechat, "40029", "invalid code", endpoints.KindCodeRejected},
		{"wechat, unknown", `{"errcode":50002,"errmsg":"limited"}`, wechat, "50002", "limited", endpoints.KindUnknown},
		{"coros", `{"result":"5001","message":"bad"}`, coros, "5001", "bad", endpoints.KindUnknown},
		{"nested", `{"data":{},"error":{"code":"invalid_grant","message":"Spent"}}`, tiktok, "invalid_grant", "Spent", endpoints.KindCodeRejected},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := exchange(t, test.style, answerJSON(200, test.body))
			var retrieve *oauth2.RetrieveError
			require.ErrorAs(t, err, &retrieve)
			assert.Equal(t, test.code, retrieve.ErrorCode)
			assert.Equal(t, test.description, retrieve.ErrorDescription)
			assert.Equal(t, test.kind, endpoints.KindOf(err))
			assert.Equal(t, 400, retrieve.Response.StatusCode)
			assert.Equal(t, "400 Bad Request", retrieve.Response.Status)
		})
	}
}

func TestWhatSaysThatThereWasNoErrorIsNone(t *testing.T) {
	coros := endpoints.Answer{Success: map[string]string{"result": "0000"}}
	slack := endpoints.Answer{Success: map[string]string{"ok": "true"}}
	for _, test := range []struct {
		body  string
		style endpoints.Answer
	}{
		{`{"access_token":"issued-token","error":""}`, endpoints.Answer{}},
		{`{"access_token":"issued-token","error":null,"error_description":null,"error_uri":0}`, endpoints.Answer{}},
		{`{"access_token":"issued-token","error":false,"error_description":{}}`, endpoints.Answer{}},
		{`{"access_token":"issued-token","error":0}`, endpoints.Answer{}},
		{`{"access_token":"issued-token","error":0.0}`, endpoints.Answer{}},
		{`{"access_token":"issued-token","error":{},"ERROR_URI":["x"]}`, endpoints.Answer{}},
		{`{"access_token":"issued-token","error":[]}`, endpoints.Answer{}},
		{`{"access_token":"issued-token","code":200,"message":"success"}`, endpoints.Answer{}},
		{`{"access_token":"issued-token","result":"0000","message":"OK","error":"none"}`, coros},
		{`{"access_token":"issued-token","ok":true,"error":"none"}`, slack},
		{`{"access_token":"issued-token"}`, slack},
	} {
		t.Run(test.body, func(t *testing.T) {
			token, err := exchange(t, test.style, answerJSON(200, test.body))
			require.NoError(t, err)
			assert.True(t, token.AccessToken == "issued-token")
			assert.Nil(t, token.Extra("error"))
		})
	}
}

func TestEveryOtherMemberReachesTokenExtraAndMetadata(t *testing.T) {
	const body = `{
		"access_token": "issued-token", "refresh_token": "refresh-token", "token_type": "bearer", "expires_in": "3600",
		"scope": ["a", "b"], "nothing": null, "yes": true, "text": "é\u2028<&>", "small": 7, "float": 0.25,
		"long": 1700000000.1234567, "padded": 0.50000000000000000000, "exponent": 1.5e300,
		"big": 9007199254740993, "negative": -9223372036854775808, "huge": 18446744073709551616, "exact": 9007199254740992,
		"beyond": 1e400, "team": {"id": 12345678901234567890, "admins": [{"id": 98765432109876543210}]},
		"Access_Token": "another's"
	}`
	// What a float64 can't hold keeps its digits: as a json.Number, or as a string if
	// x/oauth2 decodes it.
	numbers := map[string]func(digits string) any{
		"Provider.Config":  func(digits string) any { return json.Number(digits) },
		"Provider.Context": func(digits string) any { return digits },
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			n := numbers[way.name]
			ctx, conf := way.use(answering(answerJSON(200, body)).context(), rfc, oauth2.Config{ClientID: "id"})
			token, err := conf.Exchange(ctx, "c0de")
			require.NoError(t, err)
			assert.True(t, token.AccessToken == "issued-token")
			assert.True(t, token.RefreshToken == "refresh-token")
			assert.Equal(t, int64(3600), token.ExpiresIn)
			want := map[string]any{
				"token_type": "bearer", "expires_in": 3600.0,
				"scope": []any{"a", "b"}, "nothing": nil, "yes": true, "text": "é\u2028<&>", "small": 7.0, "float": 0.25,
				"long": 1700000000.1234567, "padded": 0.5, "exponent": 1.5e300,
				"big": n("9007199254740993"), "negative": n("-9223372036854775808"), "huge": n("18446744073709551616"), "exact": 9007199254740992.0,
				"beyond": n("1e400"), "team": map[string]any{"id": n("12345678901234567890"), "admins": []any{map[string]any{"id": n("98765432109876543210")}}},
			}
			for name, v := range want {
				assert.Equal(t, v, token.Extra(name), name)
			}
			assert.Nil(t, token.Extra("Access_Token"), "x/oauth2 would have taken it for the token")
			assert.Equal(t, "issued-token", token.Extra("access_token"), "as x/oauth2 keeps it")
			var got map[string]any
			require.NoError(t, endpoints.Metadata(token, &got))
			assert.Equal(t, want, got)

			refreshed, err := refresh(ctx, conf, "old")
			require.NoError(t, err)
			assert.Equal(t, n("9007199254740993"), refreshed.Extra("big"), "at a refresh")
		})
	}
	for _, way := range ways { // also where nothing else has to be adapted
		ctx, conf := way.use(answering(answerJSON(200, `{"access_token":"issued-token","big":9007199254740993}`)).context(), rfc, oauth2.Config{ClientID: "id"})
		token, err := conf.Exchange(ctx, "c0de")
		require.NoError(t, err)
		assert.Equal(t, numbers[way.name]("9007199254740993"), token.Extra("big"))
	}
	var ids struct {
		Big  int64
		Huge json.Number
	}
	token, err := exchange(t, endpoints.Answer{}, answerJSON(200, body))
	require.NoError(t, err)
	require.NoError(t, endpoints.Metadata(token, &ids))
	assert.Equal(t, int64(9007199254740993), ids.Big)
	assert.Equal(t, "18446744073709551616", ids.Huge.String())
}

// A hook may put values of any type into the members.
func TestMembersOfAHookAreDecodedAsTheOthers(t *testing.T) {
	p := rfc
	p.Response = func(r *endpoints.Response) error {
		r.Members["id"], r.Members["big"], r.Members["list"] = 7, int64(9007199254740993), []string{"a"}
		return nil
	}
	for _, way := range ways {
		ctx, conf := way.use(answering(answerJSON(200, `{"access_token":"issued-token"}`)).context(), p, oauth2.Config{ClientID: "id"})
		token, err := conf.Exchange(ctx, "c0de")
		require.NoError(t, err)
		assert.Equal(t, 7.0, token.Extra("id"))
		assert.Equal(t, "9007199254740993", fmt.Sprint(token.Extra("big")))
		assert.Equal(t, []any{"a"}, token.Extra("list"))
	}
	p.Response = func(r *endpoints.Response) error {
		r.Members["f"] = func() {}
		return nil
	}
	for _, way := range ways {
		ctx, conf := way.use(answering(answerJSON(200, `{"access_token":"issued-token"}`)).context(), p, oauth2.Config{ClientID: "id"})
		_, err := conf.Exchange(ctx, "c0de")
		assert.Equal(t, endpoints.KindUnreadable, endpoints.KindOf(err))
	}
}

func TestMembersInCapitalsAreReadAsXOAuth2ReadsThem(t *testing.T) {
	token, err := exchange(t, endpoints.Answer{}, answerJSON(200, `{"Access_Token":"issued-token","ACCESS_TOKEN":"later","Expires_In":"soon","Refresh_Token":"refresh-token"}`))
	require.NoError(t, err)
	assert.True(t, token.AccessToken == "later", "the first in the order of the alphabet")
	assert.True(t, token.RefreshToken == "refresh-token")
	assert.False(t, token.Expiry.IsZero(), "an unreadable lifetime is not for ever, whatever its name's case")
}

// The code is spent: an error would lose the access token.
func TestRefreshTokensAreReadAsProvidersWriteThem(t *testing.T) {
	for sent, want := range map[string][2]string{
		`{"access_token":"a1","refresh_token":9007199254740993}`: {"a1", "9007199254740993"},
		`{"access_token":"a1","refresh_token":false}`:            {"a1", ""},
		`{"access_token":"a1","refresh_token":null}`:             {"a1", ""},
	} {
		token, err := exchange(t, endpoints.Answer{}, answerJSON(200, sent))
		require.NoError(t, err, sent)
		assert.Equal(t, want, [2]string{token.AccessToken, token.RefreshToken})
		plain := oauth2.Config{ClientID: "id", Endpoint: rfc.Endpoint}
		token, err = plain.Exchange(rfc.Context(answering(answerJSON(200, sent)).context()), "c0de")
		require.NoError(t, err, sent)
		assert.Equal(t, want, [2]string{token.AccessToken, token.RefreshToken}, "under Context")
		token, err = refresh(answering(answerJSON(200, sent)).context(), rfc.Config(oauth2.Config{ClientID: "id"}), "r0")
		require.NoError(t, err, sent)
		assert.Equal(t, want[0], token.AccessToken)
		if want[1] == "" {
			want[1] = "r0"
		}
		assert.Equal(t, want[1], token.RefreshToken, "the old one stays, if there is no other")
	}
}

func TestTokenTypeThatIsNoTextIsLeftOut(t *testing.T) {
	for _, tokenType := range []string{`null`, `""`, `0`, `{}`} {
		token, err := exchange(t, endpoints.Answer{}, answerJSON(200, `{"access_token":"issued-token","token_type":`+tokenType+`}`))
		require.NoError(t, err)
		assert.Equal(t, "Bearer", token.Type())
		assert.Nil(t, token.Extra("token_type"))
	}
}

func TestWrappedTokenIsFoundAndKeptAsItWasSent(t *testing.T) {
	for _, test := range []struct {
		name  string
		style endpoints.Answer
		body  string
		extra map[string]any
	}{
		{
			"in an object", endpoints.Answer{TokenIn: "data"},
			`{"code":0,"access_token":"another","data":{"access_token":"issued-token","open_id":"u1"}}`,
			map[string]any{"code": 0.0, "data": map[string]any{"access_token": "issued-token", "open_id": "u1"}},
		},
		{
			"in an object of an object", endpoints.Answer{TokenIn: "response.data"},
			`{"response":{"status":"fine","data":{"access_token":"issued-token"}}}`,
			map[string]any{"response": map[string]any{"status": "fine", "data": map[string]any{"access_token": "issued-token"}}},
		},
		{
			"by its path", endpoints.Answer{Names: map[string]string{"access_token": "authed_user.access_token"}},
			`{"ok":true,"access_token":"the bot's","authed_user":{"id":"U1","access_token":"issued-token"}}`,
			map[string]any{"ok": true, "authed_user": map[string]any{"id": "U1", "access_token": "issued-token"}},
		},
		{
			"by a name with a dot", endpoints.Answer{Names: map[string]string{"access_token": "api.token"}},
			`{"api.token":"issued-token"}`,
			map[string]any{"api.token": "issued-token"},
		},
		{
			"not this time", endpoints.Answer{TokenIn: "data", Names: map[string]string{"access_token": "token", "refresh_token": "a.b"}},
			`{"data":"text","access_token":"issued-token","token":null}`,
			map[string]any{"data": "text", "token": nil},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			token, err := exchange(t, test.style, answerJSON(200, test.body))
			require.NoError(t, err)
			assert.True(t, token.AccessToken == "issued-token")
			var extra map[string]any
			require.NoError(t, endpoints.Metadata(token, &extra))
			assert.Equal(t, test.extra, extra)
		})
	}
}

func TestResponseHookSeesTheMembersFirst(t *testing.T) {
	p := rfc
	p.Response = func(r *endpoints.Response) error {
		if r.Status == 418 {
			return context.DeadlineExceeded
		}
		r.Members["access_token"] = r.Members["teapot"]
		delete(r.Members, "teapot")
		return nil
	}
	conf := p.Config(oauth2.Config{ClientID: "id"})
	token, err := conf.Exchange(answering(answerJSON(200, `{"teapot":"issued-token"}`)).context(), "c0de")
	require.NoError(t, err)
	assert.True(t, token.AccessToken == "issued-token")
	assert.Nil(t, token.Extra("teapot"))

	_, err = conf.Exchange(answering(answerJSON(418, `{"teapot":"short"}`)).context(), "c0de")
	assert.EqualError(t, err, `oauth2: "unreadable_response" "the answer can't be used: Response: context deadline exceeded (HTTP status 418 I'm a teapot, 18 bytes of application/json)"`)
}
