package endpointstest

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// taxRock is the dialect of https://docs.taxrock.com and, where that is silent, of
// the Auth0-like server behind its login.
type taxRock struct{ plain }

// taxRockAudience is the same in the sandbox.
const taxRockAudience = "https://delegate.api.taxrock.com"

func (taxRock) policy() (Policy, lifetimes) {
	const day = 24 * time.Hour
	return Policy{AccessLifetime: time.Hour}, lifetimes{code: time.Minute, refreshIdle: 100 * day, refresh: 365 * day}
}

func (taxRock) scopes() []scope {
	return []scope{
		{"offline_access", "Stay connected while you are away"},
		{"read:client-accounts", "Read the compliance data of your clients"},
	}
}

func (d taxRock) consent(q map[string]string) (consent, string) {
	c := consent{scopes: strings.Split(q["scope"], " ")}
	if wrong := checkScopes(d, "scope", c.scopes); wrong != "" {
		return c, wrong
	}
	if !slices.Contains(c.scopes, "offline_access") {
		return c, "scope must include offline_access"
	}
	return c, ""
}

func (taxRock) clientCredentials() endpoints.Params {
	return endpoints.Params{"audience": {taxRockAudience}}
}

type taxRockToken struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope"`
	ExpiresIn    int64  `json:"expires_in,omitempty"`
	TokenType    string `json:"token_type"`
}

func (taxRock) tokens(g *grant, t issued) any {
	return taxRockToken{
		AccessToken:  t.access,
		RefreshToken: t.refresh,
		Scope:        strings.Join(g.scopes, " "),
		ExpiresIn:    t.seconds,
		TokenType:    "Bearer",
	}
}

// taxRockError is how the login server puts it, taxRockAPIError how the API does.
type taxRockError struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

type taxRockAPIError struct {
	Error   string `json:"error"`
	Message string `json:"message"`
}

var taxRockErrors = map[problem]struct {
	status     int
	code, text string
}{
	malformed:         {400, "invalid_request", "The request is malformed"},
	wrongMethod:       {405, "invalid_request", "Method not allowed"},
	wrongMediaType:    {415, "invalid_request", "Content-Type must be application/json"},
	notFound:          {404, "not_found", "Not found"},
	wrongClient:       {401, "access_denied", "Unauthorized"},
	wrongGrantType:    {403, "unsupported_grant_type", "Unsupported grant type"},
	wrongCode:         {403, "invalid_grant", "Invalid authorization code"},
	wrongRedirect:     {403, "unauthorized_client", "The redirect URI is wrong"},
	wrongVerifier:     {403, "invalid_grant", "Failed to verify code verifier"},
	wrongRefreshToken: {403, "invalid_grant", "Unknown or invalid refresh token."},
	wrongAudience:     {403, "access_denied", "Service not found"},
	unsupportedToken:  {400, "unsupported_token_type", "Only refresh tokens can be revoked"},
	missingToken:      {401, "invalid_token", "The access token is missing"},
	deadToken:         {401, "invalid_token", "The access token is dead"},
	revokedToken:      {401, "invalid_token", "The access token is dead"},
	lostConnection:    {403, "invalid_grant", "Unknown or invalid refresh token."},
	missingScope:      {403, "insufficient_scope", "The access token lacks a scope"},
	tooManyRequests:   {429, "too_many_requests", "Global limit has been reached"},
	outOfOrder:        {503, "temporarily_unavailable", "The service is unavailable"},
}

func (taxRock) refuse(on Operation, r *refusal) *answer {
	e := taxRockErrors[r.problem]
	if on != API {
		return jsonAnswer(e.status, taxRockError{e.code, r.because(e.text)})
	}
	switch r.problem {
	case missingToken, deadToken, revokedToken, lostConnection:
		// An empty bearer challenge, without a body.
		return &answer{status: http.StatusUnauthorized, header: http.Header{"Www-Authenticate": {"Bearer"}}}
	}
	return jsonAnswer(e.status, taxRockAPIError{e.code, r.because(e.text)})
}

func (taxRock) calls() []call {
	account := func(g *grant) map[string]any {
		return map[string]any{"clientAccountId": g.uuid("account"), "clientAccountName": "Acme Holdings", "amountDue": 0}
	}
	return []call{
		{on: API, method: http.MethodGet, path: "/client-accounts", scope: "read:client-accounts", answer: func(g *grant, _ *site) any {
			return map[string]any{"result": []any{account(g)}}
		}},
		{on: API, method: http.MethodPost, path: "/client-accounts/lookup/ein", scope: "read:client-accounts", check: checkEIN, answer: func(g *grant, _ *site) any {
			return map[string]any{"currentStatus": map[string]any{"status": "Compliant"}, "result": account(g)}
		}},
	}
}

var ein = regexp.MustCompile(`^\d\d-?\d{7}$`)

func checkEIN(body []byte) string {
	var request struct {
		EIN string `json:"businessEin"`
	}
	if err := json.Unmarshal(body, &request); err != nil || !ein.MatchString(request.EIN) {
		return "businessEin is missing or malformed"
	}
	return ""
}
