package endpoints

import "golang.org/x/oauth2"

// Atlassian is the APIs of Jira and Confluence in the cloud, at
// https://api.atlassian.com/ex/jira/{cloudid} and the like; the application asks
// https://api.atlassian.com/oauth/token/accessible-resources for the cloudid. The scope
// offline_access brings a refresh token, which each refresh replaces.
//
// https://developer.atlassian.com/cloud/jira/platform/oauth-2-3lo-apps
var Atlassian = Provider{
	Name: "Atlassian",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://auth.atlassian.com/authorize",
		TokenURL:  "https://auth.atlassian.com/oauth/token",
		AuthStyle: oauth2.AuthStyleInParams,
	},
	APIURLs: []string{"https://api.atlassian.com"},
	Consent: Consent{Params: Params{"audience": {"api.atlassian.com"}, "prompt": {"consent"}}},
	Style:   AuthStyle{Body: JSONBody},
	Answer: Answer{Errors: []ErrorRule{
		{In: "error_description", Code: "refresh_token is invalid*", Kind: KindLoginRequired},
	}},
}
