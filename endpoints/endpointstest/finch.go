package endpointstest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// finch is the dialect of https://developer.tryfinch.com.
type finch struct{ plain }

func (finch) policy() (Policy, lifetimes) { return Policy{}, lifetimes{code: 10 * time.Minute} }

func (finch) scopes() []scope {
	return []scope{
		{"benefits", "Create and manage deductions and contributions"},
		{"company", "Read basic company data"},
		{"deduction", "Read deductions"},
		{"directory", "Read the company directory"},
		{"documents", "Read tax documents"},
		{"employment", "Read employment and income data"},
		{"individual", "Read individual data"},
		{"payment", "Read payroll payments"},
		{"pay_statement", "Read pay statements"},
		{"recordkeeping", "Read records for retirement plans"},
		{"ssn", "Read social security numbers"},
	}
}

func (finch) extra() []string { return []string{"payroll_provider", "sandbox", "manual"} }

func (d finch) consent(q map[string]string) (consent, string) {
	c := consent{scopes: strings.Split(q["scope"], " "), source: "gusto", sourceType: "provider"}
	if wrong := checkScopes(d, "products", c.scopes); wrong != "" {
		return c, wrong
	}
	if id := q["payroll_provider"]; id != "" {
		c.source = id
	}
	switch q["sandbox"] {
	case "", "provider":
	case "finch", "true": // true is deprecated
		c.sourceType = "finch"
	default:
		return c, "sandbox must be finch or provider"
	}
	if m := q["manual"]; m != "" && m != "true" && m != "false" {
		return c, "manual must be true or false"
	}
	return c, ""
}

// checkScopes returns what is wrong with the scopes of an authorization request.
func checkScopes(d dialect, param string, scopes []string) string {
	known := d.scopes()
	for i, name := range scopes {
		if !slices.ContainsFunc(known, func(s scope) bool { return s.name == name }) {
			return param + " has the unknown value " + printable(name)
		}
		if slices.Contains(scopes[:i], name) {
			return param + " has " + name + " twice"
		}
	}
	return ""
}

func (finch) embedded() bool { return true }

func (finch) message(answer url.Values) any { return connectMessage("finch-auth-message", answer) }

// connectMessage is what the JavaScript SDKs of Finch and Chart wait for.
func connectMessage(name string, answer url.Values) any {
	m := map[string]string{"name": name, "kind": "success"}
	if answer.Has("error") {
		m["kind"] = "error"
		m["error"] = answer.Get("error_description")
		return m
	}
	for _, member := range []string{"code", "state"} {
		if v := answer.Get(member); v != "" {
			m[member] = v
		}
	}
	return m
}

func (finch) refreshable() bool { return false }

// credentialsTwice: Finch's SDKs send them so when they exchange a code.
func (finch) credentialsTwice() bool { return true }

type finchToken struct {
	AccessToken    string   `json:"access_token"`
	TokenType      string   `json:"token_type"`
	ConnectionID   string   `json:"connection_id"`
	ClientType     string   `json:"client_type"`
	ConnectionType string   `json:"connection_type"`
	EntityIDs      []string `json:"entity_ids"`
	Products       []string `json:"products"`
	ProviderID     string   `json:"provider_id"`
	CustomerID     *string  `json:"customer_id"` // null unless a Connect session has named one
	CustomerName   *string  `json:"customer_name"`
	AccountID      string   `json:"account_id"`
	CompanyID      string   `json:"company_id"`
}

func (finch) tokens(g *grant, t issued) any {
	return finchToken{
		AccessToken:    t.access,
		TokenType:      "bearer",
		ConnectionID:   g.uuid("connection"),
		ClientType:     "sandbox",
		ConnectionType: g.sourceType,
		EntityIDs:      []string{g.uuid("entity")},
		Products:       g.scopes,
		ProviderID:     g.source,
		CustomerID:     orNull(g.customerID),
		CustomerName:   orNull(g.customerName),
		AccountID:      g.uuid("account"),
		CompanyID:      g.uuid("company"),
	}
}

// finchError has the members in the order of a real one. Those that repeat the
// status are there in some.
type finchError struct {
	StatusCode int    `json:"statusCode,omitempty"`
	Status     int    `json:"status,omitempty"`
	Code       int    `json:"code"`
	Message    string `json:"message"`
	Name       string `json:"name"`
	FinchCode  string `json:"finch_code,omitempty"`
}

var finchErrors = map[problem]finchError{
	malformed:       {Code: 400, Name: "bad_request", FinchCode: "invalid_request", Message: "Failed to validate request"},
	wrongMethod:     {Code: 405, Name: "bad_request", FinchCode: "invalid_request", Message: "Method not allowed"},
	wrongMediaType:  {Code: 415, Name: "bad_request", FinchCode: "invalid_request", Message: "Content-Type must be application/json"},
	notFound:        {Code: 404, Name: "not_found", FinchCode: "item_not_found", Message: "The requested resource could not be found"},
	wrongClient:     {Code: 401, Name: "invalid_client", Message: "The provided application credentials were incorrect"},
	wrongCode:       {StatusCode: 400, Status: 400, Code: 400, Name: "invalid_grant", Message: "Invalid grant: authorization code is invalid"},
	wrongRedirect:   {StatusCode: 400, Status: 400, Code: 400, Name: "invalid_grant", Message: "Invalid grant"},
	missingToken:    {Code: 401, Name: "unauthorized_request", Message: "The access_token is missing from the header"},
	deadToken:       {Code: 401, Name: "invalid_token", Message: "The access_token is incorrect"},
	revokedToken:    {Code: 401, Name: "invalid_token", Message: "The access_token is incorrect"},
	lostConnection:  {Code: 401, Name: "authentication_error", FinchCode: "reauthenticate_user", Message: "Please reauthenticate user"},
	missingScope:    {Code: 403, Name: "insufficient_scope", Message: "The requested product was not granted"},
	tooManyRequests: {Code: 429, Name: "rate_limit_exceeded", FinchCode: "finch_application_rl", Message: "Too many requests"},
	outOfOrder:      {Code: 503, Name: "server_error", Message: "The service is unavailable"},
}

func (finch) refuse(_ Operation, r *refusal) *answer {
	e := finchErrors[r.problem]
	e.Message = r.because(e.Message)
	return jsonAnswer(e.Code, e)
}

// disconnect ends the connection of the token that the request carries.
var disconnect = call{
	on: Revocation, method: http.MethodPost, path: "/disconnect", ends: true,
	check: func(body []byte) string {
		if len(body) > 0 {
			return "the body must be empty"
		}
		return ""
	},
	answer: func(*grant, *site) any { return map[string]string{"status": "success"} },
}

func (d finch) calls() []call {
	return []call{
		disconnect,
		{on: API, method: http.MethodGet, path: "/introspect", answer: func(g *grant, s *site) any {
			return map[string]any{
				"id":                  g.uuid("token"),
				"connection_id":       g.uuid("connection"),
				"connection_status":   map[string]any{"status": "connected", "message": "This employer is working as expected"},
				"client_id":           s.clientID,
				"client_type":         "sandbox",
				"connection_type":     g.sourceType,
				"entity_ids":          []string{g.uuid("entity")},
				"company_id":          g.uuid("company"),
				"account_id":          g.uuid("account"),
				"customer_id":         orNull(g.customerID),
				"customer_name":       orNull(g.customerName),
				"products":            g.scopes,
				"provider_id":         g.source,
				"payroll_provider_id": g.source,
				"manual":              false,
			}
		}},
		{on: API, method: http.MethodGet, path: "/employer/company", scope: "company", answer: func(g *grant, _ *site) any {
			return map[string]any{
				"id":         g.uuid("company"),
				"legal_name": "Acme, Inc.",
				"entity":     map[string]any{"type": "corporation", "subtype": "s_corporation"},
				"ein":        "12-3456789",
			}
		}},
	}
}
