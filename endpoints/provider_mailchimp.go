package endpoints

import "golang.org/x/oauth2/endpoints"

// Mailchimp is the Marketing API of https://mailchimp.com. Tokens don't expire, and
// there are no scopes. The data center that holds an account is the variable "dc", which
// no answer has: the application asks https://login.mailchimp.com/oauth2/metadata for
// it with the new token, and adds it with Token.WithExtra before it saves the token.
//
// https://mailchimp.com/developer/marketing/guides/access-user-data-oauth-2
var Mailchimp = Provider{
	Name:     "Mailchimp",
	Endpoint: endpoints.Mailchimp,
	APIURLs:  []string{"https://{dc}.api.mailchimp.com/3.0"},
	Vars:     map[string][]string{"dc": {"*"}},
}
