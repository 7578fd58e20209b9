/*
Package endpointstest runs an authorization server that acts as providers of package
endpoints, for tests and for trying things out. It is real HTTP on loopback ports and
needs nothing from outside.

	server := endpointstest.New(t, acme.Provider) // Finch, Chart and TaxRock if none is given
	provider := server.Provider(acme.Provider)
	config := provider.Config(server.Config(acme.Provider, callbackURL))

From there on the code under test can't tell it from the provider: consent page,
authorization code, token endpoint, API, revocation, introspection. [Approve] and
[Deny] are the user in front of the consent page; [Server.Connect] skips it and hands
out a token.

# A definition's test

[TestProvider] takes a definition through all of that:

	func TestAcme(t *testing.T) {
		endpointstest.TestProvider(t, acme.Provider, endpointstest.Test{})
	}

# How strict it is

All that the server knows of a provider is its definition, which it reads for itself. A
request that isn't as the definition says is refused, in the provider's words for that:
one with another method, body or authentication of the client, a parameter or header
that is missing, unknown, repeated, empty or has another value, a redirect_uri that
isn't the one of the authorization, a code verifier that doesn't fit, a code that is
used twice, scopes that have something else between them, the value of a variable that
isn't accepted or belongs to another account. [Server.Stats] says what was wrong. A
program that works here sends nothing but what the definition says.

Answers have the definition's names, nesting, lifetimes and mark of success, errors what
its rules say, and RFC 6749's words where there are none. What a definition doesn't say
is decided here: codes are good for ten minutes, access tokens for an hour unless
Answer.DefaultLifetime says otherwise, refresh tokens as long as the connection. Devices
(RFC 8628) have ten minutes and ask every five seconds; [ApproveDevice] and [DenyDevice]
are their user. The API answers every path below APIURLs. The server knows what the data of a
Provider says, and not what its functions Request and Response do, which only the client
calls. Times are by a clock that [Server.Advance] moves.

Three providers are played more strictly than their definitions can say: with the
scopes that they have, their codes' lifetimes, the API calls that they document and
every member of their answers. Finch and Chart:

	GET  /introspect                     any live token
	GET  /employer/company (Finch)       a token with the product company
	GET  /tax-payer (Chart)              any live token

TaxRock and its sandbox:

	POST /oauth/token                    see also Policy.ClientCredentials
	GET  /client-accounts                a token with read:client-accounts
	POST /client-accounts/lookup/ein     the same, with {"businessEin": "11-1111111"}

GET /client-accounts is an invention, for tests that want a plain GET. Chart doesn't
document its errors; here they look like Finch's, and [Fault.Handler] sends others.

# Where it is

Each origin of a provider has a loopback port of its own here, to which
[Server.Provider] points the URLs. With [Server.Client], an *http.Client that finds the
provider at its own addresses, the definition needs no change at all, and two tenants
have two hosts. A client's id and secret, and a token, are good at one provider only.

# Making it hard

[Server.SetPolicy] shortens lifetimes and turns on rotation of refresh tokens, with
detection of reuse. [Server.Fail] makes requests slow, loses answers, or gives those
of a provider, a load balancer or a firewall in trouble, and Test.Seed has
[TestProvider] do so by chance. [Server.Revoke] ends a connection from the provider's side. [Server.Stats]
tells what happened, so that a test can demand one refresh for each expiry.

The server may be used from many processes at once: hand them the URLs.
*/
package endpointstest
