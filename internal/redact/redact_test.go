package redact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSecretNames(t *testing.T) {
	for name, want := range map[string]bool{
		"client_secret": true, "Authorization": true, "refreshToken": true, "code_verifier": true, "client_assertion": true,
		"X-Api-Key": true, "Set-Cookie": true, "password": true,
		"client_id": false, "token_type": false, "client_assertion_type": false, "token_type_hint": false, "secret_url": false,
		"scope": false, "expires_in": false,
	} {
		assert.Equal(t, want, IsSecretName(name), name)
	}
}

func TestTextHasNoSecret(t *testing.T) {
	secrets := []string{"s3cret+/x=", "abc", "pin1", "p/n 2"}
	for s, want := range map[string]string{
		"nothing":                      "nothing",
		"the s3cret+/x= here":          "the [redacted] here",
		"s3cret%2B%2Fx%3D":             "[redacted]",
		"s3cret+%2Fx=":                 "[redacted]",
		"a s3cret%2B%2Fx%3D is bad":    "a [redacted] is bad",
		"code p%2Fn+2 or p%2Fn%202":    "code [redacted] or [redacted]",
		"a s3cret%252B%252Fx%253D":     "[redacted]",
		"a s&#51;cret+/x=":             "[redacted]",
		"a S3CRET+/X=":                 "[redacted]",
		`{"a":"s3cret+\/x="}`:          "[redacted]",
		`{"a":"s3cret\u002b/x\u003D"}`: "[redacted]",
		`"{\"a\":\"s3cret+\\\/x=\"}"`:  "[redacted]",
		`s3cret\x2b/x=`:                "[redacted]",
		`C:\temp\u12 \`:                `C:\temp\u12 \`,
		"abc is too short for one":     "abc is too short for one",
		"pin1 is not, PIN1 is a word":  "[redacted] is not, PIN1 is a word",
		"half of it: s3cret":           "half of it: s3cret",
		"100% of %zz and & and &#x; %": "100% of %zz and & and &#x; %",
	} {
		assert.Equal(t, want, Text(s, secrets), s)
	}
	assert.Equal(t, Mark, Text("anything", make([]string, maxSecrets+1)), "more than can be looked for")
}

func TestLineIsShortAndPlain(t *testing.T) {
	assert.Equal(t, "a b c", Line(" a\r\n\tb\u202e \x1b c\xff", 100, nil))
	assert.Equal(t, "[redacted]", Line("s3c\xffret-s3cret", 100, []string{"s3cret-s3cret"}), "put together by taking bytes out")
	assert.Empty(t, Line(strings.Repeat("x", maxText+1), 100, nil))
	for limit := range 12 {
		line := Line("éééééééé", limit, nil)
		assert.LessOrEqual(t, len(line), max(limit, len("…")))
		assert.True(t, utf8.ValidString(line) && strings.HasSuffix(line, "…"))
	}
	assert.Equal(t, "éé", Line("éé", 4, nil))
}

func TestURLIsOneToGoTo(t *testing.T) {
	for s, want := range map[string]bool{
		"https://example.com/e?x=1": true, "http://example.com": true,
		"": false, "/path": false, "javascript://x/%0aalert(1)": false, "https://": false, "https://example.com/%zz": false,
		"https://example.com/?s3cret-s3cret": false, "https://example.com/s3cret%2Ds3cret": false,
		"https://example.com/" + strings.Repeat("x", 100): false,
	} {
		got := URL(s, 100, []string{"s3cret-s3cret"})
		assert.Equal(t, want, got == s && s != "", s)
		assert.True(t, want || got == "", s)
	}
}

func TestErrorLeadsToNoSecret(t *testing.T) {
	const secret = "s3cret-s3cret"
	clean := errors.New("nothing secret")
	assert.Equal(t, clean, Error(clean, []string{secret}))
	assert.NoError(t, Error(nil, []string{secret}))

	dial := &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
	quoting := &url.Error{Op: "Post", URL: "https://example.com/?" + secret, Err: fmt.Errorf("%w: %w", dial, io.ErrUnexpectedEOF)}
	err := Error(fmt.Errorf("it failed: %w", quoting), []string{secret})
	assert.EqualError(t, err, `it failed: Post "https://example.com/?[redacted]": dial tcp: i/o timeout: unexpected EOF`)
	for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%x"} {
		assert.NotContains(t, fmt.Sprintf(verb, err), secret)
	}
	assert.NoError(t, errors.Unwrap(err))
	for _, field := range reflect.VisibleFields(reflect.TypeFor[redactedError]()) {
		assert.Contains(t, []reflect.Kind{reflect.Func, reflect.String, reflect.Bool}, field.Type.Kind(), "a way to what it was made of")
	}

	late := Error(&url.Error{URL: "https://" + secret, Err: os.ErrDeadlineExceeded}, []string{secret})
	assert.True(t, (&url.Error{Err: late}).Timeout())
	assert.False(t, (&url.Error{Err: Error(errors.New("no "+secret), []string{secret})}).Timeout())
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assert.NotErrorIs(t, err, context.Canceled)
	var network *net.OpError
	require.ErrorAs(t, err, &network)
	assert.Same(t, dial, network)
	var whole *url.Error
	assert.False(t, errors.As(err, &whole) || whole != nil, "what has the secret is reachable")

	assert.EqualError(t, Error(errors.New(strings.Repeat("x", maxText)+secret), []string{secret}), Mark)
}

// FuzzText hides a secret in a text in the ways there are, and looks for it.
func FuzzText(f *testing.F) {
	f.Add("before ", "s3cret-+/=é", " after")
	f.Add("%", "25%25%25", "&#")
	f.Add("s3cr", "s3cret-s3cret", "et")
	f.Add("https://a/", "s3cret-s3cret", "")
	f.Fuzz(func(t *testing.T, before, secret, after string) {
		if len(secret) < 8 || strings.Contains(strings.ToLower(Mark+"…"), strings.ToLower(secret)) {
			return
		}
		for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(url.QueryEscape(secret)), strings.ToUpper(secret)} {
			s := before + form + after
			line := Line(s, 300, []string{secret})
			if len(line) > 300 || !utf8.ValidString(line) || strings.ContainsAny(line, "\r\n\x00") {
				t.Errorf("the line %q of %q", line, s)
			}
			for what, got := range map[string]string{"text": Text(s, []string{secret}), "line": line, "URL": URL(s, 300, []string{secret})} {
				if strings.Contains(got, secret) {
					t.Errorf("the %s %q has the secret %q", what, got, secret)
				}
			}
		}
	})
}
