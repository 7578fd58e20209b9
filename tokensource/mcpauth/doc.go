/*
Package mcpauth keeps the OAuth tokens of MCP clients: it is an OAuth handler for the
official Go SDK of the Model Context Protocol, [github.com/modelcontextprotocol/go-sdk], whose
tokens, and whose registration, survive restarts and are shared by processes.

	handler := &mcpauth.Handler{
		Server: "https://mcp.example.com/mcp",
		Store:  storage.Encrypt(dir, keys),
		Config: &auth.AuthorizationCodeHandlerConfig{ // as for auth.NewAuthorizationCodeHandler
			DynamicClientRegistrationConfig: …,
			AuthorizationCodeFetcher:        mcpauth.InBrowser(loopback.Login{Program: "My Agent"}),
		},
	}
	transport := &mcp.StreamableClientTransport{Endpoint: handler.Server, OAuthHandler: handler}
	…
	err := handler.Flush(ctx) // before the program ends

The SDK's own handler keeps all in memory: each start registers another client and asks the
user again, two programs that share a token file spend the same refresh token, and
a 401 is answered by the consent page. Here the user is asked once. Discovery, registration,
PKCE and the exchange stay the SDK's, with all its checks, and one more: the metadata of a
server elsewhere may not name one on this machine. Refreshing is package tokensource's.

# What identifies a connection

The URL of the MCP server, in its canonical form (RFC 8707, section 2), is the name of the
connection, unless Handler.Name is another. Two records are kept under it, both sealed:

	mcp/https://mcp.example.com/mcp         the token: a record of tokensource
	mcp/https://mcp.example.com/mcp#client  the client: the registration (RFC 7591) and its
	                                        secrets, the issuer, the endpoints, the resource and
	                                        the scopes that were granted

With the second the Handler makes the tokensource.Manager of the first, with nothing asked of
the network, at a start or when another process has changed it: [Handler.Manager]. A refresh
token goes to the token endpoint that its issuer had when the user consented, with the resource
(RFC 8707, section 2.2), and nowhere else. The secret of a client that was registered
beforehand is the program's to keep, and is not stored.

# What happens when

	the MCP server answers            the Handler
	401, no token was sent            asks the user, or adopts what another process has
	401, the token is not the latest  has the request repeated with the latest
	401, its metadata name the same   refreshes, once over all processes; asks the user if
	  issuer                            the grant has ended (GrantEnded)
	401, they name another issuer     asks the user there (IssuerChanged): tokens and client
	                                    of the old issuer are not sent to it
	401, though newly refreshed       asks the user (TokenRefused); an error within a minute
	                                    of the last consent
	403 insufficient_scope            asks for these scopes and those that were granted
	                                    (MoreScopes); an error if they were granted before
	either, by another host to which  is an error: what that says of issuers and scopes is
	  it has redirected                 nothing to the MCP server
	anything else                     does nothing

	the authorization server answers
	invalid_grant                     asks the user (GrantEnded)
	invalid_client, and the client    forgets the registration, registers anew and asks the
	  was registered dynamically        user once (ClientUnknown)
	invalid_client, otherwise         is an error: the program's secret is wrong
	is down, slow, or limits the rate is an error that passes: the user isn't asked

Handler.OnConsent is told why, before the user is asked, and can prevent it.

# Several processes

A consent is in progress in one process at a time, and so is a registration, if the
store has locks, as [storage.Dir] has: the others wait, and go on with what came of it. If the
user declines, those who waited, and the calls of the next 3 seconds, have [ErrDeclined]. On a
store without locks, as the databases of several machines are, two processes that begin at
the same moment may both ask. They use one registration even so, since the second to save it
adopts the first, and the token that is saved last serves both.

A registration is used again at a later consent if the request for it would be
the same, byte by byte, at the same endpoint of the same issuer, and the client's secret is good
for another ten minutes. A RedirectURL with a port that differs at each start, or a
SoftwareVersion, makes another request: that costs a registration with each consent, and
not a consent.

A client that was registered beforehand is bound to the issuer that it was first used with, also
if PreregisteredClient.Issuer is empty. It is an error if the MCP server then names
another issuer; set Issuer to allow it.

# What can't be prevented

What tokensource can't prevent: see there. Beyond that, an authorization server may have
deleted the client, and answer a refresh with invalid_grant all the same. The user is then sent
to it as that client, and sees an error page that leads back to no program (RFC 6749, section
4.1.2.1). Give the AuthorizationCodeFetcher a deadline, as [InBrowser] has: a registration
that was kept and brought no code isn't used for the next consent.

The transport sends the token, with its own HTTP client. If the MCP server redirects, net/http
takes the token along to other ports of that host, to its subdomains and to http. Give
StreamableClientTransport an HTTPClient whose CheckRedirect returns http.ErrUseLastResponse.

# Stored data and compatibility

The second record is a JSON object, sealed by [storage.Encrypted]:

	format                            1
	id, login_id                      "mcpauth": a Manager that lists a store passes over it
	registration: issuer, endpoint,   what was asked and answered (RFC 7591, section 3.2.1)
	  request, response
	client: issuer, token_endpoint, revocation_endpoint, client_id, client_secret,
	  token_endpoint_auth_method, dynamic, resource, scopes, asked
	declined                          when a consent failed last

Every release of this major version reads the records of earlier ones. One in a higher format,
or one that can't be opened, is an error and is left alone.
*/
package mcpauth
