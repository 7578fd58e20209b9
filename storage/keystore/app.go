package keystore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oauth2keep/oauth2keep/storage"
)

// App names a program, and says where its keys are. Only Name is required:
//
//	keys, err := keystore.App{Name: "myapp"}.Open(ctx)
//
// It holds no secret. Its methods may be called concurrently, and by several
// processes.
type App struct {
	// Name is the name of the program, under which the keyring keeps its keys: up to
	// 64 letters, digits, hyphens, underscores and dots, not beginning or ending with
	// a dot. Programs of one user that have the same Name share their keys, and must
	// have the same Dir.
	Name string

	// Dir is the directory that remembers where the keys are, and has them if there
	// is no keyring. It is made if need be, and belongs to this package alone. Only its
	// owner may be allowed to write it, and only its owner and group to read it. If it
	// is empty, it is the directory keystore in the directory Name in
	// [os.UserConfigDir].
	Dir string

	// File keeps the keys in a file in Dir even if there is a keyring. It is for a
	// program that also runs where the keyring can't be reached, from cron or over
	// ssh, and for tests. It has a meaning only until the first key is made.
	File bool
}

// Open returns the keys, and makes the first one if there is none yet: in the
// keyring of the operating system, or if there is none, in a file. From then on they
// stay where they are. A keyring that was there and can't be reached now, and keys
// that were there and are gone, are errors, which say what can be done; a new key
// would make the records unreadable.
//
// The keyring may ask the user to unlock it. If ctx is done before the answer, Open
// returns; the question stays on the screen, because it can't be called off.
func (a App) Open(ctx context.Context) (*storage.Keyset, error) {
	keys, err := a.update(ctx, osKeyring{}, nil)
	if err != nil {
		return nil, err
	}
	return keys.keyset()
}

// Add makes a key and adds it as an old one, which opens records and doesn't seal
// any. It returns the key's fingerprint. There may be [MaxKeys] keys.
func (a App) Add(ctx context.Context) (fingerprint string, err error) {
	_, err = a.update(ctx, osKeyring{}, func(old keyList) (keyList, error) {
		if len(old) >= MaxKeys {
			return nil, fmt.Errorf("keystore: %s has %d keys, and the keyring of Windows holds no more: call Rekey, and Remove those that no record needs", a.Name, len(old))
		}
		k, err := newKey()
		fingerprint = k.fingerprint
		return append(slices.Clone(old), k), err
	})
	if err != nil {
		return "", err
	}
	return fingerprint, nil
}

// MakePrimary makes a key the one that seals, and returns the fingerprint of the one
// that did before. Whoever called Open earlier goes on sealing with that.
func (a App) MakePrimary(ctx context.Context, fingerprint string) (previous string, err error) {
	_, err = a.update(ctx, osKeyring{}, func(old keyList) (keyList, error) {
		i, err := old.find(a.Name, fingerprint)
		if err != nil {
			return nil, err
		}
		previous = old[0].fingerprint
		rest := slices.Delete(slices.Clone(old), i, i+1)
		return append(keyList{old[i]}, rest...), nil
	})
	if err != nil {
		return "", err
	}
	return previous, nil
}

// Remove destroys an old key. Records that it sealed can't be read ever again, so
// call it only when all processes that sealed with the key have ended, and after that
// [storage.Encrypted.CheckUnused] returned nil for it. It refuses the primary key.
func (a App) Remove(ctx context.Context, fingerprint string) error {
	_, err := a.update(ctx, osKeyring{}, func(old keyList) (keyList, error) {
		i, err := old.find(a.Name, fingerprint)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			return nil, fmt.Errorf("keystore: key %s is the primary key of %s and can't be removed: make another one primary, and call Rekey, before", fingerprint, a.Name)
		}
		return slices.Delete(slices.Clone(old), i, i+1), nil
	})
	return err
}

// update lets change replace the keys, while no other process does, and returns what
// they are then. There is at least one.
func (a App) update(ctx context.Context, r keyring, change func(keyList) (keyList, error)) (keyList, error) {
	path, err := a.dir()
	if err != nil {
		return nil, err
	}
	d, err := openDir(ctx, path)
	if err != nil {
		return nil, err
	}
	s := &session{app: a, dir: d, keyring: &calls{ctx: ctx, keyring: r, name: a.Name}}
	// A write that the keyring hasn't answered can still happen. If another process
	// made a key meanwhile, it would be overwritten.
	defer s.keyring.whenIdle(d.close)
	keys, err := s.load()
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		first, err := newKey()
		if err != nil {
			return nil, err
		}
		keys = keyList{first}
		if err := s.save(keys); err != nil {
			return nil, err
		}
	}
	if change == nil {
		return keys, nil
	}
	keys, err = change(keys)
	if err != nil {
		return nil, err
	}
	return keys, s.save(keys)
}

func (a App) dir() (string, error) {
	if a.Name == "" {
		return "", errors.New("keystore: App needs a Name, the name of the program")
	}
	if !validName(a.Name) {
		return "", fmt.Errorf("keystore: the Name of an App can't be %q: it has up to %d letters, digits, hyphens, underscores and dots, and no dot at its ends", a.Name, maxName)
	}
	if a.Dir != "" {
		return filepath.Clean(a.Dir), nil
	}
	config, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("keystore: this user has no directory for settings, so App.Dir must be set: %w", err)
	}
	return filepath.Join(config, a.Name, "keystore"), nil
}

const maxName = 64 // macOS takes 4,096 bytes in all

func validName(name string) bool {
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	// IsLocal knows the names that Windows reserves for devices.
	return len(name) <= maxName && strings.Trim(name, ".") == name && filepath.IsLocal(name)
}
