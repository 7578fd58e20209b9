// Package storage keeps the records of an OAuth 2.0 client, which hold its users'
// tokens, encrypted and under compare-and-swap.
//
// It has three parts. A [Store] keeps opaque bytes under names: [Memory] and
// [Dir] are here, other engines are modules of their own, and yours needs three
// methods and passes package storagetest. A [Sealer] encrypts: [Keyset] does, with
// keys from a file, from the keyring of the operating system (module storage/keystore)
// or from a key management service (module storage/kms). [Encrypt] joins the two,
// and its result is the only thing that package tokensource accepts, so that
// tokens can't be stored in the clear by mistake:
//
//	key, err := storage.ReadKeyFile("/etc/myapp/token.key")
//	// …
//	keys, err := storage.NewKeyset(key)
//	// …
//	dir, err := storage.OpenDir("/var/lib/myapp/tokens")
//	// …
//	store := storage.Encrypt(dir, keys)
//
// The names under which records are stored are not encrypted, and Dir writes them
// into its files. Use account numbers or the like, nothing secret.
//
// # Keys
//
// An encryption key is 32 random bytes. Make one with
//
//	(umask 077 && set -C && openssl rand -base64 32 > token.key)
//
// or with [NewKey] and [WriteKeyFile]; hand it to the program as a file ([ReadKeyFile])
// or as the value of an environment variable ([ParseKey]); and keep a copy where the
// records' backups are not. Without the key the records are lost, and every user
// has to log in again; [Encrypted.Discard], or Manager.Forget of package tokensource,
// deletes what can't be opened any more.
//
// A Keyset seals with one key, the primary, and opens with any that it has. Each
// record says which key sealed it by a fingerprint of 16 bytes, from which nothing
// can be learnt about the key; errors name keys by it, and [Keyset.Fingerprints] and
// printing a Keyset list those of its keys.
//
// # What sealing protects from
//
// Somebody who reads the store, or a backup of it, learns the names of the records, how
// long they are and when they changed, and no token. Somebody who can write it can't
// change a value or move it to another name: it doesn't open. They can delete records,
// and put back any that was there before, under its own name. A restored backup does
// the same. The provider has most likely revoked such an old token; a process that
// still holds the newer one of the same login notices and writes that back (see package
// tokensource).
//
// # Replacing a key
//
// A key is replaced without downtime by adding the next one to every keyset, making it
// primary everywhere, and [Encrypted.Rekey]; [Encrypted.CheckUnused] refuses to let the old
// one go for as long as a record needs it. The steps, in their order, are in
// https://github.com/oauth2keep/oauth2keep/blob/main/docs/rotate-keys.md.
//
// # Several processes
//
// Compare-and-swap is what makes a record safe to share: a writer names the
// [Version] that it read, and is refused if that has changed. Several processes
// may use one Dir on the same machine. Several machines need a Store whose engine
// they share; a Dir on a network file system isn't one.
//
// # Moving to another store
//
// [Copy] moves a program from one store to another, such as from a Dir to a database
// when it gets a second machine: stop it, copy, start it with the new store, and
// delete the old one when all is well. Records carry no trace of the store that they
// came from, and need no key to be moved.
//
// # Stored data and compatibility
//
// Bytes that one release wrote are read by every later release of this major
// version. A release that has to write something new writes a new format byte,
// reads the old one, and says so in its notes; a program that meets a format
// which it doesn't know returns [ErrOpen] and leaves the record alone.
//
// A sealed record, as Keyset makes it, is
//
//	"o2ks"           4 bytes, magic
//	0x01             1 byte, format
//	0x01             1 byte, suite: XAES-256-GCM (https://c2sp.org/XAES-256-GCM)
//	fingerprint     16 bytes: HMAC-SHA-256(key, "oauth2keep key fingerprint v1")[:16]
//	nonce           24 bytes, random
//	ciphertext      as long as the plaintext, and 16 bytes of tag
//
// and is bound to the associated data
//
//	L("oauth2keep sealed v1") L(the 22 bytes before the nonce) L(ad)
//
// where L(x) is the length of x as 8 bytes, most significant first, and x itself.
// Encrypted passes, as ad, L("oauth2keep record v1") L(name of the record), so that
// a record which is moved to another name doesn't open.
//
// A Dir holds one file per record, named by the SHA-256 of its name in lower-case
// hexadecimal, with the content
//
//	"o2kf"           4 bytes, magic
//	0x01             1 byte, format
//	version         16 bytes, random, new with every write
//	length           4 bytes, of the name, most significant first
//	name            the name as it is
//	value           the value as it is
//	checksum        32 bytes: SHA-256 of all that stands before it
//
// and two directories: locks, whose empty files must never be deleted while a
// program runs, and tmp, whose files may be deleted when none does. A backup needs
// neither, and may copy the record files at any moment. Before a backup is restored,
// the programs that use the directory have to be stopped.
package storage
