package endpoints

import (
	"encoding/json"

	"golang.org/x/oauth2"
)

// Chart is the tax document API of https://www.trychart.com.
//
// A token doesn't expire; it lives until it is revoked. Chart knows no scopes. For
// its embedded flow, which must not send a redirect_uri, see [Config.Exchange].
// Chart's reference names another host, https://api.trychart.com: to use it, copy
// Chart and change Endpoint.TokenURL, RevokeURL, IntrospectURL and APIURLs.
//
// https://docs.trychart.com
var Chart = Provider{
	Name: "Chart",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://connect.trychart.com",
		TokenURL:  "https://api.trychartapi.com/auth/token",
		AuthStyle: oauth2.AuthStyleInParams,
	},
	RevokeURL:     "https://api.trychartapi.com/disconnect",
	IntrospectURL: "https://api.trychartapi.com/introspect",
	APIURLs:       []string{"https://api.trychartapi.com"},
	Vars:          Vars{"x-chart-async": {"", "true"}},
	Consent:       Consent{Params: Params{"response_type": nil, "scope": nil}, PKCE: NoPKCE},
	Style:         AuthStyle{Body: JSONBody},
	Exchange: AuthStyle{
		Params: Params{"grant_type": nil},
		Header: map[string]string{"x-chart-async": "{x-chart-async}"},
	},
	Revoke:     AuthStyle{Auth: AccessTokenAuth},
	Introspect: AuthStyle{Method: "GET", Auth: AccessTokenAuth},
}

// ChartAsync is an option of Exchange that makes Chart answer as soon as it has
// pulled the documents, before it has parsed them. Without it an exchange can take
// minutes. The parsed data may be read only once a webhook has said that the
// taxpayer's status is COMPLETED.
var ChartAsync oauth2.AuthCodeOption = oauth2.SetAuthURLParam("x-chart-async", "true")

// ChartConnection is what Chart sends beside an access token. See [Metadata].
type ChartConnection struct {
	AccountID  string `json:"account_id"`  // newer responses call it taxpayer_id
	ProviderID string `json:"provider_id"` // where the documents come from, such as turbotax
}

// UnmarshalJSON takes the account's id under either name.
func (c *ChartConnection) UnmarshalJSON(data []byte) error {
	type plain ChartConnection
	var v struct {
		plain
		TaxpayerID string `json:"taxpayer_id"`
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	*c = ChartConnection(v.plain)
	if c.AccountID == "" {
		c.AccountID = v.TaxpayerID
	}
	return nil
}
