// Package keystore keeps the encryption keys of a program that runs on a person's
// machine, in the keyring of the operating system, so that nobody is asked for a
// passphrase:
//
//	keys, err := keystore.App{Name: "myapp"}.Open(ctx)
//	// …
//	store := storage.Encrypt(dir, keys)
//
// The keyring is the Keychain of macOS, the Credential Manager of Windows, or the
// Secret Service (GNOME Keyring, KWallet, KeePassXC) of other systems. Where there
// is none, as on a server or in a container, the keys are in a file of mode 0600. The
// records stay where they are; a keyring has no room for them.
//
// # Where the keys are
//
// The first call of [App.Open] looks for a keyring, makes a key, writes down where it
// is, and which it is, in a file beside, and looks whether it is there. From then on
// nothing moves by itself. A keyring that can't be reached, as over ssh or from cron,
// is an error and no reason for a new key, with which the records couldn't be read; and
// so is a key that was deleted. A file that has the keys goes on having them when a
// keyring is installed.
//
// "There is none" means: no session bus, a bus on which nothing is or can start a
// Secret Service, or a system that go-keyring doesn't know. A keyring that is locked,
// refuses, or doesn't answer in time is an error at the first call too. A program
// that has to run without its user's desktop sets [App.File].
//
// Processes that make the first key at once get the same one. They wait for a lock
// on a file in the directory, which has to be on a local disk. Killing them at any
// moment loses no key that was used.
//
// To begin anew, when the keys are lost, delete the file "where" in the directory, and
// the entry or the file "keys" if it is there. All records are lost then: every user
// has to log in again.
//
// # What it protects from
//
// From others who get the records without the key: a backup, a synchronized folder,
// a disk in another machine. It doesn't protect from programs of the same user. On
// Linux and Windows each can read the whole keyring while it is unlocked, and on
// macOS the entry belongs to /usr/bin/security, which go-keyring runs.
//
// # Replacing a key
//
// [App.Add] makes the next key, which opens and doesn't seal yet; [App.MakePrimary] has
// it seal; [storage.Encrypted.Rekey] moves the records, and [storage.Encrypted.CheckUnused]
// refuses for as long as one needs the old key, which [App.Remove] destroys. A program of
// which only one process runs at a time can do all at once, as in the example. Where
// several do, each opens the keyring again between the steps of
// https://github.com/oauth2keep/oauth2keep/blob/main/docs/rotate-keys.md.
//
// # Stored data and compatibility
//
// What one release wrote is read by every later one of the same major version. The
// keys are a text, in an entry of the keyring whose service is [App.Name] and whose
// user is "oauth2keep keys", or in the file "keys" in the directory:
//
//	oauth2keep keys v1
//	(a key, 32 bytes in base64: the primary one)
//	(any number of old keys, each on a line)
//	end
//
// The entry of Windows has 2,560 bytes, hence [MaxKeys]. A file "where" in the
// directory holds nothing secret:
//
//	oauth2keep keystore v1
//	keyring                           (or: file)
//	(the fingerprints of the keys, as storage.Keyset prints them, each on a line)
//	end
//
// Every key that it names must be in the keyring or the file, which may have more; a
// text that doesn't end with the line end was cut short. If the file "where" is
// missing, keys that are found are used, and it is written. The directory is made with
// mode 0700, its files with 0600, and what root writes belongs to the owner of the
// directory. The file "lock" is empty, and must never be deleted while
// a program runs; files whose names end with .tmp may be deleted when none does.
package keystore
