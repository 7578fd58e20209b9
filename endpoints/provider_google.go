package endpoints

import "golang.org/x/oauth2/endpoints"

// Google is the APIs of https://developers.google.com; add the hosts of those that you
// use to APIURLs. Access tokens last about an hour. A refresh token comes with the
// consent that this definition asks for each time, and isn't replaced at refreshes; one
// of an application in testing lives for a week. A revocation ends the whole grant.
//
// https://developers.google.com/identity/protocols/oauth2/web-server
var Google = Provider{
	Name:      "Google",
	Issuer:    "https://accounts.google.com",
	Endpoint:  endpoints.Google,
	RevokeURL: "https://oauth2.googleapis.com/revoke",
	APIURLs:   []string{"https://www.googleapis.com", "https://gmail.googleapis.com"},
	Consent:   Consent{Params: Params{"access_type": {"offline"}, "prompt": {"consent"}}},
	Revoke:    AuthStyle{Body: QueryBody, Params: Params{"client_id": nil, "client_secret": nil}},
}
