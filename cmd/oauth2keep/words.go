package main

import "strings"

// words are what the packages advise programs, and what it means for the command. A test
// looks whether the packages still say so.
var words = [][2]string{
	{" (Manager.Forget deletes the record, so that the user can connect again)", `; "oauth2keep forget" deletes the record, so that the user can connect again`},
	{"; if it can't be had back, Encrypted.Discard deletes it", ""},
	{"give that key to NewKeyset as an old one", "name that key too, by --key"},
	{": choose another name, or see Manager.Move", ""},
	{", and this Manager is ", ", and not to "},
	{"set Manager.APIURLs to say which origins the tokens are for: Manager.Config doesn't", `the provider's definition has no API, so that tokens are sent nowhere: "oauth2keep client set" takes --api-url`},
	{"call Rekey with a keyset that has it as an old key", `run "oauth2keep rekey" with it as an old key`},
	{"make another one primary, and call Rekey, before", `run "oauth2keep rekey --new-key" before`},
	{"call Rekey, and Remove those that no record needs", `run "oauth2keep rekey", and "oauth2keep rekey --remove" for those that no record needs`},
	{"let the program keep its keys in a file, with App.File", "keep the keys in a file, by --key no-keyring"},
	{"the client has no key to authenticate with: see Config.WithKey", "the client has no key to authenticate with: give it one by --signing-key"},
	{"make the table: call CreateTable once, or apply Schema with the application's migrations; and name its schema in Options.Table if search_path or the default database may differ",
		`compare the table with the application's, and name another one after a # in the store's address; "oauth2keep login" and "copy" make it`},
	{"make it as Schema says, or choose another name by Options.Table", "compare it with the documentation of sqlstore, or name another one after a # in the store's address"},
	{"choose another name by Options.Table", "name another table after a # in the store's address"},
	{"name another in the connection string or Options.Table", "name another in the store's address"},
	{"make the schema first, or name another in Options.Table", "make the schema first, or name another after a # in the store's address"},
	{"and CREATE if CreateTable is to make it", `and CREATE if "oauth2keep login" or "copy" is to make it`},
}

var inCommandWords = func() *strings.Replacer {
	var pairs []string
	for _, prefix := range []string{"tokensource", "storage", "endpoints", "pkce", "loopback", "keystore", "sqlstore", "redisstore"} {
		pairs = append(pairs, prefix+": ", "")
	}
	for _, w := range words {
		pairs = append(pairs, w[0], w[1])
	}
	return strings.NewReplacer(pairs...)
}()
