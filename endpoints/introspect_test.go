package endpoints_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

func TestIntrospectAsksAsTheProviderDocumentsIt(t *testing.T) {
	asks := waysBase() // RFC 7662
	asks.IntrospectURL = "https://a.example/introspect"
	access := &oauth2.Token{AccessToken: "a0"}
	both := &oauth2.Token{AccessToken: "a0", RefreshToken: "r0"}
	for _, test := range []struct {
		name     string
		provider endpoints.Provider
		token    *oauth2.Token
		answer   string
		asked    string
		want     endpoints.Introspection
	}{
		{
			"Finch", endpoints.Finch, access, `{"connection_id":"c1","connection_status":{"status":"connected","message":"ok"},"products":["company"]}`,
			"GET api.tryfinch.com/introspect\nAuthorization: Bearer a0\nFinch-Api-Version: 2020-09-17", endpoints.Introspection{Active: true},
		},
		{
			"Finch, to be connected again", endpoints.Finch, access, `{"connection_id":"c1","connection_status":{"status":"reauth"}}`,
			"GET api.tryfinch.com/introspect\nAuthorization: Bearer a0\nFinch-Api-Version: 2020-09-17", endpoints.Introspection{Kind: endpoints.KindLoginRequired},
		},
		{
			"Finch, without a permission", endpoints.Finch, access, `{"connection_id":"c1","connection_status":{"status":"error_permissions"}}`,
			"GET api.tryfinch.com/introspect\nAuthorization: Bearer a0\nFinch-Api-Version: 2020-09-17",
			endpoints.Introspection{Active: true, Kind: endpoints.KindInsufficientScope},
		},
		{
			"Chart", endpoints.Chart, access, `{"taxpayer_id":"t1","client_id":"x","provider_id":"irs"}`,
			"GET api.trychartapi.com/introspect\nAuthorization: Bearer a0", endpoints.Introspection{Active: true},
		},
		{
			"RFC 7662", asks, both, `{"active":true,"scope":"a b","exp":1419356238}`,
			"POST a.example/introspect\n(form)\nclient_id=id&client_secret=s3cret&token=r0", endpoints.Introspection{Active: true},
		},
		{
			"RFC 7662, a dead token", asks, both, `{"active":false}`,
			"POST a.example/introspect\n(form)\nclient_id=id&client_secret=s3cret&token=r0", endpoints.Introspection{Kind: endpoints.KindLoginRequired},
		},
		{
			"RFC 7662, in words", asks, access, `{"active":"true"}`,
			"POST a.example/introspect\n(form)\nclient_id=id&client_secret=s3cret&token=a0", endpoints.Introspection{Active: true},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			net := newInternet(t, answerJSON(200, test.answer))
			got, err := test.provider.Config(oauth2.Config{ClientID: "id", ClientSecret: "s3cret"}).Introspect(net.context(), test.token)
			require.NoError(t, err)
			assert.Equal(t, test.asked, essence(net.only(t)))
			require.NoError(t, json.Unmarshal([]byte(test.answer), &test.want.Members))
			assert.Equal(t, test.want, *got)
		})
	}
}

func TestATokenThatCantAskIsDead(t *testing.T) {
	asks := endpoints.Finch
	for _, test := range []struct {
		token *oauth2.Token
		want  endpoints.ErrorKind
	}{
		{&oauth2.Token{AccessToken: "a0"}, endpoints.KindLoginRequired},
		{&oauth2.Token{AccessToken: "a0", RefreshToken: "r0"}, endpoints.KindTokenRejected},
	} {
		for _, body := range []string{`{"code":401,"name":"invalid_token"}`, `{"finch_code":"reauthenticate_user"}`, ``} {
			got, err := asks.Config(oauth2.Config{ClientID: "id"}).Introspect(answering(answerJSON(401, body)).context(), test.token)
			require.NoError(t, err, body)
			assert.Equal(t, &endpoints.Introspection{Kind: test.want}, got)
		}
	}
}

func TestIntrospectTellsWhyItCant(t *testing.T) {
	conf := endpoints.Finch.Config(oauth2.Config{ClientID: "id"})
	token := &oauth2.Token{AccessToken: "a0"}
	for _, test := range []struct {
		status int
		body   string
		kind   endpoints.ErrorKind
	}{
		{401, "<html>Who are you?</html>", endpoints.KindUnreadable},
		{503, `{"name":"server_error"}`, endpoints.KindProviderTrouble},
		{429, `{}`, endpoints.KindRateLimited},
		{302, ``, endpoints.KindClientRejected},
	} {
		contentType := "application/json"
		if test.body != "" && test.body[0] == '<' {
			contentType = "text/html"
		}
		got, err := conf.Introspect(answering(answer(test.status, contentType, test.body)).context(), token)
		assert.Nil(t, got)
		assert.Equal(t, test.kind, endpoints.KindOf(err), "%d", test.status)
	}
	for page, why := range map[string]string{"<html></html>": "it is neither JSON nor a form", "": "it is empty"} {
		_, err := conf.Introspect(answering(answer(200, "text/html", page)).context(), token)
		assert.ErrorContains(t, err, "the answer can't be used: "+why)
		assert.Equal(t, endpoints.KindUnreadable, endpoints.KindOf(err))
	}
	_, err := waysBase().Config(oauth2.Config{ClientID: "id"}).Introspect(t.Context(), token)
	assert.ErrorIs(t, err, errors.ErrUnsupported)
	for _, none := range []*oauth2.Token{nil, {}, {RefreshToken: "r0"}} {
		_, err = conf.Introspect(t.Context(), none)
		assert.EqualError(t, err, "endpoints: Finch: there is no token to ask about")
	}
}

func TestIntrospectionIsDecoded(t *testing.T) {
	net := newInternet(t, answerJSON(200, `{"active":true,"sub":12345678901234567890,"client":"x"}`))
	p := waysBase()
	p.IntrospectURL = "https://a.example/introspect"
	got, err := p.Config(oauth2.Config{ClientID: "id"}).Introspect(net.context(), &oauth2.Token{AccessToken: "a0"})
	require.NoError(t, err)
	var into struct{ Sub json.Number }
	require.NoError(t, got.Decode(&into))
	assert.Equal(t, "12345678901234567890", into.Sub.String())
	assert.ErrorContains(t, got.Decode(new(int)), "endpoints: can't decode what was told about the token")
}

func TestIntrospectionKnowsTheStatusesOfFinch(t *testing.T) {
	for status, want := range map[string]endpoints.Introspection{
		"pending":                {Active: true},
		"processing":             {Active: true},
		"error_no_account_setup": {Kind: endpoints.KindLoginRequired},
	} {
		answer := answerJSON(200, `{"connection_id": "c1", "connection_status": {"status": "`+status+`", "message": "m"}}`)
		told, err := endpoints.Finch.Config(oauth2.Config{ClientID: clientID}).Introspect(answering(answer).context(), &oauth2.Token{AccessToken: "a"})
		require.NoError(t, err)
		told.Members = nil
		assert.Equal(t, &want, told, status)
	}
}
