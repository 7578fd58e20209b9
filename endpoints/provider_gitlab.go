package endpoints

import "golang.org/x/oauth2/endpoints"

// GitLab is the API of https://gitlab.com; for a server of your own, copy it and change
// its URLs. Access tokens last two hours, and a refresh replaces both tokens.
//
// https://docs.gitlab.com/api/oauth2
var GitLab = Provider{
	Name:      "GitLab",
	Endpoint:  endpoints.GitLab,
	RevokeURL: "https://gitlab.com/oauth/revoke",
	APIURLs:   []string{"https://gitlab.com/api/v4"},
	Refresh:   AuthStyle{Params: Params{"redirect_uri": {"{redirect_uri}"}}},
}
