package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/internal/safefile"
)

// clientFlags are the flags that describe a client.
type clientFlags struct {
	provider, clientID, secret, redirectURL, signingKey, keyID string

	scopes, vars, settings, apiURLs []string
}

func (f *clientFlags) add(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.provider, "provider", "", "the provider's `name`, the file of a definition, or an https issuer to discover (default the client's name)")
	flags.StringVar(&f.clientID, "client-id", "", "the client's `id`, from the provider's console")
	flags.StringVar(&f.secret, "secret", "", "the `source` of the client's secret: stored (asks for it), stdin, file:PATH, env:NAME or none")
	flags.StringVar(&f.redirectURL, "redirect-url", "", "the redirect `URL` that is registered with the provider (default a free port of this machine)")
	flags.StringArrayVar(&f.scopes, "scope", nil, "a `scope` to ask for; may be repeated, or have several with spaces between")
	flags.StringArrayVar(&f.vars, "var", nil, "the value of a variable of the provider, as `NAME=VALUE`")
	flags.StringArrayVar(&f.settings, "set", nil, "an argument of the provider's definition, as `NAME=VALUE`")
	flags.StringArrayVar(&f.apiURLs, "api-url", nil, "a `URL` of the API, if the definition has none or others")
	flags.StringVar(&f.signingKey, "signing-key", "", "the `source` of a private key in PEM, for private_key_jwt: file:PATH")
	flags.StringVar(&f.keyID, "key-id", "", "the `kid` of the signing key")
	c.RegisterFlagCompletionFunc("provider", completeProviders)
}

// apply changes a client as the flags say that were given.
func (f *clientFlags) apply(ctx context.Context, set *pflag.FlagSet, name string, c *client) error {
	if set.Changed("provider") || c.Provider == "" && len(c.Definition) == 0 {
		if err := f.applyProvider(ctx, name, c); err != nil {
			return err
		}
	}
	for flag, field := range map[string]*string{"client-id": &c.ClientID, "redirect-url": &c.RedirectURL, "key-id": &c.KeyID} {
		if set.Changed(flag) {
			*field = set.Lookup(flag).Value.String()
		}
	}
	if set.Changed("signing-key") {
		path, ok := strings.CutPrefix(f.signingKey, "file:")
		abs, err := filepath.Abs(path)
		if !ok || err != nil {
			return usage("--signing-key is file:PATH")
		}
		c.SigningKey = "file:" + abs
	}
	if set.Changed("api-url") {
		c.APIURLs = f.apiURLs
	}
	if set.Changed("scope") {
		c.Scopes = splitScopes(f.scopes)
	}
	var err error
	if set.Changed("var") {
		if c.Vars, err = pairs("--var", f.vars); err != nil {
			return err
		}
	}
	if set.Changed("set") {
		if c.Settings, err = pairs("--set", f.settings); err != nil {
			return err
		}
	}
	return nil
}

// applyProvider finds the definition: one that is built in, a file, or a server's metadata.
func (f *clientFlags) applyProvider(ctx context.Context, name string, c *client) error {
	provider := f.provider
	if provider == "" {
		provider = name
	}
	if key, _, ok := builtIn(provider); ok && !strings.HasSuffix(provider, ".json") {
		c.Provider, c.Definition = strings.ToLower(key), nil
		return nil
	}
	if f.provider == "" {
		return &failure{code: exitUsage, err: fmt.Errorf("the client %s needs a --provider: no provider of that name is built in", printable(name)),
			do: "oauth2keep providers list, or name the file of a definition or the https URL of an issuer"}
	}
	p, err := findProvider(ctx, provider)
	if err != nil {
		return err
	}
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	c.Provider, c.Definition = "", data
	return nil
}

// findProvider reads the definition in a file, or has one made of an issuer's metadata.
func findProvider(ctx context.Context, provider string) (endpoints.Provider, error) {
	if strings.HasPrefix(provider, "https://") || strings.HasPrefix(provider, "http://") {
		p, err := endpoints.Discover(ctx, provider)
		if err != nil {
			return p, setup("%w", err)
		}
		return p, nil
	}
	data, err := safefile.Read(safefile.Paths, provider, provider, configLimit, safefile.Trusted)
	if errors.Is(err, fs.ErrNotExist) {
		return endpoints.Provider{}, &failure{code: exitUsage, err: fmt.Errorf("there is no provider %s: it is none that is built in, and no file", printable(provider)), do: "oauth2keep providers list"}
	}
	if err != nil {
		return endpoints.Provider{}, setup("can't read a definition: %w", err)
	}
	var p endpoints.Provider
	if err := p.UnmarshalJSON(data); err != nil {
		return p, setup("%s: %w", provider, err)
	}
	return p, nil
}

// splitScopes takes scopes one by one or several with spaces between.
func splitScopes(values []string) []string { return strings.Fields(strings.Join(values, " ")) }

// pairs reads NAME=VALUE.
func pairs(flag string, values []string) (map[string]string, error) {
	m := make(map[string]string)
	for _, v := range values {
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return nil, usage("%s is NAME=VALUE", flag)
		}
		m[name] = value
	}
	return m, nil
}

// differs reports whether two clients aren't the same but for what a login may have
// differently.
func (c *client) differs(o *client) bool {
	x, y := *c, *o
	x.Scopes, y.Scopes, x.Vars, y.Vars = nil, nil, nil, nil
	a, errA := json.Marshal(x)
	b, errB := json.Marshal(y)
	return errA != nil || errB != nil || !bytes.Equal(compact(a), compact(b))
}

func compact(data []byte) []byte {
	var b bytes.Buffer
	if json.Compact(&b, data) != nil {
		return data
	}
	return b.Bytes()
}

// clone returns a copy that shares nothing.
func (c *client) clone() *client {
	d := *c
	d.Settings, d.Vars = maps.Clone(c.Settings), maps.Clone(c.Vars)
	d.Scopes, d.APIURLs, d.Definition = slices.Clone(c.Scopes), slices.Clone(c.APIURLs), slices.Clone(c.Definition)
	return &d
}
