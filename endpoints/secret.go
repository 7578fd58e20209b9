package endpoints

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/oauth2keep/oauth2keep/internal/redact"
)

// maxErrorText bounds a provider's text in an error, in bytes: enough for a
// sentence, too little for a page.
const maxErrorText = 300

// requestSecrets returns the values in a request that may not come back in an error.
func requestSecrets(r *http.Request, params url.Values) []string {
	var secrets []string
	if r == nil {
		return nil
	}
	for name, values := range params {
		if isSecret(name) {
			secrets = append(secrets, values...)
		}
	}
	for name, values := range r.URL.Query() {
		if isSecret(name) {
			secrets = append(secrets, values...)
		}
	}
	for name, values := range r.Header {
		if !redact.IsSecretName(name) {
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

// secrets returns those that a request knows, whatever it sends.
func (in *input) secrets() []string {
	secrets := []string{in.secret}
	if in.token != nil {
		secrets = append(secrets, in.token.AccessToken, in.token.RefreshToken)
	}
	for name, values := range in.rfc {
		if isSecret(name) {
			secrets = append(secrets, values...)
		}
	}
	for name := range in.provider.Vars {
		if v, err := in.value(name); err == nil && isSecret(name) {
			secrets = append(secrets, v)
		}
	}
	return secrets
}

// secrets are what may not be repeated in an error: the secrets of the request, and
// the tokens in the answer, also where a hook has found them.
func (a *answer) secrets() []string {
	secrets := slices.Concat(requestSecrets(a.asked, a.in.options), requestSecrets(a.sent, a.params), a.in.secrets())
	if a.resp == nil {
		return secrets
	}
	answer := &a.in.provider.Answer
	sent, _ := decodeMembers(a.resp.Header.Get("Content-Type"), a.body, answer)
	places := []map[string]any{sent}
	if a.hooked {
		places = append(places, a.members)
	}
	for _, members := range places {
		secrets = append(secrets, responseSecrets(members)...)
		for _, name := range []string{"access_token", "refresh_token"} { // under the provider's names
			secrets = append(secrets, memberText(answer.at(members, name)))
		}
	}
	return secrets
}

// withoutSecrets returns the error of a hook. If nobody but the hook can read the
// answer, any long word of it could be a token.
func (a *answer) withoutSecrets(hookErr error) error {
	secrets := a.secrets()
	if _, err := decodeMembers(a.resp.Header.Get("Content-Type"), a.body, &a.in.provider.Answer); err != nil {
		secrets = append(secrets, longWords(a.body)...)
	}
	return errors.New(redact.Line(hookErr.Error(), maxErrorText, secrets))
}

// longWords returns the words of a text that are long enough for a token.
func longWords(body []byte) []string {
	const shortestToken = 16
	words := strings.FieldsFunc(string(body), func(r rune) bool {
		return r <= ' ' || strings.ContainsRune("<>\"'&,;:(){}[]|", r)
	})
	return slices.DeleteFunc(words, func(word string) bool { return len(word) < shortestToken })
}

// isSecret reports whether what a parameter of that name has is one.
func isSecret(name string) bool {
	return redact.IsSecretName(name) || name == "code" || strings.HasSuffix(name, "_code")
}

// responseSecrets returns the tokens and the like in a response.
func responseSecrets(v any) []string {
	var secrets []string
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if s := text(member); s != "" && redact.IsSecretName(name) {
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
