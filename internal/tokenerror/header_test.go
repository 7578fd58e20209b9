package tokenerror

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func challenge(scheme, token68 string, params ...string) Challenge {
	c := Challenge{Scheme: scheme, Token68: token68, Params: map[string]string{}}
	for i := 0; i < len(params); i += 2 {
		c.Params[params[i]] = params[i+1]
	}
	return c
}

func TestChallenges(t *testing.T) {
	for _, test := range []struct {
		fields []string
		want   []Challenge
	}{
		{nil, nil},
		{[]string{""}, nil},
		{[]string{", ,"}, nil},
		{[]string{"Bearer"}, []Challenge{challenge("bearer", "")}},
		{[]string{`Bearer error="invalid_token"`}, []Challenge{challenge("bearer", "", "error", "invalid_token")}},
		{[]string{`BEARER Realm="a, b" ,ERROR = invalid_token,error="other"`},
			[]Challenge{challenge("bearer", "", "realm", "a, b", "error", "invalid_token")}},
		{[]string{`Bearer realm="say \"hi\", error=\"invalid_token\""`},
			[]Challenge{challenge("bearer", "", "realm", `say "hi", error="invalid_token"`)}},
		// RFC 9110, section 11.6.1.
		{[]string{`Basic realm="simple", Newauth realm="apps", type=1, title="Login to \"apps\""`},
			[]Challenge{challenge("basic", "", "realm", "simple"), challenge("newauth", "", "realm", "apps", "type", "1", "title", `Login to "apps"`)}},
		{[]string{"Negotiate YWJj+/==, Basic", "Bearer scope=a"},
			[]Challenge{challenge("negotiate", "YWJj+/=="), challenge("basic", ""), challenge("bearer", "", "scope", "a")}},
		{[]string{"Negotiate, NTLM,Bearer error=invalid_token"},
			[]Challenge{challenge("negotiate", ""), challenge("ntlm", ""), challenge("bearer", "", "error", "invalid_token")}},
		{[]string{"Bearer realm=https://example.com/a, error=expired_token"},
			[]Challenge{challenge("bearer", "", "realm", "https://example.com/a", "error", "expired_token")}},
		// What isn't right is read as far as it goes.
		{[]string{`Bearer error="invalid_token`}, []Challenge{challenge("bearer", "")}},
		{[]string{`Bearer error="invalid_token\`}, []Challenge{challenge("bearer", "")}},
		{[]string{`error="invalid_token"`}, []Challenge{challenge("error", "")}},
		{[]string{`"Bearer error=x", Basic realm=""`}, []Challenge{challenge("basic", "", "realm", "")}},
		{[]string{`Bearer realm=x, error=, scope=y`}, []Challenge{challenge("bearer", "", "realm", "x", "scope", "y")}},
		{[]string{`Bearer realm="a" error="invalid_token"`}, []Challenge{challenge("bearer", "", "realm", "a", "error", "invalid_token")}},
		{[]string{`=?é, Bearer`}, []Challenge{challenge("bearer", "")}},
	} {
		assert.Equal(t, test.want, Challenges(http.Header{"Www-Authenticate": test.fields}), "%q", test.fields)
	}
	many := http.Header{"Www-Authenticate": {strings.Repeat("a,", 1000), strings.Repeat("b,", 1000)}}
	assert.Len(t, Challenges(many), maxChallenges)
}

func TestBearerChallengeTellsWhetherTheTokenIsRefused(t *testing.T) {
	for _, test := range []struct {
		fields  []string
		code    string
		refusal Refusal
	}{
		{nil, "", RefusalUnknown},
		{[]string{"Bearer"}, "", RefusalUnknown},
		{[]string{`Bearer error="invalid_token", error_description="expired"`}, "invalid_token", RefusalToken},
		{[]string{"bearer error=expired_token"}, "expired_token", RefusalToken},
		{[]string{`OAuth error="token_expired"`}, "token_expired", RefusalToken},
		{[]string{`DPoP algs="ES256", error="invalid_token"`}, "invalid_token", RefusalToken},
		{[]string{`DPoP error="use_dpop_nonce"`}, "use_dpop_nonce", RefusalOther},
		{[]string{`Bearer error="INVALID_TOKEN"`}, "invalid_token", RefusalToken},
		{[]string{`Bearer error="insufficient_scope", scope="a"`}, "insufficient_scope", RefusalOther},
		{[]string{`Bearer error="E42"`}, "E42", RefusalUnknown},
		// Several: the one about the token counts, wherever it stands.
		{[]string{`Bearer realm="a"`, `Bearer error="invalid_token"`}, "invalid_token", RefusalToken},
		{[]string{`Basic realm="a", Bearer error="invalid_token"`}, "invalid_token", RefusalToken},
		{[]string{`DPoP error="invalid_request", Bearer error="expired_token"`}, "expired_token", RefusalToken},
		{[]string{`Bearer error="invalid_token", DPoP error="use_dpop_nonce"`}, "invalid_token", RefusalToken},
		// Nobody says it.
		{[]string{`Basic realm="a", error="invalid_token"`}, "", RefusalUnknown},
		{[]string{`Bearer realm="error=\"invalid_token\""`}, "", RefusalUnknown},
		{[]string{`Bearer error_description="error=invalid_token"`}, "", RefusalUnknown},
	} {
		code, refusal := Refused(http.Header{"Www-Authenticate": test.fields})
		assert.Equal(t, test.code, code, "%q", test.fields)
		assert.Equal(t, test.refusal, refusal, "%q", test.fields)
	}
}

func TestRefusalOf(t *testing.T) {
	for code, want := range map[string]Refusal{
		"": RefusalUnknown, "invalid_token": RefusalToken, "Invalid_Token": RefusalToken, "invalid_token_error": RefusalToken,
		"authentication_error": RefusalToken, "invalid_grant": RefusalToken, "InvalidAuthenticationToken": RefusalToken,
		"invalid_client": RefusalOther, "insufficient_scope": RefusalOther, "server_error": RefusalOther, "_error": RefusalUnknown,
	} {
		assert.Equal(t, want, RefusalOf(code), code)
	}
}

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it is midnight of 2000-01-01, UTC
		for _, test := range []struct {
			retryAfter, date string
			want             time.Duration
		}{
			{"", "", 0},
			{"0", "", 0},
			{"7", "", 7 * time.Second},
			{" 120 ", "", 2 * time.Minute},
			{"86400", "", 24 * time.Hour},
			{"86401", "", MaxRetryAfter},
			{"99999999999999999999", "", MaxRetryAfter},
			{"-7", "", 0},
			{"+7", "", 0},
			{"1.5", "", 0},
			{"soon", "", 0},
			{"Sat, 01 Jan 2000 00:01:30 GMT", "", 90 * time.Second},
			{"Saturday, 01-Jan-00 00:01:30 GMT", "", 90 * time.Second},
			{"Sat Jan  1 00:01:30 2000", "", 90 * time.Second},
			{"Fri, 31 Dec 1999 00:00:00 GMT", "", 0},
			{"Fri, 01 Jan 2100 00:00:00 GMT", "", MaxRetryAfter},
			// The server's clock is years ahead, or behind; or ours is.
			{"Wed, 01 Jan 2020 00:01:30 GMT", "Wed, 01 Jan 2020 00:00:00 GMT", 90 * time.Second},
			{"Mon, 01 Jan 1990 00:01:30 GMT", "Mon, 01 Jan 1990 00:00:00 GMT", 90 * time.Second},
			{"Mon, 01 Jan 1990 00:00:00 GMT", "Mon, 01 Jan 1990 00:01:30 GMT", 0},
			{"Sat, 01 Jan 2000 00:01:30 GMT", "today", 90 * time.Second},
			{"7", "Wed, 01 Jan 2020 00:00:00 GMT", 7 * time.Second},
		} {
			h := http.Header{"Retry-After": {test.retryAfter}, "Date": {test.date}}
			assert.Equal(t, test.want, RetryAfter(h), "%q at %q", test.retryAfter, test.date)
		}
		assert.Zero(t, RetryAfter(nil))
	})
}

// FuzzHeader reads what a hostile server sends, and reads again what it has read.
func FuzzHeader(f *testing.F) {
	for _, s := range []string{
		`Bearer error="invalid_token"`, `Basic realm="a\"b", Bearer error=x`, "Negotiate YWJj==", `a "b`, `a b="\`, ",,", "=", "7",
		"Sat, 01 Jan 2000 00:01:30 GMT",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h := http.Header{"Www-Authenticate": {s}, "Retry-After": {s}, "Date": {s}}
		if d := RetryAfter(h); d < 0 || d > MaxRetryAfter {
			t.Errorf("RetryAfter is %v", d)
		}
		Refused(h)
		for _, c := range Challenges(h) {
			if c.Scheme == "" || c.Scheme != strings.ToLower(c.Scheme) {
				t.Errorf("the scheme %q", c.Scheme)
			}
			if c.Token68 != "" && len(c.Params) > 0 && strings.ContainsAny(c.Token68, ` ,"`) {
				t.Errorf("the token68 %q", c.Token68)
			}
			again := c.Scheme
			for name, value := range c.Params {
				again += fmt.Sprintf(` %s="%s",`, name, strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value))
			}
			c.Token68 = ""
			if got := Challenges(http.Header{"Www-Authenticate": {again}}); len(got) != 1 || !assert.ObjectsAreEqual(c, got[0]) {
				t.Errorf("%q is read as %q", again, got)
			}
		}
	})
}
