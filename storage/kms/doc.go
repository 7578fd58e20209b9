// Package kms keeps the keys of package storage wrapped: encrypted by a key that
// doesn't leave a key management service, of AWS, Google Cloud, Azure, Vault or any
// other that has an AEAD of Tink (github.com/tink-crypto/tink-go). What lies on the
// disk or in the environment is worth nothing without the permission to ask the KMS.
//
//	keys, err := kms.File("/etc/myapp/token.keys").Open(ctx, k)
//	// …
//	store := storage.Encrypt(dir, keys)
//
// The KMS is asked once, when the file is opened. The result is a [storage.Keyset],
// which seals and opens the records in memory, so that they cost no calls, go on
// working when the KMS is away, and their keys can be replaced with
// [storage.Encrypted.Rekey]. The keys stay in the memory of the process until it ends:
// taking the permission away works from the next start on.
//
// # Making keys
//
// A small program or a test makes the file, once:
//
//	_, err := kms.File("token.keys").Create(ctx, k, storage.NewKey())
//
// To wrap a key that is in use already, give it instead of a new one. For an
// environment variable, [Wrap] makes the same text as is in a file, and [Open] reads
// it. The KMS decrypts what it encrypted before anything is written.
//
// A KMS is given associated data that has the fingerprints of the keys, so that its
// log says which keys were asked for. Copies of the file can lie anywhere, and should:
// without the file, as without the key of the KMS, the records are lost.
//
// # Replacing keys
//
// A new data key: [File.Add], [File.MakePrimary], [storage.Encrypted.Rekey],
// [storage.Encrypted.CheckUnused] and [File.Remove], by the steps of
// https://github.com/oauth2keep/oauth2keep/blob/main/docs/rotate-keys.md. After each change
// of the file, bring it to all machines, which open it at their next start.
//
// A new key of the KMS, or another KMS: [File.Rewrap], and bring the file and the
// setting to all machines. The records don't notice. A KMS that rotates its key by
// itself, and goes on decrypting with the versions that it had, needs nothing.
//
// # What it protects from
//
// Somebody who can read the file and the records, but can't ask the KMS, reads no
// token. Somebody who can write the file, too, can't change which keys it has and which
// of them seals: all keys are one ciphertext, in their order, and any other combination
// of names and ciphertexts doesn't open. They can delete the file, and put the whole of
// it back into a state in which it was once. So a key that was stolen and replaced seals
// again if the file of before is put back. After a theft, finish with [File.Rewrap] for
// a new key of the KMS, and take the permission for the old one away: no earlier state
// of the file opens then.
//
// This holds for a KMS that encrypts with a secret key. Anyone who has the public key of
// an RSA key can encrypt, and put in keys of their own if they can write the file. So can
// anyone whom the KMS allows to encrypt with this key: use it for nothing else.
//
// A file that its group or others may write isn't opened.
//
// # Errors
//
// They name the fingerprints of the keys, as errors of package storage do. They stand
// in the file too, so that it can be found with grep. Errors never have a key in them.
// A context that is done ends every wait for the KMS; set a deadline.
//
// # Stored data and compatibility
//
// What one release wrote is read by every later one of the same major version. A file
// is one line of UTF-8 text, with white space around it or not:
//
//	oauth2keep-kms   magic
//	:2               format
//	:fingerprints    of 32 hexadecimal digits, as [storage.Keyset.Fingerprints] returns them,
//	                 with commas between them; the primary key's first
//	:ciphertext      base64: what the AEAD made of the keys, 32 bytes each, in that order
//	:checksum        8 hexadecimal digits: the first of the SHA-256 of all before
//
// and the associated data, by which the ciphertext is bound to its purpose and its
// names, is
//
//	L("oauth2keep wrapped keys v2") L(fingerprint) …
//
// with each fingerprint in its order, where L(x) is the length of x as 8 bytes, most
// significant first, and x itself. The checksum finds out what was cut short; what was
// changed on purpose, the AEAD does. There can be 50 keys.
//
// A file keeps its mode, and its owner when root changes it, but no access list (setfacl):
// set that again after a change. Its directory should be one that nobody else writes.
// Beside it lies an empty one whose name ends with .lock, which must not be deleted
// while a program changes the file.
package kms
