// Package redact keeps secrets out of errors: those of a request, and those that a
// server's answer repeats.
package redact

import (
	"encoding/hex"
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Mark stands where a secret stood.
const Mark = "[redacted]"

const (
	maxText    = 4 << 10 // bytes; what is longer is no text to look for a sentence in
	maxSecrets = 100     // an answer has two or three tokens, unless it is to keep us busy
)

// KeptHeaders are the headers of an answer that an error keeps: when to try again,
// and what to quote to the provider's support. Any other may repeat a secret, such
// as Set-Cookie, or make net/http repeat the request, as Location does.
var KeptHeaders = []string{"Date", "Retry-After", "X-Request-Id", "Request-Id", "X-Correlation-Id", "Cf-Ray"}

// IsSecretName reports whether what goes by that name, a parameter, a header or a
// member of a response, is something that no error may print.
func IsSecretName(name string) bool {
	name = strings.ToLower(name)
	for _, suffix := range []string{"_type", "_hint", "_uri", "_url"} {
		if strings.HasSuffix(name, suffix) {
			return false // client_assertion_type, token_type_hint
		}
	}
	return slices.ContainsFunc([]string{
		"secret", "token", "password", "assertion", "verifier", "signature",
		"authorization", "cookie", "api-key", "api_key", "apikey",
	}, func(part string) bool { return strings.Contains(name, part) })
}

// Line makes a foreign text fit for an error message: one line of at most limit
// bytes, in which no secret stands.
func Line(s string, limit int, secrets []string) string {
	if len(s) > maxText {
		return "" // cut now, it could end with the half of a secret
	}
	s = Text(s, secrets)
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, ""), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	s = Text(s, secrets) // taking bytes out may have put one together
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:max(limit-len("…"), 0)], "") + "…"
	}
	return s
}

// Text replaces the secrets in s by Mark. A secret that is hidden in a way that can
// be seen but not cut out costs the whole text. A secret of less than four bytes
// stays: it would strike out half of the text, and can't be a secret.
func Text(s string, secrets []string) string {
	if len(secrets) > maxSecrets {
		return Mark
	}
	for _, secret := range secrets {
		if len(secret) < 4 {
			continue
		}
		for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret)} {
			s = strings.ReplaceAll(s, form, Mark)
		}
	}
	plain := s
	for range 3 { // an escape may be escaped
		plain = unescape(plain)
	}
	plain = strings.ToLower(plain)
	for _, secret := range secrets {
		if len(secret) >= 8 && strings.Contains(plain, strings.ToLower(secret)) {
			return Mark
		}
	}
	return s
}

// unescape undoes the escapes of HTML, URLs and quoted strings, as in JSON, where there
// are any.
func unescape(s string) string {
	s = html.UnescapeString(s)
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				b.Write(c)
				i += 2
				continue
			}
		}
		if s[i] == '\\' {
			if r, rest, err := unquoted(s[i:]); err == nil {
				b.WriteString(r)
				i = len(s) - len(rest) - 1
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// unquoted returns what the escape at the beginning of s stands for, and what follows.
func unquoted(s string) (char, rest string, err error) {
	if len(s) > 1 && strings.IndexByte(`/"'\`, s[1]) >= 0 {
		return s[1:2], s[2:], nil // PHP writes \/
	}
	r, _, rest, err := strconv.UnquoteChar(s, 0)
	return string(r), rest, err
}

// URL returns s if it is a URL of at most limit bytes that a person can be sent to,
// with no secret in it, and else "".
func URL(s string, limit int, secrets []string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || Line(s, limit, secrets) != s {
		return ""
	}
	return s
}
