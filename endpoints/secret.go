package endpoints

import (
	"net/http"
	"net/url"
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
	return secrets
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
			if s, ok := member.(string); ok && redact.IsSecretName(name) {
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
