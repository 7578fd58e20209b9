package kms_test

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/kms"
)

// localKMS takes the place of a KMS in these examples.
func localKMS() tink.AEADWithContext {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		log.Fatal(err)
	}
	a, err := aead.New(handle)
	if err != nil {
		log.Fatal(err)
	}
	return kms.WithContext(a)
}

// What a program does at its start. Give the result to tokensource.Manager.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// AWS:    k, err := awskms.NewAEADWithContext(ctx, "arn:aws:kms:eu-west-1:…:key/…")
	// Google: k, err := gcpkms.GetAEADWithContext(ctx, "gcp-kms://projects/…/cryptoKeys/…")
	// Vault:  a, err := hcvault.NewAEAD("/transit/keys/…", client.Logical())
	//         k := kms.WithContext(a)
	k := localKMS()

	keys, err := kms.File("/etc/myapp/token.keys").Open(ctx, k)
	if err != nil {
		log.Print(err)
		return
	}
	dir, err := storage.OpenDir("/var/lib/myapp/tokens")
	if err != nil {
		log.Print(err)
		return
	}
	defer dir.Close()
	fmt.Println(storage.Encrypt(dir, keys))
}

// The text goes into an environment variable, or a secret of Kubernetes.
func ExampleWrap() {
	ctx := context.Background()
	k := localKMS()
	text, err := kms.Wrap(ctx, k, storage.NewKey())
	if err != nil {
		log.Fatal(err)
	}

	keys, err := kms.Open(ctx, k, text) // as the program does at its start
	if err != nil {
		log.Fatal(err)
	}
	sealed, err := keys.Seal(ctx, []byte("a secret"), nil)
	if err != nil {
		log.Fatal(err)
	}
	opened, err := keys.Open(ctx, sealed, nil)
	fmt.Println(string(opened), err)
	// Output: a secret <nil>
}

// The data key is replaced, and then the key of the KMS.
func ExampleFile() {
	path, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(path)
	file := kms.File(filepath.Join(path, "token.keys"))
	store := new(storage.Memory) // stands for the program's own
	k, next := localKMS(), localKMS()
	rotate := func(ctx context.Context) error {
		if _, err := file.Create(ctx, k, storage.NewKey()); err != nil {
			return err
		}
		keys, err := file.Open(ctx, k)
		if err != nil {
			return err
		}
		if _, err := storage.Encrypt(store, keys).Put(ctx, "account 1", []byte("a secret"), ""); err != nil {
			return err
		}

		added, err := file.Add(ctx, k, storage.NewKey())
		if err != nil {
			return err
		}
		// Here the file goes to all machines, which start again.
		previous, err := file.MakePrimary(ctx, k, added)
		if err != nil {
			return err
		}
		// And here.
		if keys, err = file.Open(ctx, k); err != nil {
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
		if err := file.Remove(ctx, k, previous); err != nil {
			return err
		}
		return file.Rewrap(ctx, k, next)
	}
	if err := rotate(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output: records moved: 1
}

// rsaKey is an AEAD for a key that can't be given associated data, such as an RSA
// key of Azure Key Vault. Its two functions call WrapKey and UnwrapKey of a client of
// package azkeys, with azkeys.EncryptionAlgorithmRSAOAEP256.
type rsaKey struct {
	wrap, unwrap func(ctx context.Context, b []byte) ([]byte, error)
}

func (k rsaKey) EncryptWithContext(ctx context.Context, plaintext, associatedData []byte) ([]byte, error) {
	sum := sha256.Sum256(associatedData)
	return k.wrap(ctx, slices.Concat(sum[:], plaintext)) // 32 bytes and 32 per key; RSA of 2,048 bits has room for 190
}

func (k rsaKey) DecryptWithContext(ctx context.Context, ciphertext, associatedData []byte) ([]byte, error) {
	b, err := k.unwrap(ctx, ciphertext)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(associatedData)
	if len(b) < len(sum) || subtle.ConstantTimeCompare(b[:len(sum)], sum[:]) != 1 {
		return nil, errors.New("the associated data is another one")
	}
	return b[len(sum):], nil
}

// A KMS for which Tink has no module.
func ExampleOpen_azure() {
	ctx := context.Background()
	local := localKMS()
	k := rsaKey{
		wrap:   func(ctx context.Context, b []byte) ([]byte, error) { return local.EncryptWithContext(ctx, b, nil) },
		unwrap: func(ctx context.Context, b []byte) ([]byte, error) { return local.DecryptWithContext(ctx, b, nil) },
	}
	text, err := kms.Wrap(ctx, k, storage.NewKey())
	if err != nil {
		log.Fatal(err)
	}
	_, err = kms.Open(ctx, k, text)
	fmt.Println(err)
	// Output: <nil>
}
