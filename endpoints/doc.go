/*
Package endpoints teaches golang.org/x/oauth2 to speak with providers whose token
endpoints don't follow RFC 6749: they take JSON, leave out grant_type, want
parameters of their own, wrap or rename what they answer, and have their own errors.

# Two ways to use a provider

A [Config] has the methods of *oauth2.Config, and needs nothing more:

	conf := endpoints.Finch.Config(oauth2.Config{
		ClientID:     id,
		ClientSecret: secret,
		RedirectURL:  "https://example.com/callback",
		Scopes:       []string{"company", "directory"},
	})
	token, err := conf.Exchange(ctx, code)

A plain *oauth2.Config, as programs have it that use x/oauth2 already, is adapted by
the context that it is called with:

	conf := &oauth2.Config{Endpoint: endpoints.Finch.Endpoint, …}
	token, err := conf.Exchange(endpoints.Finch.Context(ctx), code)

# A provider that isn't here

A [Provider] is data. Its [AuthStyle] says what is different; two hooks take what
data can't say:

	notion := endpoints.Provider{
		Name: "Notion",
		Endpoint: oauth2.Endpoint{
			AuthURL:   "https://api.notion.com/v1/oauth/authorize",
			TokenURL:  "https://api.notion.com/v1/oauth/token",
			AuthStyle: oauth2.AuthStyleInHeader,
		},
		AuthParams: map[string]string{"owner": "user"},
		Style:      endpoints.AuthStyle{Body: endpoints.JSONBody},
	}

# Errors

An error of the provider's is an *oauth2.RetrieveError with its ErrorCode and
ErrorDescription filled, in any shape that it came in. [KindOf] says what to do about
it, and [ErrorKind.Hint] what to tell the user. Neither the text of an error nor
the response that an *oauth2.RetrieveError leads to holds a secret, a code, a token
or what the server sent beside its error.

# What comes beside the token

Every other member of the response is there as Token.Extra(name), and [Metadata]
decodes them all into a struct. Numbers are float64, as x/oauth2 makes them, unless
that would change them: an id of 18 digits is a json.Number. A plain *oauth2.Config
decodes the response itself; there, such a number is a string of its digits.

# What is never done

A token request is sent once: no style is probed, no redirect followed, nothing
repeated of which a byte was written. A token goes to the API's origins alone, and
nothing secret over http to another machine. No more than 1 MiB of an answer is
read. A lifetime that can't be read never becomes "for ever": in an answer with a refresh
token it becomes five minutes, and otherwise an error. A firewall's or a gateway's
answer is never taken for the end of a grant.
*/
package endpoints
