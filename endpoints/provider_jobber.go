package endpoints

import (
	"time"

	"golang.org/x/oauth2"
)

// Jobber is the GraphQL API of https://getjobber.com. The scopes are those of the app.
// Access tokens last 60 minutes, which the answer need not say, and a refresh ends the
// old refresh token at once. Requests need a header X-JOBBER-GRAPHQL-VERSION.
//
// https://developer.getjobber.com/docs/building_your_app/app_authorization
var Jobber = Provider{
	Name: "Jobber",
	Endpoint: oauth2.Endpoint{
		AuthURL:   "https://api.getjobber.com/api/oauth/authorize",
		TokenURL:  "https://api.getjobber.com/api/oauth/token",
		AuthStyle: oauth2.AuthStyleInParams,
	},
	APIURLs: []string{"https://api.getjobber.com"},
	Consent: Consent{PKCE: NoPKCE},
	Answer:  Answer{DefaultLifetime: time.Hour},
}
