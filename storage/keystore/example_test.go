package keystore_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/keystore"
)

// What a program does at its start. Give the result to tokensource.Manager.
func Example() {
	// The keyring may ask the user to unlock it.
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	keys, err := keystore.App{Name: "myapp"}.Open(ctx)
	if err != nil {
		log.Fatal(err) // says what to do
	}
	dir, err := storage.OpenDir("/home/me/.local/share/myapp/tokens")
	if err != nil {
		log.Fatal(err)
	}
	defer dir.Close()
	fmt.Println(storage.Encrypt(dir, keys))
}

// A test, or a program that cron runs, leaves the keyring alone.
func ExampleApp_Open_file() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	app := keystore.App{Name: "myapp", Dir: dir, File: true}

	keys, err := app.Open(ctx) // makes the key
	if err != nil {
		log.Fatal(err)
	}
	sealed, err := keys.Seal(ctx, []byte("a secret"), nil)
	if err != nil {
		log.Fatal(err)
	}

	again, err := app.Open(ctx) // as the next process does
	if err != nil {
		log.Fatal(err)
	}
	opened, err := again.Open(ctx, sealed, nil)
	fmt.Println(string(opened), err)
	// Output: a secret <nil>
}

// A command that replaces the key, for a program of which one process runs at a time.
func ExampleApp_MakePrimary() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	app := keystore.App{Name: "myapp", Dir: dir, File: true}
	store := new(storage.Memory) // stands for the program's own

	rotate := func(ctx context.Context) error {
		next, err := app.Add(ctx)
		if err != nil {
			return err
		}
		previous, err := app.MakePrimary(ctx, next)
		if err != nil {
			return err
		}
		keys, err := app.Open(ctx)
		if err != nil {
			return err
		}
		encrypted := storage.Encrypt(store, keys)
		report, err := encrypted.Rekey(ctx)
		if err != nil {
			return err
		}
		fmt.Println("records moved:", report.Moved)
		if err := encrypted.CheckUnused(ctx, previous); err != nil {
			return err // the old key must be kept
		}
		return app.Remove(ctx, previous)
	}

	ctx := context.Background()
	keys, err := app.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := storage.Encrypt(store, keys).Put(ctx, "account 1", []byte("a secret"), ""); err != nil {
		log.Fatal(err)
	}
	if err := rotate(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: records moved: 1
}
