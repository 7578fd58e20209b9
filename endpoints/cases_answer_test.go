package endpoints_test

import (
	"encoding/xml"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// concur reads the XML of Concur's old token endpoint, and a 401 without a body as the
// end of the grant.
func concur(r *endpoints.Response) error {
	var answer struct {
		Token   string `xml:"Token"`
		Refresh string `xml:"Refresh_Token"`
	}
	switch err := xml.Unmarshal(r.Body, &answer); {
	case r.Grant == "refresh_token" && r.Status == http.StatusUnauthorized && len(r.Body) == 0 && r.Header.Get("Content-Type") == "":
		r.Kind = endpoints.KindLoginRequired
	case err == nil:
		r.Members = map[string]any{"access_token": answer.Token, "refresh_token": answer.Refresh, "scope": r.Value("client_id")}
	}
	return nil
}

func rules(rules ...endpoints.ErrorRule) func(p *endpoints.Provider) {
	return func(p *endpoints.Provider) { p.Answer.Errors = rules }
}

// answerWays are ways to answer.
var answerWays = []way{
	{
		name: "XML", change: func(p *endpoints.Provider) { p.Response = concur }, exchange: exchangeForm,
		answer: "200 application/xml\n<Access_Token><Token>a1</Token><Refresh_Token>r1</Refresh_Token></Access_Token>", want: "a1 r1 for ever",
	},
	{
		name: "a 401 without a body, by a hook", change: func(p *endpoints.Provider) { p.Response = concur }, refresh: refreshForm,
		answer: "401 ", want: "login_required invalid_grant",
	},
	{
		name: "a form as a page", change: rules(), exchange: exchangeForm,
		answer: "200 text/html\naccess_token=a1&expires_in=3600", want: "a1  3600",
	},
	{
		name: "an error in plain text", change: rules(endpoints.ErrorRule{In: "error_description", Code: "Invalid grant*", Kind: endpoints.KindLoginRequired}),
		refresh: refreshForm, answer: "400 text/plain\nInvalid grant: gone", want: "login_required invalid_grant",
	},
	{
		name: "nothing", change: rules(), refresh: refreshForm, answer: "400 ", want: "unreadable unreadable_response",
	},
	{
		name: "an array at the top", change: rules(endpoints.ErrorRule{In: "errorCode", Code: "GONE", Kind: endpoints.KindLoginRequired}),
		refresh: refreshForm, answer: "400 application/json\n" + `[{"message":"x"},{"errorCode":"GONE"}]`, want: "login_required GONE",
	},
	{
		name: "JSONP", change: rules(), exchange: exchangeForm,
		answer: "200 text/javascript\n" + `callback( {"access_token":"a1","expires_in":"3600"} );`, want: "a1  3600",
	},
	{
		name: "an error as JSONP", change: rules(endpoints.ErrorRule{Code: "100016", Kind: endpoints.KindCodeRejected}), exchange: exchangeForm,
		answer: "200 text/html\n" + `callback( {"error":100016,"error_description":"x"} );`, want: "code_rejected 100016",
	},
	{
		name: "500 for a dead grant", change: rules(endpoints.ErrorRule{Status: 500, Code: "invalid_grant", Kind: endpoints.KindLoginRequired}),
		refresh: refreshForm, answer: "500 application/json\n" + `{"error":"invalid_grant"}`, want: "login_required invalid_grant",
	},
	{
		name: "500 as always", change: rules(endpoints.ErrorRule{Status: 400, Code: "invalid_grant", Kind: endpoints.KindLoginRequired}),
		refresh: refreshForm, answer: "500 application/json\n" + `{"error":"invalid_grant"}`, want: "provider_trouble invalid_grant",
	},
	{
		name: "an empty 401 for a dead grant", change: rules(endpoints.ErrorRule{Status: 401, Kind: endpoints.KindLoginRequired}),
		refresh: refreshForm, answer: "401 ", want: "login_required invalid_grant",
	},
	{
		name: "a 401 whose code says something else", change: rules(endpoints.ErrorRule{Status: 401, Kind: endpoints.KindLoginRequired}),
		refresh: refreshForm, answer: "401 application/json\n" + `{"error":"invalid_client"}`, want: "client_rejected invalid_client",
	},
	{
		name: "a 401 whose code says nothing", change: rules(endpoints.ErrorRule{Status: 401, Kind: endpoints.KindLoginRequired}),
		refresh: refreshForm, answer: "401 application/json\n" + `{"error":"E77"}`, want: "login_required E77",
	},
	{
		name: "a firewall's 401", change: rules(endpoints.ErrorRule{Status: 401, Kind: endpoints.KindLoginRequired}),
		refresh: refreshForm, answer: "401 text/html\n<html>Who are you?</html>", want: "unreadable unreadable_response",
	},
	{
		name: "a date as Americans write it", change: func(p *endpoints.Provider) {
			p.Answer = endpoints.Answer{Names: map[string]string{"expires_at": "until"}, TimeLayout: "1/2/2006 3:04:05 PM"}
		}, exchange: exchangeForm,
		answer: "200 application/json\n" + `{"access_token":"a1","until":"6/1/2020 2:24:46 PM"}`, want: "a1  0",
	},
	{
		name: "-1 for never", change: rules(), exchange: exchangeForm,
		answer: "200 application/json\n" + `{"access_token":"a1","refresh_token":"r1","expires_in":-1}`, want: "a1 r1 for ever",
	},
	{
		name: "a lifetime that can't be read, after the code is spent", change: rules(), exchange: exchangeForm,
		answer: "200 application/json\n" + `{"access_token":"a1","expires_in":"soon"}`, want: "a1  for ever",
	},
	{
		name: "a lifetime that can't be read, with a refresh token", change: rules(), exchange: exchangeForm,
		answer: "200 application/json\n" + `{"access_token":"a1","refresh_token":"r1","expires_in":"soon"}`, want: "a1 r1 300",
	},
	{
		name: "a token within", change: func(p *endpoints.Provider) { p.Answer.TokenIn = "authed_user" }, exchange: exchangeForm,
		answer: "200 application/json\n" + `{"access_token":"bot","refresh_token":"bot-r","authed_user":{"access_token":"a1","refresh_token":"r1","expires_in":3600}}`,
		want:   "a1 r1 3600",
	},
	{
		name: "a member in an array", change: func(p *endpoints.Provider) {
			p.Answer.Names = map[string]string{"access_token": "tokens.value", "expires_in": "tokens.ttl"}
		}, exchange: exchangeForm,
		answer: "200 application/json\n" + `{"tokens":[{"id":1},{"value":"a1","ttl":3600}]}`, want: "a1  3600",
	},
	{
		name: "a code of its own for a dead grant", change: rules(endpoints.ErrorRule{Code: "refresh_token_not_found", Kind: endpoints.KindLoginRequired}),
		refresh: refreshForm, answer: "400 application/json\n" + `{"error":"refresh_token_not_found"}`, want: "login_required refresh_token_not_found",
	},
	{name: "bad_refresh_token", change: rules(), refresh: refreshForm, answer: "200 application/json\n" + `{"error":"bad_refresh_token"}`, want: "login_required bad_refresh_token"},
	{
		name: "Dex's invalid_request for a dead refresh token", change: rules(), refresh: refreshForm,
		answer: "400 application/json\n" + `{"error":"invalid_request","error_description":"Refresh token is invalid or has already been claimed by another client."}`,
		want:   "login_required invalid_request",
	},
	{name: "interaction_required", change: rules(), refresh: refreshForm, answer: "400 application/json\n" + `{"error":"interaction_required"}`, want: "login_required interaction_required"},
	{name: "login_required", change: rules(), refresh: refreshForm, answer: "400 application/json\n" + `{"error":"login_required"}`, want: "login_required login_required"},
	{name: "invalid_refresh_token", change: rules(), refresh: refreshForm, answer: "200 application/json\n" + `{"ok":false,"error":"invalid_refresh_token"}`, want: "login_required invalid_refresh_token"},
	{name: "a code in a sentence", change: rules(), refresh: refreshForm, answer: "400 application/json\n" + `{"error":"invalid_grant: Token is expired."}`, want: "login_required invalid_grant"},
	{name: "a code in capitals", change: rules(), refresh: refreshForm, answer: "400 application/json\n" + `{"error":"INVALID_GRANT"}`, want: "login_required invalid_grant"},
	{name: "a list of codes", change: rules(), refresh: refreshForm, answer: "400 application/json\n" + `{"errors":["invalid_grant"]}`, want: "login_required invalid_grant"},
	{
		name: "a sentence by a pattern", change: rules(endpoints.ErrorRule{Code: "*grant is gone*", Kind: endpoints.KindLoginRequired}), refresh: refreshForm,
		answer: "400 application/json\n" + `{"error":"The grant is gone."}`, want: "login_required invalid_grant",
	},
	{
		name: "the place of an error", change: rules(
			endpoints.ErrorRule{In: "errors.field", Code: "refresh_token", Kind: endpoints.KindLoginRequired},
			endpoints.ErrorRule{In: "errors.field", Code: "client_*", Kind: endpoints.KindClientRejected},
		), refresh: refreshForm,
		answer: "400 application/json\n" + `{"message":"Bad Request","errors":[{"resource":"RefreshToken","field":"refresh_token","code":"invalid"}]}`, want: "login_required invalid",
	},
	{
		name: "a rule before what is known of the code", change: rules(endpoints.ErrorRule{Code: "invalid_client", Kind: endpoints.KindProviderTrouble}), refresh: refreshForm,
		answer: "401 application/json\n" + `{"error":"invalid_client"}`, want: "provider_trouble invalid_client",
	},
	{
		name: "a rate limit in a 400", change: rules(endpoints.ErrorRule{Status: 400, In: "error_description", Code: "Rate limit exceeded*", Kind: endpoints.KindRateLimited}),
		refresh: refreshForm, answer: "400 application/json\n" + `{"error":"invalid_request","error_description":"Rate limit exceeded, try later"}`,
		want: "rate_limited invalid_request",
	},
	{
		name: "a redirect", change: rules(), refresh: refreshForm, answer: "307 text/html\nMoved", want: "client_rejected unreadable_response",
	},
	{
		name: "success told by a member", change: func(p *endpoints.Provider) { p.Answer.Success = map[string]string{"ok": "true"} }, refresh: refreshForm,
		answer: "200 application/json\n" + `{"ok":false,"error":"token_revoked","access_token":"a1"}`, want: "login_required token_revoked",
	},
	{
		name: "an error code that counts as one without a message", change: rules(endpoints.ErrorRule{Code: "40029", Kind: endpoints.KindCodeRejected}), exchange: exchangeForm,
		answer: "200 application/json\n" + `{"errcode":40029}`, want: "code_rejected 40029",
	},
}

func TestDescriptionIsFoundWhereTheDefinitionSays(t *testing.T) {
	for body, names := range map[string]map[string]string{
		`{"err":"No"}`:                       {"error_description": "err"},
		`{"fault":{"faultstring":"No"}}`:     {"error_description": "fault.faultstring"},
		`{"error":"invalid","hint":"No"}`:    {"error_description": "hint"},
		`{"errors":[{"a":1},{"text":"No"}]}`: {"error_description": "errors.text"},
		`{"message":"No"}`:                   nil,
	} {
		_, err := exchange(t, endpoints.Answer{Names: names}, answerJSON(400, body))
		var retrieve *oauth2.RetrieveError
		require.ErrorAs(t, err, &retrieve)
		assert.Equal(t, "No", retrieve.ErrorDescription, body)
	}
}

// Slack's answer has two tokens, each with a refresh token of its own.
func TestAnotherTokenOfTheSameConsent(t *testing.T) {
	p := waysBase()
	p.Vars, p.Callback.Keep = map[string][]string{"team": {"*"}}, []string{"team"}
	p.RefreshURL = "https://a.example/{team}/token"
	conf := p.Config(oauth2.Config{ClientID: "id"})
	bot, err := conf.Exchange(answering(answerJSON(200, `{"access_token":"bot","refresh_token":"bot-r","expires_in":60,
		"authed_user":{"id":12345678901234567890,"access_token":"user","refresh_token":"user-r","expires_in":43200}}`)).context(), "c0de",
		oauth2.SetAuthURLParam("team", "T1"))
	require.NoError(t, err)
	user, err := conf.Inner(bot, "authed_user")
	require.NoError(t, err)
	assert.True(t, bot.AccessToken == "bot" && bot.RefreshToken == "bot-r" && user.AccessToken == "user" && user.RefreshToken == "user-r")
	assert.WithinDuration(t, time.Now().Add(12*time.Hour), user.Expiry, time.Minute)
	assert.Equal(t, "12345678901234567890", user.Extra("id").(interface{ String() string }).String())
	assert.Equal(t, "T1", user.Extra("team"), "the variables of the consent")
	assert.Nil(t, user.Extra("authed_user"))
	assert.NotNil(t, bot.Extra("authed_user"), "what was there stays")

	net := newInternet(t, answerJSON(200, `{"access_token":"user-2"}`))
	user.Expiry = time.Unix(1, 0)
	_, err = conf.TokenSource(net.context(), user).Token()
	require.NoError(t, err)
	assert.Equal(t, "POST a.example/T1/token\n(form)\nclient_id=id&grant_type=refresh_token&refresh_token=user-r", essence(net.only(t)))

	for _, name := range []string{"team", "nothing"} {
		_, err = conf.Inner(bot, name)
		assert.ErrorContains(t, err, `there is no object "`+name+`" beside the token`)
	}
	_, err = conf.Inner(bot.WithExtra(map[string]any{"x": map[string]any{"id": "1"}}), "x")
	assert.EqualError(t, err, `endpoints: x: the object "x" beside the token is none: there is no access_token in it`)
	_, err = conf.Inner(nil, "x")
	assert.Error(t, err)
}
