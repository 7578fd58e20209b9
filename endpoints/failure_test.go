package endpoints_test

import (
	"cmp"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// failure is an error of a token endpoint, and what must become of it.
type failure struct {
	name        string
	status      int
	contentType string
	body        string
	code        string
	description string
	kind        endpoints.ErrorKind
}

// checkFailure runs f through both ways, at an exchange or at a refresh.
func checkFailure(t *testing.T, p endpoints.Provider, grant string, f failure) {
	for _, way := range ways {
		t.Run(grant+" "+f.name+"/"+way.name, func(t *testing.T) {
			net := newInternet(t, answer(f.status, f.contentType, f.body))
			ctx, conf := way.use(net.context(), p, oauth2.Config{ClientID: clientID, ClientSecret: clientSecret})
			var err error
			if grant == "refresh" {
				_, err = refresh(ctx, conf, refreshToken)
			} else {
				_, err = conf.Exchange(ctx, code)
			}
			net.only(t)
			var retrieve *oauth2.RetrieveError
			require.ErrorAs(t, err, &retrieve)
			assert.Equal(t, f.code, retrieve.ErrorCode)
			assert.Equal(t, f.description, retrieve.ErrorDescription)
			assert.NotEmpty(t, retrieve.ErrorCode)
			assert.NotEmpty(t, retrieve.ErrorDescription)
			assert.Equal(t, f.kind, endpoints.KindOf(err))
			assert.NotEmpty(t, endpoints.KindOf(err).Hint())
			assert.Equal(t, f.status, retrieve.Response.StatusCode)
			assert.Equal(t, `oauth2: "`+f.code+`" "`+f.description+`"`, strings.ReplaceAll(err.Error(), `\"`, `"`))
		})
	}
}

func TestDocumentedErrorsOfFinch(t *testing.T) {
	for _, f := range []struct {
		names, finchCode string
		status           int
		code             string
		kind             endpoints.ErrorKind
	}{
		{"invalid_grant invalid_grant_error", "", 400, "invalid_grant", endpoints.KindCodeRejected},
		{"bad_request bad_request_error", "invalid_request", 400, "invalid_request", endpoints.KindClientRejected},
		{"bad_request bad_request_error", "", 400, "bad_request", endpoints.KindClientRejected},
		{"invalid_client invalid_client_error", "", 401, "invalid_client", endpoints.KindClientRejected},
		{"invalid_request invalid_request_error", "", 400, "invalid_request", endpoints.KindClientRejected},
		{"invalid_request invalid_request_error", "", 401, "invalid_request", endpoints.KindClientRejected},
		{"invalid_token invalid_token_error", "", 401, "invalid_token", endpoints.KindLoginRequired},
		{"unauthorized_request unauthorized_request_error", "", 401, "", endpoints.KindCodeRejected},
		{"authentication authentication_error", "", 401, "", endpoints.KindCodeRejected},
		{"authentication authentication_error", "reauthenticate_user", 401, "reauthenticate_user", endpoints.KindCodeRejected},
		{"authentication authentication_error", "account_setup_required", 401, "account_setup_required", endpoints.KindCodeRejected},
		{"authentication authentication_error", "not_documented_yet", 401, "", endpoints.KindCodeRejected},
		{"payment_required payment_required_error", "payment_required", 402, "payment_required", endpoints.KindClientRejected},
		{"error_permissions error_permissions_error", "insufficient_account_permissions", 403, "insufficient_account_permissions", endpoints.KindInsufficientScope},
		{"error_permissions error_permissions_error", "", 403, "error_permissions", endpoints.KindInsufficientScope},
		{"insufficient_scope insufficient_scope_error", "", 403, "insufficient_scope", endpoints.KindInsufficientScope},
		{"rate_limit_exceeded rate_limit_exceeded_error", "finch_application_rl", 429, "finch_application_rl", endpoints.KindRateLimited},
		{"rate_limit_exceeded rate_limit_exceeded_error", "finch_ip_rl", 429, "rate_limit_exceeded", endpoints.KindRateLimited},
		{"server server_error", "", 500, "server_error", endpoints.KindProviderTrouble},
		{"not_implemented not_implemented_error", "", 501, "not_implemented", endpoints.KindProviderTrouble},
		{"bad_gateway bad_gateway_error", "", 502, "bad_gateway", endpoints.KindProviderTrouble},
	} {
		for _, name := range strings.Fields(f.names) {
			body := `{"code":400,"statusCode":400,"status":400,"name":"` + name + `","message":"What Finch says"`
			if f.finchCode != "" {
				body += `,"finch_code":"` + f.finchCode + `"`
			}
			checkFailure(t, endpoints.Finch, "exchange", failure{
				name + " " + f.finchCode, f.status, "application/json", body + "}", cmp.Or(f.code, name), "What Finch says", f.kind,
			})
		}
	}
	for _, f := range []failure{
		{
			"a real one", 400, "application/json; charset=utf-8",
			`{"statusCode":400,"status":400,"code":400,"message":"Invalid grant: authorization code is invalid","name":"invalid_grant"}`,
			"invalid_grant", "Invalid grant: authorization code is invalid", endpoints.KindCodeRejected,
		},
		{
			"redirect mismatch", 400, "application/json",
			`{"code":400,"name":"invalid_grant","message":"Invalid grant: redirect_uri does not match"}`,
			"invalid_grant", "Invalid grant: redirect_uri does not match", endpoints.KindRedirectMismatch,
		},
		{"a name without a message", 400, "application/json", `{"name":"invalid_grant"}`, "invalid_grant", "HTTP status 400 Bad Request", endpoints.KindCodeRejected},
		{"trouble without a name", 503, "application/json", `{"message":"Service unavailable"}`, "server_error", "Service unavailable", endpoints.KindProviderTrouble},
	} {
		checkFailure(t, endpoints.Finch, "exchange", f)
	}
}

func TestUndocumentedErrorsOfChart(t *testing.T) {
	const unreadable = "the answer can't be used: "
	for _, f := range []failure{
		{"like Finch's", 400, "application/json", `{"code":400,"name":"invalid_grant","message":"The code has expired"}`, "invalid_grant", "The code has expired", endpoints.KindCodeRejected},
		{"like Finch's, client", 401, "application/json", `{"code":401,"name":"invalid_client","message":"Wrong secret"}`, "invalid_client", "Wrong secret", endpoints.KindClientRejected},
		{"RFC 6749", 400, "application/json", `{"error":"invalid_grant","error_description":"Used already"}`, "invalid_grant", "Used already", endpoints.KindCodeRejected},
		{"code is text", 400, "application/json", `{"code":"invalid_grant","message":"Used already"}`, "invalid_grant", "Used already", endpoints.KindCodeRejected},
		{"a message on the code", 400, "application/json", `{"message":"Invalid or expired authorization code"}`, "invalid_grant", "Invalid or expired authorization code", endpoints.KindCodeRejected},
		{"a message on the client", 400, "application/json", `{"message":"Incorrect client ID or secret"}`, "invalid_client", "Incorrect client ID or secret", endpoints.KindClientRejected},
		{"a message on the redirect URI", 400, "application/json", `{"message":"Mismatched redirect URI"}`, "redirect_uri_mismatch", "Mismatched redirect URI", endpoints.KindRedirectMismatch},
		{"a message on something else", 400, "application/json", `{"message":"Nope"}`, "invalid_request", "Nope", endpoints.KindClientRejected},
		{"a message and 401", 401, "application/json", `{"message":"Unauthorized"}`, "invalid_client", "Unauthorized", endpoints.KindClientRejected},
		{"a sentence in place of the code", 400, "application/json", `{"error":"The code is invalid","statusCode":400}`, "invalid_grant", "The code is invalid", endpoints.KindCodeRejected},
		{"JSON as text", 400, "text/plain", `{"message":"Invalid code"}`, "invalid_grant", "Invalid code", endpoints.KindCodeRejected},
		{"an object without a word", 400, "application/json", `{}`, "unreadable_response", "HTTP status 400 Bad Request", endpoints.KindUnreadable},
		{"text on the code", 400, "text/plain; charset=utf-8", `Invalid code`, "invalid_grant", "Invalid code", endpoints.KindCodeRejected},
		{"text on the client", 401, "text/plain", `Unauthorized`, "invalid_client", "Unauthorized", endpoints.KindClientRejected},
		{"text on trouble", 500, "text/plain", `Internal Server Error`, "server_error", "Internal Server Error", endpoints.KindProviderTrouble},
		{"nothing", 400, "", ``, "unreadable_response", unreadable + "it is empty (HTTP status 400 Bad Request, 0 bytes of unknown type)", endpoints.KindUnreadable},
		{"nothing and 401", 401, "", ``, "invalid_client", unreadable + "it is empty (HTTP status 401 Unauthorized, 0 bytes of unknown type)", endpoints.KindClientRejected},
		{"nothing and 429", 429, "", ``, "too_many_requests", unreadable + "it is empty (HTTP status 429 Too Many Requests, 0 bytes of unknown type)", endpoints.KindRateLimited},
		{"nothing and trouble", 504, "", ``, "unreadable_response", unreadable + "it is empty (HTTP status 504 Gateway Timeout, 0 bytes of unknown type)", endpoints.KindProviderTrouble},
		{"a firewall's page", 403, "text/html", `<html>code client redirect</html>`, "unreadable_response", unreadable + "it is neither JSON nor a form (HTTP status 403 Forbidden, 33 bytes of text/html)", endpoints.KindUnreadable},
	} {
		checkFailure(t, endpoints.Chart, "exchange", f)
	}
}

func TestDocumentedErrorsOfTaxRock(t *testing.T) {
	for _, f := range []struct {
		grants string
		failure
	}{
		{"exchange", failure{"code", 403, "application/json", `{"error":"invalid_grant","error_description":"Invalid authorization code"}`, "invalid_grant", "Invalid authorization code", endpoints.KindCodeRejected}},
		{"refresh", failure{"grant", 403, "application/json", `{"error":"invalid_grant","error_description":"Unknown or invalid refresh token."}`, "invalid_grant", "Unknown or invalid refresh token.", endpoints.KindLoginRequired}},
		{"refresh", failure{"grant, as the RFC has it", 400, "application/json", `{"error":"invalid_grant","error_description":"redirect"}`, "invalid_grant", "redirect", endpoints.KindLoginRequired}},
		{"exchange refresh", failure{"client", 401, "application/json", `{"error":"invalid_client","error_description":"Unauthorized"}`, "invalid_client", "Unauthorized", endpoints.KindClientRejected}},
		{"exchange refresh", failure{"access denied, Auth0's answer to a wrong secret", 401, "application/json", `{"error":"access_denied","error_description":"Unauthorized"}`, "access_denied", "Unauthorized", endpoints.KindClientRejected}},
		{"exchange refresh", failure{"scope", 403, "application/json", `{"error":"insufficient_scope","error_description":"More scopes"}`, "insufficient_scope", "More scopes", endpoints.KindInsufficientScope}},
		{"exchange refresh", failure{"rate", 429, "application/json", `{"error":"too_many_requests","error_description":"Global limit"}`, "too_many_requests", "Global limit", endpoints.KindRateLimited}},
		{"exchange refresh", failure{"trouble", 503, "application/json", `{"error":"temporarily_unavailable","error_description":"Later"}`, "temporarily_unavailable", "Later", endpoints.KindProviderTrouble}},
		{"exchange refresh", failure{"trouble that looks like a dead grant", 500, "application/json", `{"error":"invalid_grant","error_description":"Internal"}`, "invalid_grant", "Internal", endpoints.KindProviderTrouble}},
	} {
		for _, grant := range strings.Fields(f.grants) {
			checkFailure(t, endpoints.TaxRock, grant, f.failure)
		}
	}
}

// A grant must never be taken for dead because of what a firewall, a proxy or a
// gateway says.
func TestNoFirewallsAnswerEndsAGrant(t *testing.T) {
	for _, status := range []int{300, 302, 400, 401, 403, 404, 405, 408, 410, 418, 429, 500, 502, 503, 504} {
		for contentType, bodies := range map[string][]string{
			"text/html":        {"", "<html>Invalid code. Invalid grant. Access denied.</html>"},
			"text/plain":       {"", "invalid grant", "error: invalid refresh token", "code expired"},
			"application/json": {"", `{}`, `{"message":"Forbidden"}`, `{"message":"invalid grant"}`, `{"message":"The code has expired"}`, `{"error":"Forbidden"}`, `{"errors":["invalid grant"]}`, `"invalid_grant"`},
		} {
			for _, body := range bodies {
				conf := endpoints.TaxRock.Config(oauth2.Config{ClientID: "id"})
				_, err := refresh(answering(answer(status, contentType, body)).context(), conf, "old-refresh-token")
				var retrieve *oauth2.RetrieveError
				require.ErrorAs(t, err, &retrieve)
				assert.NotEqual(t, "invalid_grant", retrieve.ErrorCode, "%d %s %s", status, contentType, body)
				kind := endpoints.KindOf(err)
				assert.NotEqual(t, endpoints.KindLoginRequired, kind, "%d %s %s", status, contentType, body)
				assert.NotEqual(t, endpoints.KindCodeRejected, kind, "%d %s %s", status, contentType, body)
			}
		}
	}
}

func TestErrorShapesOfOtherProviders(t *testing.T) {
	style := endpoints.Answer{
		Names: map[string]string{"error": "fault.faultcode"},
		Errors: []endpoints.ErrorRule{
			{Code: "190", Kind: endpoints.KindLoginRequired}, {Code: "keymanagement.service.InvalidAPICall", Kind: endpoints.KindClientRejected},
		},
	}
	for _, test := range []struct {
		name, body, code, description string
		kind                          endpoints.ErrorKind
	}{
		{"Fitbit", `{"success":false,"errors":[{"errorType":"invalid_grant","message":"Authorization code invalid"}]}`, "invalid_grant", "Authorization code invalid", endpoints.KindCodeRejected},
		{"Facebook", `{"error":{"message":"Code used","type":"OAuthException","code":190,"fbtrace_id":"A1"}}`, "190", "Code used", endpoints.KindCodeRejected},
		{"Facebook, a code of its own", `{"error":{"message":"No","type":"OAuthException","code":1,"fbtrace_id":"A1"}}`, "OAuthException", "No", endpoints.KindUnknown},
		{"Apigee", `{"fault":{"faultstring":"?","faultcode":"keymanagement.service.InvalidAPICall"}}`, "keymanagement.service.InvalidAPICall", "HTTP status 400 Bad Request", endpoints.KindClientRejected},
		{"RFC 9457", `{"type":"https://errors.example/x","title":"Your code was used","status":400}`, "invalid_grant", "Your code was used", endpoints.KindCodeRejected},
		{"a list of sentences", `{"errors":["Bad"],"message":"The client is unknown"}`, "invalid_client", "The client is unknown", endpoints.KindClientRejected},
		{"a sentence under errors", `{"errors":"The client is unknown"}`, "invalid_client", "The client is unknown", endpoints.KindClientRejected},
		{"GitHub", `{"error":"bad_verification_code","error_description":"The code is incorrect","error_uri":"https://docs.example/bad"}`, "bad_verification_code", "The code is incorrect", endpoints.KindCodeRejected},
		{"a known code further down", `{"error":"failed","code":"invalid_client"}`, "invalid_client", "failed", endpoints.KindClientRejected},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := exchange(t, style, answerJSON(400, test.body))
			var retrieve *oauth2.RetrieveError
			require.ErrorAs(t, err, &retrieve)
			assert.Equal(t, test.code, retrieve.ErrorCode)
			assert.Equal(t, test.description, retrieve.ErrorDescription)
			assert.Equal(t, test.kind, endpoints.KindOf(err))
		})
	}
}

func TestErrorURIIsKeptIfItIsOne(t *testing.T) {
	for uri, want := range map[string]string{
		"https://docs.example/errors#invalid_grant": "https://docs.example/errors#invalid_grant",
		"http://docs.example/":                      "http://docs.example/",
		"javascript:alert(1)":                       "",
		"//docs.example/":                           "",
		"/errors":                                   "",
		"https://docs.example/" + strings.Repeat("x", 300): "",
		"%": "",
	} {
		_, err := exchange(t, endpoints.Answer{}, answerJSON(400, `{"error":"invalid_grant","error_uri":"`+uri+`"}`))
		var retrieve *oauth2.RetrieveError
		require.ErrorAs(t, err, &retrieve)
		assert.Equal(t, want, retrieve.ErrorURI)
	}
}

func TestDescriptionIsOneShortLine(t *testing.T) {
	_, err := exchange(t, endpoints.Answer{}, answerJSON(400,
		`{"error":"invalid_grant","error_description":"  one\r\n\ttwo\u0000\u202e three `+strings.Repeat("é", 200)+`"}`))
	var retrieve *oauth2.RetrieveError
	require.ErrorAs(t, err, &retrieve)
	assert.Equal(t, "one two three "+strings.Repeat("é", 141)+"…", retrieve.ErrorDescription)

	_, err = exchange(t, endpoints.Answer{}, answerJSON(400, `{"name":"invalid_grant","message":"`+strings.Repeat("long ", 1000)+`"}`))
	require.ErrorAs(t, err, &retrieve)
	assert.Equal(t, "HTTP status 400 Bad Request", retrieve.ErrorDescription, "a page isn't cut to a line")
}

// What a definition says of a code holds for every grant and status, and the code
// stays the provider's.
func TestProvidersOwnCodeDecides(t *testing.T) {
	style := endpoints.Answer{Errors: []endpoints.ErrorRule{
		{Code: "40029", Kind: endpoints.KindCodeRejected}, {Code: "E7", Kind: endpoints.KindProviderTrouble},
		{Code: "invalid_client", Kind: endpoints.KindLoginRequired},
	}}
	p := rfc
	p.Answer = style
	for _, test := range []struct {
		status            int
		code              string
		exchange, refresh endpoints.ErrorKind
	}{
		{400, "40029", endpoints.KindCodeRejected, endpoints.KindLoginRequired},
		{200, "40029", endpoints.KindCodeRejected, endpoints.KindLoginRequired},
		{500, "40029", endpoints.KindCodeRejected, endpoints.KindLoginRequired},
		{401, "E7", endpoints.KindProviderTrouble, endpoints.KindProviderTrouble},
		{401, "invalid_client", endpoints.KindCodeRejected, endpoints.KindLoginRequired},
	} {
		answer := answerJSON(test.status, `{"code":"`+test.code+`","message":"No"}`)
		_, err := exchange(t, style, answer)
		assert.Equal(t, test.exchange, endpoints.KindOf(err), "%d %s", test.status, test.code)
		_, err = refresh(answering(answer).context(), p.Config(oauth2.Config{ClientID: "id"}), "old-refresh-token")
		assert.Equal(t, test.refresh, endpoints.KindOf(err), "%d %s", test.status, test.code)
		var retrieve *oauth2.RetrieveError
		require.ErrorAs(t, err, &retrieve)
		assert.Equal(t, test.code, retrieve.ErrorCode)
	}
	_, err := exchange(t, style, answerJSON(400, `{"code":"40029","message":"redirect_uri mismatch"}`))
	assert.Equal(t, endpoints.KindRedirectMismatch, endpoints.KindOf(err))
}

func TestRateLimitIsKnownByItsWordsToo(t *testing.T) {
	for contentType, body := range map[string]string{
		"application/json": `{"message":"API rate limit exceeded"}`,
		"text/plain":       "Too many requests",
	} {
		for _, status := range []int{400, 403} {
			_, err := refresh(answering(answer(status, contentType, body)).context(), rfc.Config(oauth2.Config{ClientID: "id"}), "old-refresh-token")
			assert.Equal(t, endpoints.KindRateLimited, endpoints.KindOf(err), body)
		}
	}
}

func TestCodeIsReadHoweverItIsWritten(t *testing.T) {
	for _, code := range []string{"INVALID_GRANT", "invalid_grant: Token is expired.", "Invalid_Grant_Error"} {
		for name, conf := range map[string]client{"adapted": rfc.Config(oauth2.Config{ClientID: "id"}), "plain": &oauth2.Config{ClientID: "id", Endpoint: rfc.Endpoint}} {
			_, err := conf.Exchange(answering(answerJSON(400, `{"error":"`+code+`"}`)).context(), "c0de")
			assert.Equal(t, endpoints.KindCodeRejected, endpoints.KindOf(err), "%s, %s", code, name)
		}
	}
}

func TestAnErrorKeepsWhatHelpsSupport(t *testing.T) {
	_, err := exchange(t, endpoints.Answer{}, func(w http.ResponseWriter, r *http.Request) {
		for name, value := range map[string]string{
			"Retry-After": "7", "X-Request-Id": "req-1", "Request-Id": "req-2", "X-Correlation-Id": "req-3", "CF-Ray": "ray",
			"Date": "Sat, 01 Jan 2000 00:00:00 GMT", "Server": "nginx", "Set-Cookie": "a=b",
		} {
			w.Header().Set(name, value)
		}
		w.WriteHeader(400)
		io.WriteString(w, `{"error":"invalid_grant"}`)
	})
	var retrieve *oauth2.RetrieveError
	require.ErrorAs(t, err, &retrieve)
	assert.Equal(t, http.Header{
		"Content-Type": {"application/json"}, "Retry-After": {"7"}, "X-Request-Id": {"req-1"}, "Request-Id": {"req-2"},
		"X-Correlation-Id": {"req-3"}, "Cf-Ray": {"ray"}, "Date": {"Sat, 01 Jan 2000 00:00:00 GMT"},
	}, retrieve.Response.Header)
	assert.Equal(t, "https://auth.example/token", retrieve.Response.Request.URL.String())
}
