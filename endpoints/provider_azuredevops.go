package endpoints

import "golang.org/x/oauth2"

// AzureDevOps is the REST API of https://dev.azure.com with the OAuth of its own, for
// applications that were registered before April 2025; Microsoft retires it in 2026,
// and new ones use [Microsoft]. A refresh replaces both tokens.
//
// https://learn.microsoft.com/azure/devops/integrate/get-started/authentication/azure-devops-oauth
var AzureDevOps = Provider{
	Name: "Azure DevOps",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://app.vssps.visualstudio.com/oauth2/authorize",
		TokenURL:  "https://app.vssps.visualstudio.com/oauth2/token",
		AuthStyle: oauth2.AuthStyleInParams,
	},
	APIURLs:  []string{"https://dev.azure.com", "https://app.vssps.visualstudio.com"},
	Consent:  Consent{Params: Params{"response_type": {"Assertion"}}, PKCE: NoPKCE},
	Callback: Callback{Errors: []ErrorRule{{Kind: KindDenied}}},
	Style: AuthStyle{Params: Params{
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {"{client_secret}"},
		"client_id":             nil,
		"redirect_uri":          {"{redirect_uri}"},
	}},
	Exchange: AuthStyle{Params: Params{
		"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"},
		"assertion":  {"{code}"},
	}},
	Refresh: AuthStyle{Params: Params{"assertion": {"{refresh_token}"}}},
	API:     API{Errors: []ErrorRule{{Status: 203, Kind: KindTokenRejected}}}, // its sign-in page
}
