/*
Package endpointstest runs an authorization server that acts as Finch, Chart and
TaxRock, for tests and for trying things out. It is real HTTP on loopback ports and
needs nothing from outside.

	server := endpointstest.New(t) // or Start, in a program
	provider := server.Provider(endpoints.TaxRock)
	config := provider.Config(server.Config(endpoints.TaxRock, callbackURL))

From there on the code under test can't tell it from the provider: consent page,
authorization code, token endpoint, API, revocation. [Approve] and [Deny] are the
user in front of the consent page; [Server.Connect] skips it and hands out a token.

# How strict it is

A request that departs from what the provider documents is refused, with the
provider's own error, which names what is wrong: a field or parameter that is
missing, unknown, repeated or empty, a body that isn't JSON, a redirect_uri that
isn't the one of the authorization, a code that is used twice. A program that works
here sends nothing but what is documented. Codes, access tokens and refresh tokens
live as long as the provider says, by a clock that [Server.Advance] moves.

Each provider has origins of its own, and its pages, token endpoint and API are on
different ones where they are in reality. A client's id and secret, and a token, are
good at one provider only.

# What it answers to

Finch and Chart:

	GET  /authorize (Finch), / (Chart)   the consent page
	POST /auth/token                     exchanges a code
	GET  /introspect                     any live token
	GET  /employer/company (Finch)       a token with the product company
	GET  /tax-payer (Chart)              any live token
	POST /disconnect                     ends the connection

TaxRock and its sandbox:

	GET  /authorize                      the consent page
	POST /oauth/token                    exchanges a code, refreshes; see also Policy.ClientCredentials
	POST /oauth/revoke                   ends the connection
	GET  /client-accounts                a token with read:client-accounts
	POST /client-accounts/lookup/ein     the same, with {"businessEin": "11-1111111"}

GET /client-accounts is an invention, for tests that want a plain GET. Chart doesn't
document its errors; here they look like Finch's, and [Fault.Handler] sends others.

# Making it hard

[Server.SetPolicy] shortens lifetimes and turns on rotation of refresh tokens, with
detection of reuse. [Server.Fail] makes requests slow, loses answers, or gives those
of a provider, a load balancer or a firewall in trouble. [Server.Revoke] ends a
connection from the provider's side. [Server.Stats] tells what happened, so that a
test can demand one refresh for each expiry.

The server may be used from many processes at once: hand them the URLs.
*/
package endpointstest
