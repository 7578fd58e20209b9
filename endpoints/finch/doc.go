/*
Package finch has what Finch, the payroll API of https://www.tryfinch.com, needs beside
endpoints.Finch: what it sends beside a token, and the Connect sessions that connections
begin by.

A [Client] is a client of endpoints.Finch for pkce.Flow. What the session is for is an
option of Begin:

	flow := &pkce.Flow{
		Config: &finch.Client{Config: endpoints.Finch.Config(oauth2.Config{
			ClientID:     id,
			ClientSecret: secret,
			RedirectURL:  "https://app.example/callback",
			Scopes:       []string{"company", "directory"},
		})},
		Sealer: keys,
	}

	s, err := flow.Begin(w, r, "acme", finch.Session{
		CustomerID:   "acme",
		CustomerName: "Acme, Inc.",
	}.Option())

and the same handler takes the callback.

# Reconnecting

When an employer has to log in again (the kind is endpoints.KindLoginRequired, the
webhook is account.updated with the status reauth), begin an attempt for the same
connection:

	s, err := flow.Begin(w, r, "acme", finch.Reauthentication{
		ConnectionID: id, // Connection.ConnectionID
	}.Option())

Its callback brings a new access token, which takes the place of the old one: save it
under the same name, with tokensource.Manager.Save. Don't disconnect the old one before.

# Embedded

With Flow.BeginEmbedded there is no redirect. Finch's JavaScript takes the Session's
State, and the id in its URL: see [SessionID].
*/
package finch
