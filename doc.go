/*
Package oauth2keep is an extension of golang.org/x/oauth2 for programs that hold
other people's tokens. It exports nothing itself; its packages are

	endpoints    Finch, Chart, TaxRock and many other providers that depart from
	             RFC 6749, and any that a program defines, made to work with x/oauth2
	pkce         the way of a user to the consent page and back
	storage      where tokens are kept, always encrypted
	tokensource  tokens that stay saved and fresh, refreshed once across goroutines,
	             processes and machines

for programs on the user's own machine

	pkce/loopback  a login in the browser, or with a code that is entered elsewhere

for single providers

	endpoints/finch    Finch's Connect sessions
	endpoints/chart    a token of Chart's that was lost
	endpoints/webhook  the webhooks of Finch and Chart, verified

for tests

	endpoints/endpointstest      an authorization server that acts as any provider
	storage/storagetest          what a store of your own has to pass, by itself
	tokensource/tokensourcetest  and under a fleet of real processes

and, in modules of their own, as they need more than the standard library,

	storage/sqlstore         records in PostgreSQL, MySQL, MariaDB or SQLite
	storage/redisstore       records in Redis
	storage/etcdstore        records in etcd
	storage/natsstore        records in NATS JetStream
	storage/keystore         keys in the operating system's keyring
	storage/kms              keys wrapped by a key management service
	tokensource/mcpauth      tokens for clients of the Model Context Protocol
	tokensource/grpctoken    tokens for gRPC services
	tokensource/otelmetrics  OpenTelemetry metrics of connections
	cmd/oauth2keep           a command that connects accounts and looks after a store

# From the consent page to an authenticated client

	conf := endpoints.Finch.Config(oauth2.Config{
		ClientID: id, ClientSecret: secret,
		RedirectURL: "https://example.com/callback",
		Scopes:      []string{"company", "directory"},
	})
	keys, err := storage.NewKeyset(key)
	dir, err := storage.OpenDir("/var/lib/myapp/tokens")
	store := storage.Encrypt(dir, keys)
	manager := &tokensource.Manager{Config: conf, Store: store}
	flow := &pkce.Flow{Config: conf, Sealer: keys}

A user who wants to connect an account is sent off by flow.Begin and comes back to
flow.Callback, which exchanges the code; manager.Save keeps the token under a name
that the application chooses. From then on, in this process and any other,

	client := manager.Client("finch/customer-42")

is an *http.Client that calls the provider's API for that account. Run
examples/quickstart to see all of it work, and read its file application.go. For a
provider that isn't here, docs/write-a-provider.md goes from its documentation to a
tested definition.

One store is enough for any number of Managers, each with the Config of another
provider or client. A record says whose it is, and a Manager keeps to its own: at another
one's name it gets an error, and changes nothing.

# How the packages fit together

Each can be used without the others. A *endpoints.Config has the methods of
*oauth2.Config, and so pkce and tokensource take either; a *tokensource.Source is an
oauth2.TokenSource; Source and Config put their tokens into any *http.Client that
x/oauth2 can make. What is stored is read by every later release of the same major
version: see "Stored data and compatibility" in packages storage and tokensource.

# Words

	connection      one account's grant, under a name that the application chooses
	name            what a connection, and its record in the store, is called
	key             what encrypts records and cookies; never a name
	record          what is stored for a connection
	registration    a client at a provider: issuer and client id; a record has one
	login           a user's consent, and all tokens that descend from it
	attempt         a refresh in flight; it stands in the record
	lease           how long an attempt keeps others off
	adopt           to use a token that another process saved
	rotation        the provider replaces the refresh token at each refresh
	grace window    for how long after that it still takes the one before
	login required  only the user, at the consent page, can restore the connection
*/
package oauth2keep
