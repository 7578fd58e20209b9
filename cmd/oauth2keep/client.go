package main

import (
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/internal/assertion"
	"github.com/oauth2keep/oauth2keep/internal/safefile"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// clientName returns the name of the client that a connection belongs to.
func (a *app) clientName(connection string) string {
	if a.options.client != "" {
		return a.options.client
	}
	name, _, _ := strings.Cut(connection, "/")
	return name
}

// client returns a client of the configuration.
func (a *app) client(name string) (*client, error) {
	c, err := a.config()
	if err != nil {
		return nil, err
	}
	if own, ok := c.Clients[name]; ok {
		return own, nil
	}
	do := "oauth2keep login " + quoted(name) + "/ACCOUNT --client-id ID, or oauth2keep client set"
	if len(c.Clients) > 0 {
		do += "; the clients are " + strings.Join(slices.Sorted(maps.Keys(c.Clients)), ", ")
	}
	return nil, &failure{code: exitSetup, err: errors.New("there is no client " + printable(name) + " in the configuration"), do: do}
}

// provider returns the definition that a client uses.
func (c *client) provider() (p endpoints.Provider, err error) {
	if c.Provider != "" {
		key, d, ok := builtIn(c.Provider)
		if !ok {
			return p, &failure{code: exitSetup, err: errors.New("there is no provider " + printable(c.Provider) + " built in"), do: "oauth2keep providers list"}
		}
		p, err = d.provider(key, c.Settings)
	} else {
		err = p.UnmarshalJSON(c.Definition)
	}
	if err != nil {
		return p, setup("%w", err)
	}
	if len(c.APIURLs) > 0 {
		p.APIURLs = c.APIURLs
		if err := p.Validate(); err != nil {
			return p, setup("--api-url: %w", err)
		}
	}
	return p, nil
}

// authOf returns how a provider wants its client to authenticate.
func authOf(p endpoints.Provider) endpoints.ClientAuth {
	if p.Style.Auth != "" {
		return p.Style.Auth
	}
	return cmp.Or(p.Exchange.Auth, endpoints.ClientSecretPost)
}

// needsSecret reports whether a provider's clients have a secret.
func needsSecret(p endpoints.Provider) bool {
	auth := authOf(p)
	return auth != endpoints.PrivateKeyJWT && (auth != endpoints.PublicClient || p.Request != nil)
}

// oauth returns the client as package endpoints has it.
func (c *client) oauth(p endpoints.Provider, secret, redirectURL, dir string) (*endpoints.Config, error) {
	conf := p.Config(oauth2.Config{
		ClientID: c.ClientID, ClientSecret: secret, RedirectURL: cmp.Or(redirectURL, c.RedirectURL), Scopes: c.Scopes,
	})
	if c.SigningKey == "" {
		return conf, nil
	}
	if !signs(p) {
		return nil, setup("the signing key %s has no effect: %s takes none", c.SigningKey, c.providerName())
	}
	signer, err := readSigner(c.SigningKey, dir)
	key := assertion.Key{Signer: signer}
	if c.KeyID != "" {
		key.Header = map[string]string{"kid": c.KeyID}
	}
	if err == nil {
		err = key.Validate()
	}
	if err != nil {
		return nil, setup("the signing key %s: %w", c.SigningKey, err)
	}
	return conf.WithKey(key.Signer, key.Header), nil
}

// readSigner reads a private key in PEM. No error has any of it.
func readSigner(source, dir string) (crypto.Signer, error) {
	path, ok := strings.CutPrefix(source, "file:")
	if !ok {
		return nil, errors.New("it is named as file:PATH")
	}
	path = absolute(path, dir)
	data, err := safefile.Read(safefile.Paths, path, path, 1<<16, safefile.Secret)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("the file isn't PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, errors.New(`the file isn't a private key in PKCS #8, which begins with "-----BEGIN PRIVATE KEY-----"`)
	}
	return signer, nil
}

// manager returns the keeper of a client's connections. It is flushed before the end.
func (a *app) manager(ctx context.Context, name string, mayMake bool) (*tokensource.Manager, error) {
	c, err := a.client(name)
	if err != nil {
		return nil, err
	}
	p, err := c.provider()
	if err != nil {
		return nil, err
	}
	secret, err := a.secret(ctx, name, c)
	if err != nil {
		return nil, err
	}
	conf, err := c.oauth(p, secret, "", a.loaded.dir())
	if err != nil {
		return nil, err
	}
	store, err := a.encrypted(ctx, mayMake)
	if err != nil {
		return nil, err
	}
	return a.newManager(conf, store, p.InsecureHTTP), nil
}

func (a *app) newManager(conf tokensource.Refresher, store *storage.Encrypted, insecure bool) *tokensource.Manager {
	m := &tokensource.Manager{Config: conf, Store: store, InsecureHTTP: insecure, Base: agent{http.DefaultTransport}}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.managers = append(a.managers, m)
	return m
}

// agent names the command to servers, some of which limit clients without a name.
type agent struct{ base http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t agent) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("User-Agent") == "" {
		r = r.Clone(r.Context())
		r.Header.Set("User-Agent", "oauth2keep/"+version())
	}
	return t.base.RoundTrip(r)
}

// Unwrap returns the transport that does the work.
func (t agent) Unwrap() http.RoundTripper { return t.base }

// context returns one whose requests are made by the command's HTTP client.
func (a *app) context(ctx context.Context) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: agent{http.DefaultTransport}})
}
