package endpoints

import "golang.org/x/oauth2/endpoints"

// GitHub is the REST API of https://github.com, for users of a GitHub App or an OAuth
// app. User tokens of a GitHub App last eight hours and their refresh tokens, which are
// replaced at each refresh, six months; an app that has opted out of expiry, and an
// OAuth app, get tokens without either. A GitHub App has permissions and no scopes.
//
// https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-user-access-token-for-a-github-app
var GitHub = Provider{
	Name:      "GitHub",
	Endpoint:  endpoints.GitHub,
	RevokeURL: "https://api.github.com/applications/{client_id}/token",
	APIURLs:   []string{"https://api.github.com", "https://uploads.github.com"},
	Revoke: AuthStyle{
		Method: "DELETE", Body: JSONBody, Auth: ClientSecretBasic,
		Params: Params{"token": nil, "access_token": {"{access_token}"}},
	},
}
