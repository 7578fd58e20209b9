package endpoints_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

func TestRevocationIsSentAsTheProviderDocumentsIt(t *testing.T) {
	inHeader := rfc
	inHeader.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	both := &oauth2.Token{AccessToken: "access-token", RefreshToken: refreshToken}
	for _, test := range []struct {
		name     string
		provider endpoints.Provider
		token    *oauth2.Token
		want     string
	}{
		{"Finch", endpoints.Finch, &oauth2.Token{AccessToken: "access-token", TokenType: "bearer"}, `POST /disconnect HTTP/1.1
Host: api.tryfinch.com
Accept: application/json
Accept-Encoding: gzip
Authorization: Bearer access-token
Content-Length: 0
Finch-Api-Version: 2020-09-17
User-Agent: Go-http-client/1.1

`},
		{"Chart", endpoints.Chart, &oauth2.Token{AccessToken: "access-token"}, `POST /disconnect HTTP/1.1
Host: api.trychartapi.com
Accept: application/json
Accept-Encoding: gzip
Authorization: Bearer access-token
Content-Length: 0
User-Agent: Go-http-client/1.1

`},
		{"TaxRock", endpoints.TaxRock, both, `POST /oauth/revoke HTTP/1.1
Host: login.taxrock.com
Accept: application/json
Accept-Encoding: gzip
Content-Length: 97
Content-Type: application/json
User-Agent: Go-http-client/1.1

{"client_id":"id-of-the-client","client_secret":"se\"cret+/&=<é>","token":"v1.refresh/token+=="}`},
		{"TaxRock's sandbox", endpoints.TaxRockSandbox, both, `POST /oauth/revoke HTTP/1.1
Host: login-demo.taxrock.com
Accept: application/json
Accept-Encoding: gzip
Content-Length: 97
Content-Type: application/json
User-Agent: Go-http-client/1.1

{"client_id":"id-of-the-client","client_secret":"se\"cret+/&=<é>","token":"v1.refresh/token+=="}`},
		{"RFC 7009, an access token", rfc, &oauth2.Token{AccessToken: "access-token"}, `POST /revoke HTTP/1.1
Host: auth.example
Accept: application/json
Accept-Encoding: gzip
Content-Length: 93
Content-Type: application/x-www-form-urlencoded
User-Agent: Go-http-client/1.1

client_id=id-of-the-client&client_secret=se%22cret%2B%2F%26%3D%3C%C3%A9%3E&token=access-token`},
		{"RFC 7009, credentials in the header", inHeader, both, `POST /revoke HTTP/1.1
Host: auth.example
Accept: application/json
Accept-Encoding: gzip
Authorization: Basic aWQtb2YtdGhlLWNsaWVudDpzZSUyMmNyZXQlMkIlMkYlMjYlM0QlM0MlQzMlQTklM0U=
Content-Length: 33
Content-Type: application/x-www-form-urlencoded
User-Agent: Go-http-client/1.1

token=v1.refresh%2Ftoken%2B%3D%3D`},
	} {
		t.Run(test.name, func(t *testing.T) {
			net := newInternet(t, answer(200, "", ""))
			conf := test.provider.Config(oauth2.Config{ClientID: clientID, ClientSecret: clientSecret})
			require.NoError(t, conf.Revoke(net.context(), test.token))
			assert.Equal(t, test.want, net.only(t))
		})
	}
}

func TestRevokeTellsWhetherItFailed(t *testing.T) {
	own := rfc
	own.Answer.Errors = []endpoints.ErrorRule{{Code: "E7", Kind: endpoints.KindLoginRequired}}
	tests := []struct {
		name     string
		provider endpoints.Provider
		answer   http.HandlerFunc
		code     string // "" for success
		kind     endpoints.ErrorKind
	}{
		{"success with a body", endpoints.Finch, answerJSON(200, `{"status":"success","message":"It is done.","code":"ok"}`), "", ""},
		{"success without a body", endpoints.TaxRock, answer(204, "", ""), "", ""},
		{"success that is no JSON", endpoints.TaxRock, answer(200, "text/html", "<p>OK</p>"), "", ""},
		{"a token that was dead already", endpoints.Finch, answerJSON(401, `{"code":401,"name":"invalid_token","message":"Invalid access token"}`), "", ""},
		{"a token that was dead already, without a word", endpoints.Chart, answer(401, "", ""), "", ""},
		{"a proxy that wants a login", endpoints.Chart, answer(401, "text/html", "<html>Who are you?</html>"), "unreadable_response", endpoints.KindUnreadable},
		{"a firewall's page", endpoints.Finch, answer(403, "text/html", "<html>Forbidden</html>"), "unreadable_response", endpoints.KindUnreadable},
		{"the client's credentials", endpoints.TaxRock, answerJSON(401, `{"error":"invalid_client","error_description":"Wrong secret"}`), "invalid_client", endpoints.KindClientRejected},
		{"trouble", endpoints.Chart, answerJSON(503, `{"message":"Down"}`), "server_error", endpoints.KindProviderTrouble},
		{"an error inside 200", rfc, answerJSON(200, `{"error":"invalid_client"}`), "invalid_client", endpoints.KindClientRejected},
		{"a dead token is an error, RFC 6749's way", rfc, answerJSON(400, `{"error":"invalid_token"}`), "", ""},
		{"the same, Google's way", rfc, answerJSON(400, `{"error":"invalid_token","error_description":"Token expired or revoked"}`), "", ""},
		{"the same, as the end of a grant", rfc, answerJSON(400, `{"error":"invalid_grant","error_description":"expired, revoked, or issued to another client"}`), "", ""},
		{"the same, by a status", rfc, answerJSON(404, `{"error":"token_not_found"}`), "", ""},
		{"the same, in words", rfc, answerJSON(404, `{"message":"The token was not found"}`), "", ""},
		{"the same, with success", rfc, answerJSON(200, `{"error":"token_revoked"}`), "", ""},
		{"the same, by the provider's own code", own, answerJSON(400, `{"error":"E7"}`), "", ""},
		{"a token of another client", rfc, answerJSON(400, `{"error":"invalid_token","error_description":"Unmatching clients"}`), "invalid_token", endpoints.KindLoginRequired},
		{"no such endpoint", rfc, answerJSON(404, `{"error":"not_found","error_description":"There is no token endpoint at this URL"}`), "not_found", endpoints.KindClientRejected},
		{"no such page", rfc, answer(404, "text/html", "token not found"), "unreadable_response", endpoints.KindClientRejected},
		{"a status without a word", rfc, answerJSON(404, `{"code":"token"}`), "token", endpoints.KindClientRejected},
		{"a type that isn't revoked there", rfc, answerJSON(400, `{"error":"unsupported_token_type"}`), "unsupported_token_type", endpoints.KindClientRejected},
		{"a token that is missing", rfc, answerJSON(400, `{"error":"invalid_request","error_description":"token not found"}`), "invalid_request", endpoints.KindClientRejected},
		{"trouble with a dead token", rfc, answerJSON(500, `{"error":"invalid_token"}`), "invalid_token", endpoints.KindProviderTrouble},
		{"too many requests", rfc, answerJSON(429, `{"error":"invalid_token"}`), "invalid_token", endpoints.KindRateLimited},
		{"a redirect", endpoints.Finch, http.RedirectHandler("https://elsewhere.example/", http.StatusTemporaryRedirect).ServeHTTP, "unreadable_response", endpoints.KindClientRejected},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			net := newInternet(t, test.answer)
			conf := test.provider.Config(oauth2.Config{ClientID: clientID, ClientSecret: clientSecret})
			err := conf.Revoke(net.context(), &oauth2.Token{AccessToken: "access-token", RefreshToken: refreshToken})
			net.only(t)
			if test.code == "" {
				require.NoError(t, err)
				return
			}
			var retrieve *oauth2.RetrieveError
			require.ErrorAs(t, err, &retrieve)
			assert.Equal(t, test.code, retrieve.ErrorCode)
			assert.Equal(t, test.kind, endpoints.KindOf(err))
		})
	}
}

func TestRevokeReportsALostConnection(t *testing.T) {
	lost := roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("connection lost") })
	err := rfc.Config(oauth2.Config{ClientID: "id"}).Revoke(lost.context(), &oauth2.Token{AccessToken: "access-token"})
	require.ErrorContains(t, err, "connection lost")
	assert.Equal(t, endpoints.KindProviderTrouble, endpoints.KindOf(err))
}

func TestRevokeNeedsAnEndpointAndAToken(t *testing.T) {
	net := newInternet(t, answer(200, "", ""))
	none := rfc
	none.RevokeURL = ""
	err := none.Config(oauth2.Config{ClientID: "id"}).Revoke(net.context(), &oauth2.Token{AccessToken: "access-token"})
	assert.ErrorIs(t, err, errors.ErrUnsupported)
	assert.EqualError(t, err, "endpoints: RFC: the provider has no endpoint to revoke tokens at: unsupported operation")

	for _, empty := range []*oauth2.Token{nil, {}} {
		assert.EqualError(t, rfc.Config(oauth2.Config{ClientID: "id"}).Revoke(net.context(), empty),
			"endpoints: RFC: there is no token to revoke")
	}
	err = endpoints.Finch.Config(oauth2.Config{ClientID: "id"}).Revoke(net.context(), &oauth2.Token{RefreshToken: refreshToken})
	assert.EqualError(t, err, "endpoints: Finch: there is no token to revoke")
	assert.Empty(t, net.requests())
}
