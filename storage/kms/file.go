package kms

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/oauth2keep/oauth2keep/storage"
)

// File is the path of a file of wrapped keys, one on a line, the primary one first.
// There is nothing secret in it. It is replaced as a whole, never written to, and
// the methods that change it wait for each other by a lock on a file beside it,
// whose name ends with .lock.
type File string

// Open returns a Keyset of the keys, as the function [Open] does. A file that
// doesn't exist is an error.
func (f File) Open(ctx context.Context, k tink.AEADWithContext) (*storage.Keyset, error) {
	lines, err := f.read()
	if err != nil {
		return nil, err
	}
	keys, err := unwrapAll(ctx, k, lines)
	if err != nil {
		return nil, fmt.Errorf("kms: %s: %w", f, err)
	}
	return storage.NewKeyset(keys[0], keys[1:]...)
}

// Create makes the file, with key, for example a [storage.NewKey], as the primary one.
// A file that is there already is an error. It returns the key's fingerprint.
func (f File) Create(ctx context.Context, k tink.AEADWithContext, key []byte) (fingerprint string, err error) {
	return f.add(ctx, k, key, func(lines []wrapped) error {
		if len(lines) > 0 {
			return errors.New("the file is there already: Add adds a key to it")
		}
		return nil
	})
}

// Add wraps key, for example a [storage.NewKey], and adds it as the last of the old
// ones, which open records and don't seal any. A file that doesn't exist is an error,
// as a new one would lack the keys that records need. It returns the key's fingerprint.
func (f File) Add(ctx context.Context, k tink.AEADWithContext, key []byte) (fingerprint string, err error) {
	return f.add(ctx, k, key, func(lines []wrapped) error {
		if len(lines) == 0 {
			return errors.New("there is no file to add a key to: Create makes one")
		}
		return nil
	})
}

func (f File) add(ctx context.Context, k tink.AEADWithContext, key []byte, check func([]wrapped) error) (fingerprint string, err error) {
	err = f.change(ctx, func(lines []wrapped) ([]wrapped, error) {
		if err := check(lines); err != nil {
			return nil, err
		}
		w, err := wrap(ctx, k, key)
		if err != nil {
			return nil, err
		}
		if find(lines, w.fingerprint) >= 0 {
			return nil, fmt.Errorf("key %s is there already", w.fingerprint)
		}
		fingerprint = w.fingerprint
		return append(lines, w), nil
	})
	if err != nil {
		return "", err
	}
	return fingerprint, nil
}

// MakePrimary makes a key the one that seals, for those that open the file from now
// on, and returns the fingerprint of the one that did before.
func (f File) MakePrimary(ctx context.Context, fingerprint string) (previous string, err error) {
	err = f.change(ctx, func(lines []wrapped) ([]wrapped, error) {
		i := find(lines, fingerprint)
		if i < 0 {
			return nil, missing(lines, fingerprint)
		}
		previous = lines[0].fingerprint
		return append([]wrapped{lines[i]}, slices.Delete(slices.Clone(lines), i, i+1)...), nil
	})
	if err != nil {
		return "", err
	}
	return previous, nil
}

// Remove removes an old key. Records that it sealed can't be read without it, so
// call it only when all processes that sealed with the key have ended, and after that
// [storage.Encrypted.CheckUnused] returned nil for it. It refuses the primary key.
func (f File) Remove(ctx context.Context, fingerprint string) error {
	return f.change(ctx, func(lines []wrapped) ([]wrapped, error) {
		i := find(lines, fingerprint)
		switch {
		case i < 0:
			return nil, missing(lines, fingerprint)
		case i == 0:
			return nil, fmt.Errorf("key %s is the primary key and can't be removed: make another one primary, and call Rekey, before", fingerprint)
		}
		return slices.Delete(slices.Clone(lines), i, i+1), nil
	})
}

// Rewrap has from decrypt every key, and to encrypt it: for a new key of the KMS, or
// another KMS. The keys, and so the records, stay the same. It changes all or none.
func (f File) Rewrap(ctx context.Context, from, to tink.AEADWithContext) error {
	return f.change(ctx, func(lines []wrapped) ([]wrapped, error) {
		if len(lines) == 0 {
			return nil, errors.New("there is no file to rewrap")
		}
		keys, err := unwrapAll(ctx, from, lines)
		if err != nil {
			return nil, err
		}
		var again []wrapped
		for i, key := range keys {
			w, err := wrap(ctx, to, key)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", i+1, err)
			}
			again = append(again, w)
		}
		return again, nil
	})
}

func find(lines []wrapped, fingerprint string) int {
	return slices.IndexFunc(lines, func(w wrapped) bool { return w.fingerprint == fingerprint })
}

func missing(lines []wrapped, fingerprint string) error {
	var names []string
	for _, w := range lines {
		names = append(names, w.fingerprint)
	}
	return fmt.Errorf("there is no key %q, but %s", fingerprint, strings.Join(names, ", "))
}

// change replaces the file, while no other process does.
func (f File) change(ctx context.Context, by func([]wrapped) ([]wrapped, error)) error {
	unlock, err := f.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	lines, err := f.read()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	lines, err = by(lines)
	if err != nil {
		return fmt.Errorf("kms: %s: %w", f, err)
	}
	return f.write(encode(lines))
}

// maxFile is more than a hundred of the longest lines.
const maxFile = 4 << 20

func (f File) read() ([]wrapped, error) {
	if f == "" {
		return nil, errors.New("kms: this File is no path")
	}
	info, err := os.Stat(string(f))
	if err != nil {
		return nil, fmt.Errorf("kms: can't read the key file: %w", err)
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for a writer
		return nil, fmt.Errorf("kms: %s isn't a file (mode %s)", f, info.Mode())
	}
	file, err := os.Open(string(f))
	if err != nil {
		return nil, fmt.Errorf("kms: can't read the key file: %w", err)
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("kms: can't read the key file: %w", err)
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("kms: %s is too long for a key file", f)
	}
	lines, err := parse(string(b))
	if err != nil {
		return nil, fmt.Errorf("kms: %s: %w", f, err)
	}
	return lines, nil
}
