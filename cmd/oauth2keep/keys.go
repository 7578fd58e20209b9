package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/keystore"
)

// appName is what the keyring knows the command by.
const appName = "oauth2keep"

const (
	inKeyring = "keyring"
	inOwnFile = "no-keyring"
)

// keySources returns where the keys of the store are, and the directory that paths are
// relative to.
func (a *app) keySources() (sources []string, dir string, err error) {
	dir, err = os.Getwd()
	if err != nil {
		return nil, "", err
	}
	sources = a.options.keys
	if len(sources) == 0 {
		sources = strings.Fields(os.Getenv("OAUTH2KEEP_KEYS"))
	}
	if len(sources) > 0 {
		return sources, dir, checkSources(sources)
	}
	c, err := a.config()
	if err != nil {
		return nil, "", err
	}
	if len(c.Keys) > 0 {
		return c.Keys, c.dir(), checkSources(c.Keys)
	}
	spec, err := a.storeSpec()
	if err != nil {
		return nil, "", err
	}
	if !spec.standard {
		return nil, "", usage("the keys of %s aren't known: name them by --key, such as --key file:/etc/myapp/token.key, --key env:TOKEN_KEY or --key keyring", spec)
	}
	return []string{inKeyring}, dir, nil
}

func checkSources(sources []string) error {
	for _, source := range sources {
		kind, _, named := strings.Cut(source, ":")
		switch {
		case (source == inKeyring || source == inOwnFile) && len(sources) == 1:
		case source == inKeyring || source == inOwnFile:
			return usage("%s has keys of its own, and goes with no other --key", source)
		case named && (kind == "file" || kind == "env"):
		default: // which may be a key, and isn't repeated
			return usage("--key says where a key is, as keyring, no-keyring, file:PATH or env:NAME, and is never the key itself")
		}
	}
	return nil
}

// keystore returns the command's own keys, and whether they are those of the store.
func (a *app) keystore() (own keystore.App, ofStore bool) {
	own.Name = appName
	if path, err := a.configPath(); err == nil {
		own.Dir = filepath.Join(filepath.Dir(path), "keystore")
		if standard, err := os.UserConfigDir(); err != nil || filepath.Dir(path) != filepath.Join(standard, appName) {
			// Each configuration has keys of its own: removing one looks at the records that
			// this configuration knows.
			sum := sha256.Sum256([]byte(filepath.Dir(path)))
			own.Name += "-" + hex.EncodeToString(sum[:8])
		}
	}
	sources, _, err := a.keySources()
	ofStore = err == nil && len(sources) == 1 && (sources[0] == inKeyring || sources[0] == inOwnFile)
	own.File = ofStore && sources[0] == inOwnFile
	return own, ofStore
}

// keys returns the keys of the store.
func (a *app) keys(ctx context.Context) (*storage.Keyset, error) {
	sources, dir, err := a.keySources()
	if err != nil {
		return nil, err
	}
	if own, ofStore := a.keystore(); ofStore {
		keys, err := own.Open(ctx)
		if err != nil {
			return nil, storeFailure("%w", err)
		}
		return keys, nil
	}
	var keys [][]byte
	for _, source := range sources {
		key, err := readKey(source, dir)
		if err != nil {
			return nil, storeFailure("the key %s: %w", source, err)
		}
		keys = append(keys, key)
	}
	return storage.NewKeyset(keys[0], keys[1:]...)
}

func readKey(source, dir string) ([]byte, error) {
	kind, rest, _ := strings.Cut(source, ":")
	if kind == "file" {
		return storage.ReadKeyFile(absolute(rest, dir))
	}
	text, _, err := resolve(source, dir)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	return storage.ParseKey(text)
}
