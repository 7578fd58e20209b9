package endpoints

import "golang.org/x/oauth2/endpoints"

// LinkedIn is the API of https://www.linkedin.com. Access tokens last 60 days. Partners
// that are approved for it get a refresh token as well, which lives for a year from the
// consent and stays the same; all others send the member to the consent page again.
//
// https://learn.microsoft.com/linkedin/shared/authentication/authorization-code-flow
var LinkedIn = Provider{
	Name:          "LinkedIn",
	Endpoint:      endpoints.LinkedIn,
	IntrospectURL: "https://www.linkedin.com/oauth/v2/introspectToken",
	APIURLs:       []string{"https://api.linkedin.com"},
	Consent:       Consent{PKCE: NoPKCE},
	Callback: Callback{Errors: []ErrorRule{
		{Code: "user_cancelled_login", Kind: KindDenied},
		{Code: "user_cancelled_authorize", Kind: KindDenied},
	}},
	Answer: Answer{Errors: []ErrorRule{
		{In: "error_description", Code: "The provided authorization grant or refresh token is invalid*", Kind: KindLoginRequired},
	}},
}
