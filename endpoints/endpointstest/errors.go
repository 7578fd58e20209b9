package endpointstest

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// rfcErrors is what the RFCs have for each problem, and the kinds that a rule may have
// that speaks of it, at the token endpoint and at the API, the best first.
var rfcErrors = map[problem]struct {
	status          int
	code, text      string
	kinds, apiKinds []endpoints.ErrorKind
}{
	malformed:         {400, "invalid_request", "The request is malformed", kinds(endpoints.KindClientRejected), nil},
	wrongMethod:       {405, "invalid_request", "Method not allowed", nil, nil},
	wrongMediaType:    {400, "invalid_request", "The content type is wrong", kinds(endpoints.KindClientRejected), nil},
	notFound:          {404, "not_found", "Not found", nil, nil},
	wrongClient:       {401, "invalid_client", "Client authentication failed", kinds(endpoints.KindClientRejected), nil},
	wrongGrantType:    {400, "unsupported_grant_type", "The grant type is not supported", kinds(endpoints.KindClientRejected), nil},
	wrongCode:         {400, "invalid_grant", "The authorization code is invalid or expired", kinds(endpoints.KindCodeRejected, endpoints.KindLoginRequired), nil},
	wrongRedirect:     {400, "invalid_grant", "", kinds(endpoints.KindRedirectMismatch), nil},
	wrongVerifier:     {400, "invalid_grant", "The code verifier is wrong", kinds(endpoints.KindCodeRejected, endpoints.KindLoginRequired), nil},
	wrongRefreshToken: {400, "invalid_grant", "The refresh token is invalid or expired", kinds(endpoints.KindLoginRequired), nil},
	devicePending:     {400, "authorization_pending", "The user hasn't decided yet", nil, nil}, // RFC 8628, section 3.5
	deviceTooFast:     {400, "slow_down", "The device asks too often", kinds(endpoints.KindRateLimited), nil},
	deviceDenied:      {400, "access_denied", "The user said no", kinds(endpoints.KindDenied), nil},
	deviceExpired:     {400, "expired_token", "The device code expired", kinds(endpoints.KindCodeRejected, endpoints.KindLoginRequired), nil},
	wrongAudience:     {400, "invalid_target", "The audience is wrong", nil, nil}, // RFC 8707, section 2
	unsupportedToken:  {400, "unsupported_token_type", "The token isn't of that type", nil, nil},
	missingToken:      {401, "invalid_request", "There is no access token", nil, nil},
	deadToken:         {401, "invalid_token", "The access token expired", nil, kinds(endpoints.KindTokenRejected)},
	revokedToken:      {401, "invalid_token", "The access token was revoked", nil, kinds(endpoints.KindLoginRequired, endpoints.KindTokenRejected)},
	lostConnection: {
		401, "invalid_grant", "The user has to connect again",
		kinds(endpoints.KindLoginRequired), kinds(endpoints.KindLoginRequired, endpoints.KindTokenRejected),
	},
	missingScope: {
		403, "insufficient_scope", "The access token lacks a scope",
		kinds(endpoints.KindInsufficientScope), kinds(endpoints.KindInsufficientScope),
	},
	tooManyRequests: {429, "too_many_requests", "Too many requests", kinds(endpoints.KindRateLimited), kinds(endpoints.KindRateLimited)},
	outOfOrder:      {503, "temporarily_unavailable", "The service is unavailable", kinds(endpoints.KindProviderTrouble), kinds(endpoints.KindProviderTrouble)},
}

func kinds(k ...endpoints.ErrorKind) []endpoints.ErrorKind { return k }

// byRule answers as one of the rules has it that mean one of the kinds, or returns nil
// if there is none.
func (d plain) byRule(rules []endpoints.ErrorRule, kinds []endpoints.ErrorKind, description string, status int) *answer {
	for _, kind := range kinds {
		for i, rule := range rules {
			if rule.Kind != kind {
				continue
			}
			body := d.inWordsOf(rule, description)
			status := cmp.Or(rule.Status, status)
			earlier := func(r endpoints.ErrorRule) bool { return d.matches(r, status, body) }
			if slices.ContainsFunc(rules[:i], earlier) {
				continue // the client would take it for something else
			}
			if body == nil {
				return &answer{status: status, header: make(http.Header)}
			}
			return jsonAnswer(status, d.failed(body))
		}
	}
	return nil
}

// inWordsOf is the body of an answer that a rule is about, or nil if it is about those
// that say nothing.
func (d plain) inWordsOf(rule endpoints.ErrorRule, description string) map[string]any {
	if rule.In == "" && rule.Code == "" {
		return nil
	}
	body := make(map[string]any)
	put(body, cmp.Or(rule.In, d.named("error")), literal(exampleOf(rule.Code)))
	put(body, d.named("error_description"), description)
	return body
}

// exampleOf is a text that a rule's Code matches.
func exampleOf(code string) string {
	if code == "" {
		return "1"
	}
	return strings.ReplaceAll(code, "*", "it")
}

// matches reports whether a rule is about an answer.
func (d plain) matches(rule endpoints.ErrorRule, status int, body map[string]any) bool {
	if rule.Status != 0 && rule.Status != status {
		return false
	}
	if rule.In == "" && rule.Code == "" {
		return body == nil
	}
	v, ok := textAt(body, cmp.Or(rule.In, d.named("error")))
	return ok && (rule.Code == "" || glob(rule.Code, ".*", v))
}

// failed adds what tells an error from success where the status doesn't.
func (d plain) failed(body map[string]any) map[string]any {
	for path, v := range d.real.Answer.Success {
		switch literal(v).(type) {
		case bool:
			put(body, path, v != "true")
		case int64:
			put(body, path, 1+literal(v).(int64))
		default:
			put(body, path, "not-"+v)
		}
	}
	return body
}

// textAt returns the text at a path with dots.
func textAt(m map[string]any, path string) (string, bool) {
	head, rest, nested := strings.Cut(path, ".")
	if inner, ok := m[head].(map[string]any); ok && nested {
		return textAt(inner, rest)
	}
	if v, ok := m[head]; ok && !nested {
		return fmt.Sprint(v), true
	}
	return "", false
}
