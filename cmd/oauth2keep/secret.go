package main

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"

	"github.com/oauth2keep/oauth2keep/storage"
)

// Words for where a client's secret is, beside file:PATH and env:NAME.
const (
	secretStored = "stored"
	secretNone   = "none"
	secretStdin  = "stdin" // of a flag only: it is stored then
)

// secret returns the secret of a client, or "" if it has none.
func (a *app) secret(ctx context.Context, name string, c *client) (string, error) {
	if c.Secret == "" || c.Secret == secretNone {
		return "", nil
	}
	if c.Secret == secretStored {
		store, err := a.secrets(ctx, false)
		if err != nil {
			return "", err
		}
		text, _, err := store.Get(ctx, name)
		if errors.Is(err, storage.ErrNotFound) {
			return "", a.noSecret(name, errors.New("the secret of client "+printable(name)+" isn't there any more"))
		}
		if err != nil {
			return "", a.noSecret(name, err)
		}
		return string(text), nil
	}
	text, ok, err := resolve(c.Secret, a.loaded.dir())
	if !ok {
		return "", setup(`clients[%q].secret is none of "stored", "none", file:PATH and env:NAME`, name)
	}
	if err != nil {
		return "", a.noSecret(name, err)
	}
	return text, nil
}

func (a *app) noSecret(name string, err error) error {
	return &failure{code: exitSetup, err: err, do: "oauth2keep client set " + quoted(name) + " --secret …"}
}

// secretsPath is where the secrets are that the command keeps itself.
func (a *app) secretsPath() (string, error) {
	c, err := a.config()
	if err != nil {
		return "", err
	}
	return filepath.Join(c.dir(), "secrets"), nil
}

// secrets opens the directory of the clients' secrets, which are sealed with the keys of the
// command, wherever the connections are: they are no connections, and other programs that use
// the same store have no business with them.
func (a *app) secrets(ctx context.Context, mayMake bool) (*storage.Encrypted, error) {
	path, err := a.secretsPath()
	if err != nil {
		return nil, err
	}
	o, err := a.openDir(address{path: path}, mayMake)
	if err != nil {
		return nil, storeFailure("the clients' secrets in %s: %w", path, err)
	}
	own, _ := a.keystore()
	keys, err := own.Open(ctx)
	if err != nil {
		return nil, storeFailure("%w", err)
	}
	return storage.Encrypt(o.Store, keys), nil
}

// keepSecret stores a client's secret, or deletes it if it is "".
func (a *app) keepSecret(ctx context.Context, name, secret string) error {
	store, err := a.secrets(ctx, true)
	if err != nil {
		return err
	}
	for {
		_, version, err := store.Get(ctx, name)
		switch {
		case errors.Is(err, storage.ErrOpen):
			if err := store.Discard(ctx, name); err != nil {
				return storeFailure("%w", err)
			}
			continue
		case err != nil && !errors.Is(err, storage.ErrNotFound):
			return storeFailure("%w", err)
		case secret == "":
			err = store.Delete(ctx, name, version)
		default:
			_, err = store.Put(ctx, name, []byte(secret), version)
		}
		if !errors.Is(err, storage.ErrConflict) {
			return err
		}
	}
}

// sourceOfSecret makes of what a flag says what the configuration says. A secret that is typed or
// piped is returned, to be stored.
func (a *app) sourceOfSecret(ctx context.Context, flag, client string) (source, secret string, err error) {
	kind, _, named := strings.Cut(flag, ":")
	switch {
	case flag == secretNone:
		return secretNone, "", nil
	case flag == secretStdin:
		text, err := io.ReadAll(io.LimitReader(a.lines(), 1<<16))
		if err != nil {
			return "", "", err
		}
		secret = strings.TrimSpace(string(text))
	case flag == "" || flag == secretStored:
		secret, err = a.askSecret(ctx, "Client secret of "+printable(client)+" (not shown; empty if it has none): ")
		if err != nil {
			return "", "", err
		}
	case named && (kind == "file" || kind == "env"):
		if kind == "file" {
			path, err := filepath.Abs(strings.TrimPrefix(flag, "file:"))
			if err != nil {
				return "", "", err
			}
			flag = "file:" + path
		}
		_, _, err := resolve(flag, "")
		return flag, "", err
	default: // which may be a secret, and isn't repeated
		return "", "", usage("--secret says where the secret is, as stored, stdin, none, file:PATH or env:NAME, and is never the secret itself")
	}
	if secret == "" {
		return secretNone, "", nil
	}
	return secretStored, secret, nil
}
