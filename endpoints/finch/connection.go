package finch

// Connection is what Finch sends beside an access token: decode it with [endpoints.Metadata].
type Connection struct {
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
