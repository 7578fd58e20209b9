package endpoints

import "golang.org/x/oauth2"

// AmazonSellingPartner is the Selling Partner API of Amazon for the public application
// with that id, which is not the client's. The consent page of a marketplace is at its
// Seller Central, the variable "sellercentral"; the seller is
// Token.Extra("selling_partner_id"). Access tokens last an hour, and refreshes don't
// replace the refresh token. A draft needs the option "version", "beta" at the consent.
//
// https://developer-docs.amazon.com/sp-api/docs/website-authorization-workflow
func AmazonSellingPartner(applicationID string) Provider {
	return Provider{
		Name: "Amazon Selling Partner",
		Endpoint: oauth2.Endpoint{
			AuthURL:   "https://{sellercentral}/apps/authorize/consent",
			TokenURL:  "https://api.amazon.com/auth/o2/token",
			AuthStyle: oauth2.AuthStyleInParams,
		},
		APIURLs: []string{
			"https://sellingpartnerapi-na.amazon.com", "https://sellingpartnerapi-eu.amazon.com", "https://sellingpartnerapi-fe.amazon.com",
		},
		Vars: map[string][]string{"sellercentral": {
			"sellercentral.amazon.com", "sellercentral.amazon.ca", "sellercentral.amazon.com.mx", "sellercentral.amazon.com.br",
			"sellercentral-europe.amazon.com", "sellercentral.amazon.ie", "sellercentral.amazon.com.be", "sellercentral.amazon.nl",
			"sellercentral.amazon.se", "sellercentral.amazon.pl", "sellercentral.amazon.com.tr", "sellercentral.amazon.ae",
			"sellercentral.amazon.sa", "sellercentral.amazon.eg", "sellercentral.amazon.co.za", "sellercentral.amazon.in",
			"sellercentral.amazon.sg", "sellercentral.amazon.com.au", "sellercentral.amazon.co.jp",
		}},
		Consent: Consent{
			Params: Params{"application_id": {applicationID}, "client_id": nil, "response_type": nil, "scope": nil},
			PKCE:   NoPKCE,
		},
		Callback: Callback{Names: map[string]string{"code": "spapi_oauth_code"}, Keep: []string{"selling_partner_id"}},
		API: API{
			Header: map[string]string{"x-amz-access-token": "{access_token}"},
			Errors: []ErrorRule{
				{Status: 403, In: "errors.details", Code: "The access token you provided has expired*", Kind: KindTokenRejected},
				{Status: 403, In: "errors.details", Code: "The access token you provided is revoked*", Kind: KindTokenRejected},
			},
		},
	}
}
