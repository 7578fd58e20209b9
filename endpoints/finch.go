package endpoints

import "golang.org/x/oauth2"

// Finch is the payroll API of https://www.tryfinch.com.
//
// oauth2.Config.Scopes become Finch's products. A token doesn't expire; it lives
// until it is revoked or the employer has to reconnect. For the embedded flow of
// Finch Connect, which must not send a redirect_uri, see [Config.Exchange].
//
// https://developer.tryfinch.com/api-reference/management/create-access-token
var Finch = Provider{
	Name: "Finch",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://connect.tryfinch.com/authorize",
		TokenURL:  "https://api.tryfinch.com/auth/token",
		AuthStyle: oauth2.AuthStyleInParams,
	},
	RevokeURL: "https://api.tryfinch.com/disconnect",
	APIURLs:   []string{"https://api.tryfinch.com"},
	Style: AuthStyle{
		Body:             JSONBody,
		Omit:             []string{"response_type", "grant_type"},
		NoPKCE:           true,
		ScopeParam:       "products",
		Header:           map[string]string{"Finch-API-Version": "2020-09-17"},
		RevokeWithBearer: true,
		// {"code": 400, "name": "invalid_grant", "finch_code": …, "message": …}
		ErrorMembers: []string{"finch_code", "name"},
		ErrorCodes:   map[string]string{"authentication_error": "login_required", "unauthorized_request": "login_required"},
	},
}

// FinchConnection is what Finch sends beside an access token. See [Metadata].
type FinchConnection struct {
	ConnectionID   string   `json:"connection_id"`
	ConnectionType string   `json:"connection_type"` // finch or provider
	ClientType     string   `json:"client_type"`     // development, production or sandbox
	ProviderID     string   `json:"provider_id"`     // the payroll provider, such as gusto
	Products       []string `json:"products"`
	EntityIDs      []string `json:"entity_ids"`
	CustomerID     string   `json:"customer_id"`   // "" if Finch sends null
	CustomerName   string   `json:"customer_name"` // "" if Finch sends null
	CompanyID      string   `json:"company_id"`    // deprecated by Finch
	AccountID      string   `json:"account_id"`    // deprecated by Finch
}
