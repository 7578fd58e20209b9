package storage_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/oauth2keep/oauth2keep/storage"
)

// What a program does at its start: the key from a file, the records in a directory.
// Give the result to tokensource.Manager.
func Example() {
	home, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(home)
	keyFile := filepath.Join(home, "token.key")
	// Made at the first start. A new key opens nothing that another one sealed.
	if err := storage.WriteKeyFile(keyFile, storage.NewKey()); err != nil && !errors.Is(err, fs.ErrExist) {
		log.Fatal(err)
	}

	key, err := storage.ReadKeyFile(keyFile)
	if err != nil {
		log.Fatal(err)
	}
	keys, err := storage.NewKeyset(key)
	if err != nil {
		log.Fatal(err)
	}
	dir, err := storage.OpenDir(filepath.Join(home, "tokens"))
	if err != nil {
		log.Fatal(err)
	}
	defer dir.Close()
	store := storage.Encrypt(dir, keys)

	ctx := context.Background()
	if _, err := store.Put(ctx, "account 1", []byte("a secret"), ""); err != nil {
		log.Fatal(err)
	}
	value, _, err := store.Get(ctx, "account 1")
	if err != nil {
		log.Fatal(err)
	}
	sealed, _, err := dir.Get(ctx, "account 1")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", value)
	fmt.Println("readable on disk:", strings.Contains(string(sealed), "secret"))
	// Output:
	// a secret
	// readable on disk: false
}

// To change a record: read it, and name the version that was read. If someone else
// was faster, read again and decide again.
func ExampleStore() {
	var store storage.Memory
	ctx := context.Background()

	add := func(s string) error {
		for {
			value, version, err := store.Get(ctx, "log")
			if err != nil && !errors.Is(err, storage.ErrNotFound) {
				return err
			}
			_, err = store.Put(ctx, "log", append(value, s...), version)
			if !errors.Is(err, storage.ErrConflict) {
				return err
			}
		}
	}
	for _, s := range []string{"created ", "changed ", "changed again"} {
		if err := add(s); err != nil {
			log.Fatal(err)
		}
	}
	value, _, _ := store.Get(ctx, "log")
	fmt.Printf("%s\n", value)

	_, err := store.Put(ctx, "log", []byte("from scratch"), "")
	fmt.Println(err)
	// Output:
	// created changed changed again
	// storage: the record was changed by someone else
}

// Replacing a key, from when all processes seal with the next one and can still open
// what the current one has sealed.
func ExampleEncrypted_Rekey() {
	ctx := context.Background()
	current, next := storage.NewKey(), storage.NewKey()
	var records storage.Memory

	before, err := storage.NewKeyset(current)
	if err != nil {
		log.Fatal(err)
	}
	for _, account := range []string{"account 1", "account 2", "account 3"} {
		if _, err := storage.Encrypt(&records, before).Put(ctx, account, []byte("token"), ""); err != nil {
			log.Fatal(err)
		}
	}

	keys, err := storage.NewKeyset(next, current)
	if err != nil {
		log.Fatal(err)
	}
	encrypted := storage.Encrypt(&records, keys)
	report, err := encrypted.Rekey(ctx)
	if err != nil {
		log.Fatal(err) // call it again: it goes on with what is left
	}
	fmt.Printf("%d of %d records moved\n", report.Moved, report.Examined)
	old := before.Fingerprints()[0] // before has the old key alone
	if err := encrypted.CheckUnused(ctx, old); err != nil {
		log.Fatal(err) // the old key must be kept
	}

	_, _, err = storage.Encrypt(&records, before).Get(ctx, "account 1")
	fmt.Println("opens with the old key:", !errors.Is(err, storage.ErrOpen))
	// Output:
	// 3 of 3 records moved
	// opens with the old key: false
}

// Moving from a directory to another store, whose programs are stopped meanwhile.
func ExampleCopy() {
	ctx := context.Background()
	src, dst := new(storage.Memory), new(storage.Memory) // a Dir and a table, say
	if _, err := src.Put(ctx, "account 1", []byte("sealed"), ""); err != nil {
		log.Fatal(err)
	}

	records, err := storage.Copy(ctx, dst, src)
	if err != nil {
		log.Fatal(err) // call it again: it goes on with what is left
	}
	fmt.Println("records copied and read back:", records)
	// Output: records copied and read back: 1
}

// A key from an environment variable.
func ExampleParseKey() {
	// In a program: storage.ParseKey(os.Getenv("MYAPP_TOKEN_KEY"))
	key, err := storage.ParseKey("e0ZfsXNEl7OFbNTyHNJJQuZh9ZV4RuRtAfG4qNQzsqE=")
	fmt.Println(len(key), err)

	_, err = storage.ParseKey("correct horse battery staple")
	fmt.Println(err)
	// Output:
	// 32 <nil>
	// storage: these 28 characters aren't a key: a key is 32 random bytes written as base64 (44 characters) or hexadecimal (64); make one with: openssl rand -base64 32
}

// Printing a Keyset shows which keys it has, and no key.
func ExampleKeyset() {
	key, err := storage.ParseKey("e0ZfsXNEl7OFbNTyHNJJQuZh9ZV4RuRtAfG4qNQzsqE=")
	if err != nil {
		log.Fatal(err)
	}
	keys, err := storage.NewKeyset(key)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%+v\n", keys)
	// Output:
	// storage.Keyset(6c124b1bf72a3004f3ec417506836527)
}

func ExampleNewKey() {
	text := base64.StdEncoding.EncodeToString(storage.NewKey())
	key, err := storage.ParseKey(text) // after keeping it where the records are not
	fmt.Println(len(key), err)
	// Output:
	// 32 <nil>
}
