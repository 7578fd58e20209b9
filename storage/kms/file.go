package kms

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/oauth2keep/oauth2keep/internal/safefile"
	"github.com/oauth2keep/oauth2keep/storage"
)

// File is the path of a file of wrapped keys. There is nothing secret in it, but only
// its owner may have the right to write it. It is replaced as a whole, never written
// to, and the methods that change it wait for each other by a lock on a file beside
// it, whose name ends with .lock.
type File string

// Open returns a Keyset of the keys, as the function [Open] does. A file that
// doesn't exist is an error.
func (f File) Open(ctx context.Context, k tink.AEADWithContext) (*storage.Keyset, error) {
	keys, err := f.unwrap(ctx, k)
	if err != nil {
		return nil, fmt.Errorf("kms: %s: %w", f, err)
	}
	return storage.NewKeyset(keys[0], keys[1:]...)
}

// Create makes the file, with key, for example a [storage.NewKey], as the primary one.
// A file that is there already is an error. It returns the key's fingerprint.
func (f File) Create(ctx context.Context, k tink.AEADWithContext, key []byte) (fingerprint string, err error) {
	err = f.locked(ctx, func(root *os.Root) error {
		if _, err := f.read(); err == nil {
			return errors.New("the file is there already: Add adds a key to it")
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return f.write(ctx, root, k, [][]byte{key})
	})
	if err != nil {
		return "", err
	}
	return fingerprintOf(key), nil
}

// Add adds key, for example a [storage.NewKey], as the last of the old ones, which
// open records and don't seal any. A file that doesn't exist is an error, as a new
// one would lack the keys that records need. It returns the key's fingerprint.
func (f File) Add(ctx context.Context, k tink.AEADWithContext, key []byte) (fingerprint string, err error) {
	err = f.change(ctx, k, k, func(keys [][]byte, _ []string) ([][]byte, error) { return append(keys, key), nil })
	if err != nil {
		return "", err
	}
	return fingerprintOf(key), nil
}

// MakePrimary makes a key the one that seals, for those that open the file from now
// on, and returns the fingerprint of the one that did before.
func (f File) MakePrimary(ctx context.Context, k tink.AEADWithContext, fingerprint string) (previous string, err error) {
	err = f.change(ctx, k, k, func(keys [][]byte, names []string) ([][]byte, error) {
		i, err := find(names, fingerprint)
		if err != nil {
			return nil, err
		}
		previous = names[0]
		return slices.Concat(keys[i:i+1], keys[:i], keys[i+1:]), nil
	})
	if err != nil {
		return "", err
	}
	return previous, nil
}

// Remove removes an old key. Records that it sealed can't be read without it, so
// call it only when all processes that sealed with the key have ended, and after that
// [storage.Encrypted.CheckUnused] returned nil for it. It refuses the primary key.
func (f File) Remove(ctx context.Context, k tink.AEADWithContext, fingerprint string) error {
	return f.change(ctx, k, k, func(keys [][]byte, names []string) ([][]byte, error) {
		i, err := find(names, fingerprint)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			return nil, fmt.Errorf("key %s is the primary key and can't be removed: make another one primary, and call Rekey, before", fingerprint)
		}
		return slices.Concat(keys[:i], keys[i+1:]), nil
	})
}

// Rewrap has from decrypt the keys, and to encrypt them: for a new key of the KMS, or
// another KMS. The keys, and so the records, stay the same.
func (f File) Rewrap(ctx context.Context, from, to tink.AEADWithContext) error {
	return f.change(ctx, from, to, func(keys [][]byte, _ []string) ([][]byte, error) { return keys, nil })
}

func find(names []string, fingerprint string) (int, error) {
	i := slices.Index(names, fingerprint)
	if i < 0 { // it may be a key by mistake, and isn't repeated
		return 0, errors.New("what was given isn't the fingerprint of a key in it, which has " + strings.Join(names, ", "))
	}
	return i, nil
}

// change replaces the keys, while no other process does.
func (f File) change(ctx context.Context, from, to tink.AEADWithContext, by func(keys [][]byte, names []string) ([][]byte, error)) error {
	return f.locked(ctx, func(root *os.Root) error {
		keys, err := f.unwrap(ctx, from)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is no file to change: Create makes one: %w", err)
		}
		if err != nil {
			return err
		}
		names, err := fingerprints(keys)
		if err != nil {
			return err
		}
		if keys, err = by(keys, names); err != nil {
			return err
		}
		return f.write(ctx, root, to, keys)
	})
}

// locked calls do with the directory of the file, while no other process does.
func (f File) locked(ctx context.Context, do func(root *os.Root) error) error {
	if f == "" {
		return fmt.Errorf("kms: %w", errNoPath)
	}
	root, err := os.OpenRoot(filepath.Dir(string(f)))
	if err != nil {
		return fmt.Errorf("kms: can't lock the key file: %w", err)
	}
	defer root.Close()
	unlock, err := safefile.Lock(ctx, root, filepath.Base(string(f))+".lock")
	if err != nil {
		return fmt.Errorf("kms: can't lock the key file %s: %w", f, err)
	}
	defer unlock()
	if err := do(root); err != nil {
		return fmt.Errorf("kms: %s: %w", f, err)
	}
	return nil
}

var errNoPath = errors.New("this File is no path")

// maxFile is more than the longest text.
const maxFile = 2 * maxCiphertext

func (f File) read() (wrapped, error) {
	if f == "" {
		return wrapped{}, errNoPath
	}
	b, err := safefile.Read(safefile.Paths, string(f), string(f), maxFile, safefile.Trusted)
	if err != nil {
		return wrapped{}, fmt.Errorf("can't read the key file: %w", err)
	}
	return parse(string(b))
}

func (f File) unwrap(ctx context.Context, k tink.AEADWithContext) ([][]byte, error) {
	w, err := f.read()
	if err != nil {
		return nil, err
	}
	return w.unwrap(ctx, k)
}

func (f File) write(ctx context.Context, root *os.Root, k tink.AEADWithContext, keys [][]byte) error {
	w, err := wrap(ctx, k, keys)
	if err != nil {
		return err
	}
	// Whoever may read it shall go on doing so.
	if err := safefile.Replace(root, filepath.Base(string(f)), []byte(w.String()+"\n"), 0); err != nil {
		return fmt.Errorf("can't write the key file: %w", err)
	}
	return nil
}
