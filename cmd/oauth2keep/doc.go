/*
Oauth2keep connects accounts by OAuth 2.0, keeps their tokens encrypted and fresh, and uses
them. It also looks after the store of an application that uses the packages of this
repository: it tells which connections have trouble, why, and what to do, replaces keys,
and moves records.

	oauth2keep login github/me --client-id ID       asks for the secret, opens the browser
	oauth2keep curl github/me /user                 calls the API
	TOKEN=$(oauth2keep token github/me)             for a script
	oauth2keep status --store env:DATABASE_URL --key file:/etc/myapp/token.key

README.md has the rest for users: stores, keys, the configuration, exit codes. What was
decided, and why:

# Clients and secrets

A connection is called CLIENT/ACCOUNT, and what is before the slash names the client. The
client says which provider it is at, its id, and where its secret is. The configuration file
holds no secret, so that it can be read, copied and versioned; but it says where secrets are
sent, so nobody but its owner may write it. A secret is never an argument, which every user of the
machine can read and a shell remembers: it is typed, piped, or named by its file or
environment variable. One that the command keeps is sealed with the command's own key,
in a directory of its own and not in the store of the connections: there, it would be a record
that the application's Managers can't read.

# Whose connections are shown

A record belongs to a client at an issuer, and a tokensource.Manager keeps to its own. The
command shows those of all, since an operator has a store and not every client of it. It
asks for a record's status as the owner of the last record with the same beginning; an error that
names another owner is the answer to whose it is. What sends something to the provider needs the
client's configuration, and the right one.

# What is printed

A token is printed only into a pipe, or if it is asked for. Names come from the store, and so from
whoever can write it: they are quoted if they have anything in them that a terminal would
obey. A list is sorted and aligned if it is short, and streamed if it is long. With --json each
line is one object, whose members are only ever added to.

# The end of the process

Before it ends, the command waits until no refresh is under way and no token unsaved
(tokensource.Manager.Flush): also after Ctrl-C, and if nobody reads the output any more,
as the answer to a refresh may be the only copy of the next refresh token.

# Libraries

github.com/spf13/cobra has commands, flags, help and completion for bash, zsh and fish: people know it from
kubectl, gh and docker, and it is well kept. golang.org/x/term reads a secret without showing
it. Tests are scripts of github.com/rogpeppe/go-internal/testscript.
*/
package main
