package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/oauth2keep/oauth2keep/internal/safefile"
)

// config is the configuration file. It holds no secret.
type config struct {
	// Store and Keys are as the flags --store and --key have them. Paths are relative to
	// the file. Without a store it is the directory "tokens" beside the file, whose keys
	// are in the keyring.
	Store string   `json:"store,omitempty"`
	Keys  []string `json:"keys,omitempty"`

	Clients map[string]*client `json:"clients,omitempty"`

	path string
}

// client is one client at one provider.
type client struct {
	// Provider is the name of a definition that is built in, and Settings are the
	// arguments of one that has any, such as a domain. Definition is one of the user's
	// own instead, from a file or discovered.
	Provider   string            `json:"provider,omitempty"`
	Settings   map[string]string `json:"settings,omitempty"`
	Definition json.RawMessage   `json:"definition,omitempty"`

	ClientID string `json:"client_id"`

	// Secret says where the client's secret is: "stored", sealed beside this file;
	// file:PATH, env:NAME; or "none".
	Secret string `json:"secret,omitempty"`

	// SigningKey is file:PATH of a private key in PEM (PKCS #8), and KeyID its kid, for
	// a client that authenticates by private_key_jwt.
	SigningKey string `json:"signing_key,omitempty"`
	KeyID      string `json:"key_id,omitempty"`

	// RedirectURL is where the provider sends the browser. Without one, it is a free
	// port of this machine.
	RedirectURL string            `json:"redirect_url,omitempty"`
	Scopes      []string          `json:"scopes,omitempty"`
	Vars        map[string]string `json:"vars,omitempty"` // values of the provider's variables, for a login
	APIURLs     []string          `json:"api_urls,omitempty"`
}

const configLimit = 4 << 20

// configPath returns where the configuration is.
func (a *app) configPath() (string, error) {
	if path := cmp.Or(a.options.config, os.Getenv("OAUTH2KEEP_CONFIG")); path != "" {
		return filepath.Abs(path)
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", setup("this user has no directory for settings (%w): name the configuration file by --config", err)
	}
	return filepath.Join(dir, "oauth2keep", "config.json"), nil
}

// config returns the configuration, which is empty if there is no file.
func (a *app) config() (*config, error) {
	if a.loaded != nil {
		return a.loaded, nil
	}
	path, err := a.configPath()
	if err != nil {
		return nil, err
	}
	c, err := readConfig(path)
	if errors.Is(err, fs.ErrNotExist) {
		if a.options.config != "" && !a.mayInit {
			return nil, setup("there is no configuration file %s", path)
		}
		c, err = &config{path: path}, nil
	}
	if err != nil {
		return nil, err
	}
	a.loaded = c
	return c, nil
}

func readConfig(path string) (*config, error) {
	data, err := safefile.Read(safefile.Paths, path, path, configLimit, safefile.Trusted)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, setup("can't read the configuration: %w", err)
	}
	c := &config{path: path}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err = d.Decode(c); err == nil {
		if _, more := d.Token(); more != io.EOF {
			err = errors.New("there is something after the end of the object")
		}
	}
	if err == nil {
		err = c.check()
	}
	if err != nil {
		return nil, setup("%s isn't a configuration: %w", path, err)
	}
	return c, nil
}

// check finds what can't be meant.
func (c *config) check() error {
	for _, name := range slices.Sorted(maps.Keys(c.Clients)) {
		own := c.Clients[name]
		switch {
		case own == nil:
			return fmt.Errorf("clients[%q] is null", name)
		case name == "" || strings.ContainsAny(name, "/ "):
			return fmt.Errorf("clients[%q]: the name of a client has neither a slash nor a space", name)
		case (own.Provider == "") == (len(own.Definition) == 0):
			return fmt.Errorf("clients[%q] needs either a provider or a definition", name)
		}
	}
	return nil
}

// dir is the directory of the file, which paths in it are relative to.
func (c *config) dir() string { return filepath.Dir(c.path) }

// absolute returns a path that is relative to a directory.
func absolute(path, dir string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// change reads the configuration again, changes it, and writes it, while no other process
// does.
func (a *app) change(ctx context.Context, f func(*config) error) error {
	path, err := a.configPath()
	if err != nil {
		return err
	}
	if err := safefile.MakeDir(filepath.Dir(path)); err != nil {
		return setup("can't make the directory of the configuration: %w", err)
	}
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return setup("can't open the directory of the configuration: %w", err)
	}
	defer root.Close()
	base := filepath.Base(path)
	unlock, err := safefile.Lock(ctx, root, base+".lock")
	if err != nil {
		return setup("can't lock the configuration: %w", err)
	}
	defer unlock()
	c, err := readConfig(path)
	if errors.Is(err, fs.ErrNotExist) {
		c, err = &config{path: path}, nil
	}
	if err == nil {
		err = f(c)
	}
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	if err := safefile.Replace(root, base, append(data, '\n'), 0); err != nil {
		return setup("can't write the configuration: %w", err)
	}
	a.loaded = c
	return nil
}

// resolve returns what a source env:NAME or file:PATH holds, and false for anything else.
// The text is without the white space around it, and the error without any of it.
func resolve(source, dir string) (text string, ok bool, err error) {
	kind, rest, _ := strings.Cut(source, ":")
	switch kind {
	case "env":
		text, set := os.LookupEnv(rest)
		if !set || strings.TrimSpace(text) == "" {
			return "", true, setup("the environment variable %s isn't set", rest)
		}
		return strings.TrimSpace(text), true, nil
	case "file":
		path := absolute(rest, dir)
		data, err := safefile.Read(safefile.Paths, path, path, 1<<16, safefile.Secret)
		if err != nil {
			return "", true, setup("can't read a secret: %w", err)
		}
		return strings.TrimSpace(string(data)), true, nil
	}
	return "", false, nil
}
