package endpoints

import (
	"cmp"
	"encoding/hex"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// isSecretName reports whether what goes by that name, a parameter, a header or a
// member of a response, is something that no error may print.
func isSecretName(name string) bool {
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

// requestSecrets returns the values in a request that may not come back in an error.
func requestSecrets(r *http.Request, params url.Values) []string {
	var secrets []string
	for name, values := range params {
		if isSecretName(name) || name == "code" || strings.HasSuffix(name, "_code") {
			secrets = append(secrets, values...)
		}
	}
	for name, values := range r.Header {
		if !isSecretName(name) {
			continue
		}
		for _, v := range values {
			_, credentials, _ := strings.Cut(v, " ") // after "Basic" or "Bearer"
			secrets = append(secrets, v, credentials)
		}
	}
	if _, secret, ok := basicAuth(r); ok {
		secrets = append(secrets, secret)
	}
	for _, cookie := range r.Cookies() {
		secrets = append(secrets, cookie.Value)
	}
	return secrets
}

// responseSecrets returns the tokens and the like in a response.
func responseSecrets(v any) []string {
	var secrets []string
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if s, ok := member.(string); ok && isSecretName(name) {
				secrets = append(secrets, s)
			}
			secrets = append(secrets, responseSecrets(member)...)
		}
	case []any:
		for _, element := range v {
			secrets = append(secrets, responseSecrets(element)...)
		}
	}
	return secrets
}

const (
	maxErrorText = 300     // bytes; enough for a sentence, too little for a page
	maxText      = 4 << 10 // bytes; what is longer is no text to look for a sentence in
	maxSecrets   = 100     // an answer has two or three tokens, unless it is to keep us busy
	redacted     = "[redacted]"
)

// printable makes a provider's text fit for an error message: one short line, in
// which nothing that was secret in the request or the answer stands.
func printable(s string, secrets []string) string {
	if len(s) > maxText {
		return "" // cut now, it could end with the half of a secret
	}
	s = redact(s, secrets)
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, ""), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	s = redact(s, secrets) // taking bytes out may have put one together
	if len(s) > maxErrorText {
		s = strings.ToValidUTF8(s[:maxErrorText], "") + "…"
	}
	return s
}

// redact replaces the secrets in s. A secret that is hidden in a way that can be
// seen but not cut out costs the whole text.
func redact(s string, secrets []string) string {
	if len(secrets) > maxSecrets {
		return redacted
	}
	for _, secret := range secrets {
		if len(secret) < 4 {
			continue // it would strike out half of the text, and can't be a secret
		}
		for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret)} {
			s = strings.ReplaceAll(s, form, redacted)
		}
	}
	plain := s
	for range 3 { // an escape may be escaped
		plain = unescape(plain)
	}
	plain = strings.ToLower(plain)
	for _, secret := range secrets {
		if len(secret) >= 8 && strings.Contains(plain, strings.ToLower(secret)) {
			return redacted
		}
	}
	return s
}

// unescape undoes the escapes of HTML and URLs where there are any.
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
		b.WriteByte(s[i])
	}
	return b.String()
}

// printableURL returns s if it is a URL that a person can be sent to, and else "".
func printableURL(s string, secrets []string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || printable(s, secrets) != s {
		return ""
	}
	return s
}

// redactedError is an error of the network's whose text had a secret in it, such as
// that of a server that doesn't speak HTTP, which net/http quotes.
type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string { return e.text }
func (e *redactedError) Unwrap() error { return e.err }

func redactError(err error, secrets []string) error {
	if text := err.Error(); redact(text, secrets) != text {
		return &redactedError{cmp.Or(printable(text, secrets), redacted), err}
	}
	return err
}
