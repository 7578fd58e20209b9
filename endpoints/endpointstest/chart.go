package endpointstest

import (
	"net/http"
	"net/url"
	"time"
)

// chart is the dialect of https://developer.trychart.com, a close relative of
// Finch's.
type chart struct{ plain }

func (chart) policy() (Policy, lifetimes) { return Policy{}, lifetimes{code: 10 * time.Minute} }

func (chart) consent(map[string]string) (consent, string) { return consent{source: "turbotax"}, "" }

func (chart) embedded() bool { return true }

func (chart) message(answer url.Values) any { return connectMessage("chart-auth-message", answer) }

func (chart) refreshable() bool { return false }

type chartToken struct {
	AccountID   string `json:"account_id"`
	ProviderID  string `json:"provider_id"`
	AccessToken string `json:"access_token"`
}

func (chart) tokens(g *grant, t issued) any {
	return chartToken{AccountID: g.uuid("account"), ProviderID: g.source, AccessToken: t.access}
}

type chartError struct {
	Code    int    `json:"code"`
	Name    string `json:"name"`
	Message string `json:"message"`
}

func (chart) refuse(_ Operation, r *refusal) *answer {
	e := finchErrors[r.problem]
	return jsonAnswer(e.Code, chartError{Code: e.Code, Name: e.Name, Message: r.because(e.Message)})
}

func (chart) calls() []call {
	return []call{
		disconnect,
		{on: API, method: http.MethodGet, path: "/introspect", answer: func(g *grant, s *site) any {
			return map[string]any{
				"taxpayer_id": g.uuid("account"),
				"client_id":   s.clientID,
				"name":        "Jane Doe",
				"provider_id": g.source,
			}
		}},
		{on: API, method: http.MethodGet, path: "/tax-payer", answer: func(g *grant, _ *site) any {
			return map[string]any{
				"id":          g.uuid("account"),
				"name":        "Jane Doe",
				"provider_id": g.source,
				"created_at":  g.created.UTC().Format(time.RFC3339),
				"status":      "COMPLETED",
			}
		}},
	}
}
