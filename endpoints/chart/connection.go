package chart

import "encoding/json"

// Connection is what Chart sends beside an access token: decode it with [endpoints.Metadata].
type Connection struct {
	AccountID  string `json:"account_id"`  // newer responses call it taxpayer_id
	ProviderID string `json:"provider_id"` // where the documents come from, such as turbotax
}

// UnmarshalJSON takes the account's id under either name.
func (c *Connection) UnmarshalJSON(data []byte) error {
	type plain Connection
	var v struct {
		plain
		TaxpayerID string `json:"taxpayer_id"`
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	*c = Connection(v.plain)
	if c.AccountID == "" {
		c.AccountID = v.TaxpayerID
	}
	return nil
}
