/*
Package oauth2keep is an extension of golang.org/x/oauth2 for programs that hold
other people's tokens. It exports nothing itself; its packages are

  - endpoints: providers whose token endpoints don't follow RFC 6749, such as Finch,
    Chart and TaxRock, made to work with x/oauth2;
  - pkce: the way of a user to the consent page and back;
  - storage: where tokens are kept, always encrypted;
  - tokensource: tokens that stay saved and fresh, refreshed once across goroutines,
    processes and machines.

Package endpoints/endpointstest is an authorization server for tests. Packages
storage/storagetest and tokensource/tokensourcetest are the tests that a store of your own
has to pass, alone and under a fleet of real processes. Stores and keepers of keys
that need more than the standard library are modules of their own: storage/sqlstore,
redisstore, keystore and kms.

# From the consent page to an authenticated client

	conf := endpoints.Finch.Config(oauth2.Config{
		ClientID: id, ClientSecret: secret,
		RedirectURL: "https://example.com/callback",
		Scopes:      []string{"company", "directory"},
	})
	keys, err := storage.NewKeyset(key)
	dir, err := storage.OpenDir("/var/lib/myapp/tokens")
	manager := &tokensource.Manager{Config: conf, Store: storage.Encrypt(dir, keys)}
	flow := &pkce.Flow{Config: conf, Sealer: keys}

A user who wants to connect an account is sent off by flow.Begin and comes back to
flow.Callback, which exchanges the code; manager.Save keeps the token under a key
that the application chooses. From then on, in this process and any other,

	client := manager.Client("customer-42")

is an *http.Client that calls the provider's API for that account. Run
examples/quickstart to see all of it work, and read its file application.go.

# How the packages fit together

Each can be used without the others. A *endpoints.Config has the methods of
*oauth2.Config, and so pkce and tokensource take either; a *tokensource.Source is an
oauth2.TokenSource; Source and Config put their tokens into any *http.Client that
x/oauth2 can make. What is stored is read by every later release of the same major
version: see "Stored data and compatibility" in packages storage and tokensource.

# Words

A connection is one account's grant. An attempt is a refresh in flight. A token is
adopted if another process saved it. Rotation is when the provider replaces the
refresh token at each refresh. Login required means that only the user, at the
consent page, can mend the connection.
*/
package oauth2keep
