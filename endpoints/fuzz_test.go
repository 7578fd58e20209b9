package endpoints_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// fuzzStyles are the ways to read a response that are fuzzed; a seed names one by
// its index.
var fuzzStyles = []endpoints.Answer{
	{},
	{TokenIn: "data", Success: map[string]string{"ok": "true"}},
	{
		Names:        map[string]string{"access_token": "data.token", "refresh_token": "data.refresh", "expires_in": "ttl", "error": "fault.code"},
		LifetimeUnit: time.Millisecond, Errors: []endpoints.ErrorRule{{Code: "7", Kind: endpoints.KindCodeRejected}},
	},
	{Names: map[string]string{"refresh_token": "access_token", "expires_at": "expires_at"}, TimeLayout: "1/2/2006 3:04:05 PM"},
	{
		DefaultLifetime: time.Hour, Success: map[string]string{"error.code": "ok"},
		Errors: []endpoints.ErrorRule{
			{In: "data.list.state", Code: "dead*", Kind: endpoints.KindLoginRequired}, {Status: 401, Kind: endpoints.KindLoginRequired},
		},
	},
}

type fuzzSeed struct {
	style       int
	contentType string
	status      int
	body        string
}

// fuzzSeeds are answers as they occur, and those that once went wrong.
var fuzzSeeds = []fuzzSeed{
	{0, "application/json", 200, `{"access_token":"7e965183-9332-423c-9259-3edafb332ad2","account_id":"ac3a2af9","provider_id":"turbotax"}`},
	{0, "application/json", 200, `{"access_token":"a","refresh_token":"r","scope":"a b","expires_in":3600,"token_type":"Bearer"}`},
	{0, "text/plain", 200, `{"access_token":"a","expires_in":"3600"}`},
	{0, "text/html", 200, "\xef\xbb\xbf" + ` {"access_token":"a","expires_in":3600.0}`},
	{0, "", 201, `{"access_token":"a","expires_in":3.6e3,"refresh_token":null}`},
	{0, "application/json", 200, `{"access_token":"a","expires_in":""}`},
	{0, "application/json", 200, `{"access_token":"a","expires_in":null}`},
	{0, "application/json", 200, `{"access_token":"a","expires_in":0}`},
	{0, "application/json", 200, `{"access_token":"a","expires_in":-1}`},
	{0, "application/json", 200, `{"access_token":"a","expires_in":1e-300}`},
	{0, "application/json", 200, `{"access_token":"a","expires_in":1e300}`},
	{0, "application/json", 200, `{"access_token":"a","expires_in":1e400,"big":1e999999}`},
	{0, "application/json", 200, `{"access_token":"a","expires_in":true,"refresh_token":"r"}`},
	{0, "application/json", 200, `{"access_token":"a","expires_in":{"seconds":1}}`},
	{0, "application/json", 200, `{"access_token":"a","Expires_In":"soon"}`},
	{0, "application/json", 200, `{"acceſs_token":"a","EXPIRES_IN":[],"Error":{},"error_URI":7}`},
	{0, "application/json", 200, `{"access_token":"a","ACCESS_TOKEN":7,"Token_Type":{},"REFRESH_TOKEN":false}`},
	{0, "application/json", 200, `{"access_token":"a","token_type":7,"error":0,"error_description":{},"error_uri":[]}`},
	{0, "application/json", 200, `{"access_token":123}`},
	{0, "application/json", 200, `{"access_token":"a","refresh_token":123}`},
	{0, "application/json", 200, `{"access_token":"a","id":9007199254740993,"deep":[{"id":-9223372036854775809}]}`},
	{0, "application/json", 200, `{"access_token":"a","access_token":""}`},
	{0, "application/json", 200, `{"access_token":"a","":{"access_token":"b"}}`}, // taken for TokenIn
	{0, "application/json", 200, `{"access_token":"a"} {}`},
	{0, "application/json", 200, `{"access_token":"`},
	{0, "application/json", 200, `[]`},
	{0, "application/json", 200, ``},
	{0, "application/json", 200, `{}`},
	{0, "application/json", 200, `{"access_token":"a` + "\xff" + `","x":"\ud800"}`},
	{0, "application/x-www-form-urlencoded", 200, `access_token=a&expires_in=3600&refresh_token=r`},
	{0, "application/x-www-form-urlencoded; charset=utf-8", 200, `access_token=a&expires_in=soon`},
	{0, "text/plain", 200, `access_token=a&error=&error_description=%FF`},
	{0, "text/plain", 200, `error=invalid_grant&error_description=s3cret-c0de`},
	{0, "text/plain", 400, `Invalid code s3cret-c0de`},
	{0, "text/html", 403, `<html>s3cret-c0de</html>`},
	{0, "s3cret-c0de", 403, `s3cret-c0de`},
	{0, "text/html", 200, `<html></html>`},
	{0, "", 302, ``},
	{0, "", 204, ``},
	{0, "application/json", 400, `{"statusCode":400,"status":400,"code":400,"message":"Invalid grant: authorization code is invalid","name":"invalid_grant"}`},
	{0, "application/json", 401, `{"code":401,"name":"authentication_error","finch_code":"reauthenticate_user","message":"x"}`},
	{0, "application/json", 403, `{"error":"invalid_grant","error_description":"Invalid authorization code"}`},
	{0, "application/json", 429, `{"error":"too_many_requests","error_description":"Global limit","error_uri":"https://auth0.com/docs"}`},
	{0, "application/json", 400, `{"error":"s3cret-c0de","error_description":"s3cret%2dc0de","error_uri":"https://x/s3cret-c0de"}`},
	{0, "application/json", 400, `{"error":{"code":190,"type":"OAuthException","message":"s3cret&#45;c0de"}}`},
	{0, "application/json", 400, `{"errors":[{"errorType":"invalid_grant","message":"x"},7]}`},
	{0, "application/json", 400, `{"error":true,"message":7}`},
	{0, "application/json", 400, `{"error":["a"]}`},
	{0, "application/json", 500, `{"message":"Internal Server Error"}`},
	{0, "application/problem+json", 400, `{"type":"about:blank","title":"Bad","status":400}`},
	{1, "application/json", 200, `{"ok":true,"access_token":"b","data":{"access_token":"a","expires_in":60}}`},
	{1, "application/json", 200, `{"ok":false,"error":"invalid_code"}`},
	{1, "application/json", 200, `{"ok":"true","data":null}`},
	{1, "application/json", 400, `{"ok":true,"data":{"access_token":"a"}}`},
	{2, "application/json", 200, `{"data":{"token":"a","refresh":"r"},"ttl":3600000}`},
	{2, "application/json", 200, `{"data.token":"a","data":{"refresh":7},"ttl":"soon"}`},
	{2, "application/json", 400, `{"fault":{"code":7,"message":"x"}}`},
	{2, "application/x-www-form-urlencoded", 200, `data.token=a&ttl=1`},
	{3, "application/json", 200, `{"access_token":"a","expires_at":2524608000}`},
	{3, "application/json", 200, `{"access_token":"a","expires_at":"2050-01-01T00:00:00Z"}`},
	{3, "application/json", 200, `{"access_token":"a","expires_at":2524608000000,"expires_in":1}`},
	{3, "application/json", 200, `{"access_token":"a","expires_at":"tomorrow"}`},
	{3, "application/json", 200, `{"access_token":"a","expires_at":0,"expires_in":"soon"}`},
	{4, "application/json", 200, `{"access_token":"a","expires_in":"soon","error":{"code":"ok"}}`},
	{4, "application/json", 200, `{"error":{"code":0}}`},
	{4, "application/json", 200, `{"error.code":1,"access_token":"a"}`},
}

const minFuzzSeeds = 60

// FuzzResponse decodes foreign bytes: whatever a server answers, what x/oauth2 gets
// is RFC 6749's JSON.
func FuzzResponse(f *testing.F) {
	if len(fuzzSeeds) < minFuzzSeeds {
		f.Fatalf("%d seeds, want at least %d", len(fuzzSeeds), minFuzzSeeds)
	}
	for _, s := range fuzzSeeds {
		for _, refresh := range []bool{false, true} {
			f.Add(s.style, s.contentType, s.status, []byte(s.body), refresh)
		}
	}
	f.Fuzz(func(t *testing.T, style int, contentType string, status int, body []byte, refresh bool) {
		if style < 0 || style >= len(fuzzStyles) || status < 200 || status > 599 {
			t.Skip()
		}
		p := rfc
		p.Answer = fuzzStyles[style]
		var handed []byte // to x/oauth2
		server := roundTripper(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(bytes.NewReader(body))}, nil
		})
		tapped := roundTripper(func(r *http.Request) (*http.Response, error) {
			resp, err := adapter(p, server).RoundTrip(r)
			if err != nil {
				t.Fatalf("an error in place of a response: %v", err)
			}
			handed, err = io.ReadAll(resp.Body)
			if err != nil || resp.ContentLength != int64(len(handed)) || resp.Header.Get("Content-Type") != "application/json" {
				t.Fatalf("error %v, length %d of %d, header %v", err, resp.ContentLength, len(handed), resp.Header)
			}
			resp.Body = io.NopCloser(bytes.NewReader(handed))
			return resp, nil
		})
		token, err := fuzzedRequest(tapped.context(), refresh)

		var members map[string]json.RawMessage
		if jsonErr := json.Unmarshal(handed, &members); jsonErr != nil {
			t.Fatalf("not a JSON object: %v", jsonErr)
		}
		if err != nil {
			checkFuzzedFailure(t, err, members)
			return
		}
		checkFuzzedToken(t, token, members, refresh)
		var sent map[string]any
		if style == 0 && json.Unmarshal(bytes.TrimPrefix(bytes.TrimSpace(body), []byte("\xef\xbb\xbf")), &sent) == nil {
			checkNothingLost(t, token, sent)
		}
	})
}

const fuzzedSecret = "s3cret-c0de"

func fuzzedRequest(ctx context.Context, isRefresh bool) (*oauth2.Token, error) {
	conf := &oauth2.Config{ClientID: "id", Endpoint: rfc.Endpoint}
	if isRefresh {
		return refresh(ctx, conf, fuzzedSecret)
	}
	return conf.Exchange(ctx, fuzzedSecret)
}

func checkFuzzedFailure(t *testing.T, err error, members map[string]json.RawMessage) {
	var retrieve *oauth2.RetrieveError
	if !errors.As(err, &retrieve) {
		t.Fatalf("x/oauth2 can't read it: %v", err)
	}
	if retrieve.ErrorCode == "" {
		t.Fatalf("a failure without a code: %s", retrieve.Body)
	}
	for name := range members {
		if name != "error" && name != "error_description" && name != "error_uri" {
			t.Fatalf("%s in a failure", name)
		}
	}
	if strings.Contains(strings.ToLower(err.Error()), fuzzedSecret) {
		t.Fatal("the secret in the error")
	}
	if status := retrieve.Response.StatusCode; status >= 200 && status < 300 {
		t.Fatalf("a failure with status %d", status)
	}
	endpoints.KindOf(err)
}

func checkFuzzedToken(t *testing.T, token *oauth2.Token, members map[string]json.RawMessage, isRefresh bool) {
	var access string
	if err := json.Unmarshal(members["access_token"], &access); err != nil || access == "" || access != token.AccessToken {
		t.Fatalf("a success without an access token: %v", err)
	}
	if isRefresh && token.RefreshToken == "" {
		t.Fatal("the refresh token was lost")
	}
	if expiresIn, ok := members["expires_in"]; ok {
		var n int32
		if err := json.Unmarshal(expiresIn, &n); err != nil || n < 1 || token.Expiry.IsZero() {
			t.Fatalf("expires_in is %s: %v", expiresIn, err)
		}
	} else if !token.Expiry.IsZero() {
		t.Fatal("an expiry out of nothing")
	}
	var into map[string]any
	if err := endpoints.Metadata(token, &into); err != nil {
		t.Fatal(err)
	}
}

// checkNothingLost compares what the provider of RFC 6749's style sent with what
// became of it.
func checkNothingLost(t *testing.T, token *oauth2.Token, sent map[string]any) {
	for name, v := range sent {
		standard := strings.ToLower(name)
		switch standard {
		case "access_token", "refresh_token", "token_type", "expires_in", "error", "error_description", "error_uri":
		default:
			if v != nil && token.Extra(name) == nil && !strings.ContainsAny(name, "ſ\u212a") {
				t.Fatalf("the member %q was lost", name)
			}
			continue
		}
		if standard != name {
			continue
		}
		if s, ok := v.(string); ok && name == "refresh_token" && s != "" && token.RefreshToken != s {
			t.Fatal("the refresh token was lost")
		}
		if name != "expires_in" || !token.Expiry.IsZero() || token.RefreshToken == "" {
			continue // without a refresh token, the API tells when it is over
		}
		s, isString := v.(string)
		if v != nil && v != 0.0 && v != -1.0 && !(isString && strings.Trim(strings.TrimSpace(s), "0+-.eE_") == "") {
			t.Fatalf("a lifetime of %v became for ever", v)
		}
	}
}
