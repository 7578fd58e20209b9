package endpoints_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

func TestTokenRejectedTellsWhatA401Means(t *testing.T) {
	large := `{"name":"invalid_token","message":"` + strings.Repeat("x", 100<<10) + `"}`
	for _, test := range []struct {
		name, challenge, contentType, body string
		code                               string
		rejected                           bool
	}{
		{"Finch, token", "", "application/json", `{"code":401,"name":"invalid_token","message":"x"}`, "invalid_token", true},
		{"Finch, reauthentication", "", "application/json", `{"name":"authentication_error","finch_code":"reauthenticate_user"}`, "reauthenticate_user", true},
		{"RFC 6750", `Bearer realm="x", error="invalid_token", error_description="The token expired"`, "", "", "invalid_token", true},
		{"the challenge before the body", `Bearer error="invalid_token"`, "application/json", `{"error":"insufficient_scope"}`, "invalid_token", true},
		{"a challenge without a code", `Bearer realm="x"`, "application/json", `{"error":"invalid_token_error"}`, "invalid_token", true},
		{"the API's own words", "", "application/json", `{"message":"Unauthorized"}`, "unauthorized", true},
		{"a code that isn't known", "", "application/json", `{"error":"E1234"}`, "", true},
		{"a firewall", "", "text/html", `<html>invalid_token</html>`, "", true},
		{"nothing", "", "", ``, "", true},
		{"a body of more than is read", "", "application/json", large, "", true},
		{"expired_token in its place", `Bearer error="expired_token"`, "", "", "expired_token", true},
		{"the second of two challenges", `Basic realm="error=\"insufficient_scope\"", Bearer realm="x", error=invalid_token`, "", "", "invalid_token", true},
		{"a dead grant", "", "application/json", `{"error":"invalid_grant"}`, "invalid_grant", true},
		{"a scope", `Bearer error="insufficient_scope"`, "", "", "insufficient_scope", false},
		{"the client", "", "application/json", `{"error":"invalid_client"}`, "invalid_client", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			if test.challenge != "" {
				w.Header().Set("WWW-Authenticate", test.challenge)
			}
			answer(401, test.contentType, test.body)(w, nil)
			resp := w.Result()
			body := &closeRecorder{Reader: resp.Body}
			resp.Body = body
			code, rejected := endpoints.Finch.Config(oauth2.Config{ClientID: "id"}).TokenRejected(resp)
			assert.Equal(t, test.code, code)
			assert.Equal(t, test.rejected, rejected)
			assert.True(t, readAll(t, resp.Body) == test.body, "the body can still be read")
			assert.False(t, body.closed)
			assert.NoError(t, resp.Body.Close())
			assert.True(t, body.closed)
		})
	}
}

// A program that asks for a compressed answer by a header field of its own, as an SDK or a
// reverse proxy does, gets one that net/http leaves as it is.
func TestTokenRejectedReadsACompressedBody(t *testing.T) {
	conf := endpoints.Provider{
		Name: "Example", Endpoint: oauth2.Endpoint{AuthURL: "https://p.example/a", TokenURL: "https://p.example/t"},
		API: endpoints.API{Errors: []endpoints.ErrorRule{{Status: 200, In: "error", Code: "token_revoked", Kind: endpoints.KindLoginRequired}}},
	}.Config(oauth2.Config{ClientID: "id"})
	for _, test := range []struct {
		status         int
		encoding, body string
		code           string
		rejected       bool
	}{
		{401, "gzip", `{"error":"invalid_token"}`, "invalid_token", true},
		{401, "X-GZip", `{"error":"insufficient_scope"}`, "insufficient_scope", false},
		{200, "gzip", `{"error":"token_revoked"}`, "token_revoked", true},
		{200, "gzip", `{"id":1}`, "", false},
		{401, "gzip", `{"error":"invalid_token","message":"` + strings.Repeat("x", 10<<20) + `"}`, "", true}, // more than is read
		{401, "br", `{"error":"invalid_token"}`, "", true},
	} {
		var compressed bytes.Buffer
		z := gzip.NewWriter(&compressed)
		_, _ = io.WriteString(z, test.body)
		z.Close()
		w := httptest.NewRecorder()
		w.Header().Set("Content-Encoding", test.encoding)
		answer(test.status, "application/json", compressed.String())(w, nil)
		resp := w.Result()
		code, rejected := conf.TokenRejected(resp)
		assert.Equal(t, test.code, code, test.body[:8])
		assert.Equal(t, test.rejected, rejected, test.body[:8])
		assert.True(t, readAll(t, resp.Body) == compressed.String(), "the body is left as it was")
	}
}

func TestTokenRejectedLeavesTheErrorOfABodyThatBreaksOff(t *testing.T) {
	resp := &http.Response{StatusCode: 401, Body: io.NopCloser(io.MultiReader(strings.NewReader(`{"error":"inv`), failingReader{}))}
	code, rejected := rfc.Config(oauth2.Config{}).TokenRejected(resp)
	assert.Empty(t, code)
	assert.True(t, rejected)
	body, err := io.ReadAll(resp.Body)
	assert.Equal(t, `{"error":"inv`, string(body))
	assert.Equal(t, errors.New("read failed"), err)
}

// One code may mean a dead refresh token at the token endpoint and a dead access
// token at the API.
func TestTokenRejectedGoesByTheProvidersOwnCodes(t *testing.T) {
	p := rfc
	p.API.Errors = []endpoints.ErrorRule{
		{Status: 401, Code: "40029", Kind: endpoints.KindLoginRequired},
		{Status: 401, Code: "40013", Kind: endpoints.KindClientRejected},
		{Status: 401, Code: "expired", Kind: endpoints.KindTokenRejected},
	}
	conf := p.Config(oauth2.Config{ClientID: "id"})
	for body, want := range map[string]bool{`{"code":40029}`: true, `{"code":"expired"}`: true, `{"code":40013}`: false} {
		w := httptest.NewRecorder()
		answerJSON(401, body)(w, nil)
		code, rejected := conf.TokenRejected(w.Result())
		assert.NotEmpty(t, code, body)
		assert.Equal(t, want, rejected, body)
	}
}

// Which answers refuse the token is said by status, place and code.
func TestTokenRejectedGoesByTheDefinition(t *testing.T) {
	p := rfc
	p.API.Errors = []endpoints.ErrorRule{
		{Status: 403, In: "error.code", Code: "InvalidTokenError", Kind: endpoints.KindTokenRejected},
		{Status: 403, In: "errors.details", Code: "*has expired*", Kind: endpoints.KindTokenRejected},
		{Status: 400, Code: "190", Kind: endpoints.KindTokenRejected},
		{Status: 203, Kind: endpoints.KindTokenRejected},
		{Status: 200, Code: "token_expired", Kind: endpoints.KindTokenRejected},
		{Status: 200, Code: "token_revoked", Kind: endpoints.KindLoginRequired},
		{Status: 401, Code: "app_disabled", Kind: endpoints.KindClientRejected},
		{Status: 410, Kind: endpoints.KindLoginRequired},
	}
	require.NoError(t, p.Validate())
	conf := p.Config(oauth2.Config{ClientID: "id"})
	long := `{"x":"` + strings.Repeat("x", 64<<10) + `","error":"token_expired"}`
	for _, test := range []struct {
		name        string
		status      int
		contentType string
		body        string
		code        string
		rejected    bool
		untouched   bool // nothing is read
	}{
		{"by its place", 403, "application/json", `{"error":{"code":"InvalidTokenError"}}`, "InvalidTokenError", true, false},
		{"by a sentence", 403, "application/json", `{"errors":[{"code":"Unauthorized","details":"The access token has expired."}]}`, "Unauthorized", true, false},
		{"another 403", 403, "application/json", `{"error":{"code":"Forbidden"}}`, "", false, false},
		{"a firewall's 403", 403, "text/html", `<html>InvalidTokenError</html>`, "", false, false},
		{"400", 400, "application/json", `{"error":{"message":"x","type":"OAuthException","code":190}}`, "190", true, false},
		{"another 400", 400, "application/json", `{"error":{"code":100}}`, "", false, false},
		{"203 and a sign-in page", 203, "text/html", `<html>Sign in</html>`, "", true, true},
		{"200 that is none", 200, "application/json", `{"ok":false,"error":"token_expired"}`, "token_expired", true, false},
		{"200 at the end of the grant", 200, "application/json; charset=utf-8", `{"ok":false,"error":"token_revoked"}`, "token_revoked", true, false},
		{"200", 200, "application/json", `{"ok":true}`, "", false, false},
		{"200 of more than is read", 200, "application/json", long, "", false, false},
		{"200 that isn't JSON", 200, "image/png", `{"error":"token_expired"}`, "", false, true},
		{"a status of no rule", 500, "application/json", `{"error":"token_expired"}`, "", false, true},
		{"201", 201, "application/json", `{"error":"token_expired"}`, "", false, true},
		{"401 that isn't about the token", 401, "application/json", `{"error":"app_disabled"}`, "app_disabled", false, false},
		{"401 as always", 401, "application/json", `{"error":"invalid_token"}`, "invalid_token", true, false},
		{"a firewall's page of that status", 410, "text/html; charset=utf-8", `<html>Gone</html>`, "", false, false},
		{"the end of the grant by a status", 410, "", ``, "login_required", true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			answer(test.status, test.contentType, test.body)(w, nil)
			resp := w.Result()
			read := &countingReader{Reader: resp.Body}
			resp.Body = io.NopCloser(read)
			code, rejected := conf.TokenRejected(resp)
			assert.Equal(t, test.code, code)
			assert.Equal(t, test.rejected, rejected)
			assert.Equal(t, test.untouched, read.n == 0 && test.body != "")
			assert.True(t, readAll(t, resp.Body) == test.body, "the body can still be read")
		})
	}
}

// countingReader counts what is read.
type countingReader struct {
	io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

func TestTokenRejectedDoesNotWaitForABodyWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body, server := io.Pipe()
		resp := &http.Response{StatusCode: 401, Header: http.Header{"Content-Type": {"application/json"}}, Body: body}
		go io.WriteString(server, `{"error":`)
		start := time.Now()
		code, rejected := rfc.Config(oauth2.Config{}).TokenRejected(resp)
		assert.Empty(t, code)
		assert.True(t, rejected)
		assert.Equal(t, 5*time.Second, time.Since(start))
		go func() {
			io.WriteString(server, `"x"}`)
			server.Close()
		}()
		assert.Equal(t, `{"error":"x"}`, readAll(t, resp.Body), "and the body can still be read")
	})
}
