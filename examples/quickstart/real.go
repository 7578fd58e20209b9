package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// realAccount is a run against a real provider.
type realAccount struct {
	provider, redirectURL, scopes, dir, path string
	disconnect                               bool
}

var providers = map[string]endpoints.Provider{
	"finch":           endpoints.Finch,
	"chart":           endpoints.Chart,
	"taxrock":         endpoints.TaxRock,
	"taxrock-sandbox": endpoints.TaxRockSandbox,
}

// known names the providers.
func known() string { return strings.Join(slices.Sorted(maps.Keys(providers)), ", ") }

func (a *realAccount) run(ctx context.Context) (err error) {
	provider, ok := providers[a.provider]
	if !ok {
		return fmt.Errorf("-provider %s isn't known; there are %s", a.provider, known())
	}
	id, secret := os.Getenv("CLIENT_ID"), os.Getenv("CLIENT_SECRET")
	if id == "" || secret == "" {
		return errors.New("set CLIENT_ID and CLIENT_SECRET in the environment")
	}
	redirect, err := url.Parse(a.redirectURL)
	if err != nil || redirect.Scheme != "http" || redirect.Port() == "" {
		return errors.New("-redirect must be a URL of this machine with a port, such as http://localhost:8080/callback")
	}
	if a.dir == "" {
		if a.dir, err = os.MkdirTemp("", "oauth2keep"); err != nil {
			return err
		}
		defer os.RemoveAll(a.dir)
	}
	config := provider.Config(oauth2.Config{
		ClientID: id, ClientSecret: secret, RedirectURL: a.redirectURL, Scopes: strings.Fields(a.scopes),
	})

	if err := a.connect(ctx, config, redirect); err != nil {
		return err
	}
	return a.use(ctx, provider, config, redirect)
}

// connect connects an account, in an application that stops then.
func (a *realAccount) connect(ctx context.Context, config *endpoints.Config, redirect *url.URL) (err error) {
	app, err := openApplication(a.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, app.close(ctx)) }() // also after an interrupt: a token may be unsaved
	done := make(chan error, 1)
	app.connected = func(_ string, _ *oauth2.Token, err error) {
		select {
		case done <- err:
		default: // a second callback, such as a reload
		}
	}
	app.add(a.provider, config, redirect.Path)
	if _, err := app.listen("localhost:" + redirect.Port()); err != nil {
		return err
	}
	step("Open this page and connect an account")
	say("http://%s/connect/%s", redirect.Host, a.provider)
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("%w\n%s", err, endpoints.KindOf(err).Hint())
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	say("code exchanged, token saved")

	step("The application stops. A new process opens the same directory with the same key")
	return nil
}

// use uses the connection in another application, which has nothing but the directory.
func (a *realAccount) use(ctx context.Context, provider endpoints.Provider, config *endpoints.Config, redirect *url.URL) (err error) {
	app, err := openApplication(a.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, app.close(ctx)) }()
	app.add(a.provider, config, redirect.Path)
	manager := app.managers[a.provider]

	step("It calls the API")
	body, err := get(ctx, manager.Client(alice(a.provider)), provider.APIURLs[0]+a.path, http.StatusOK)
	if err != nil {
		return err
	}
	say("GET %s: 200, %s", a.path, excerpt(body))
	if err := a.show(ctx, manager); err != nil {
		return err
	}
	if a.disconnect {
		step("It disconnects the account")
		revoked, err := app.disconnect(ctx, a.provider)
		switch {
		case err != nil:
			return err
		case revoked:
			say("revoked at the provider, and deleted here")
		default:
			say("deleted here; the provider has no way to revoke the grant, so end it there yourself")
		}
	}
	return nil
}

// show prints the connection's status.
func (a *realAccount) show(ctx context.Context, m *tokensource.Manager) error {
	status, err := m.Status(ctx, alice(a.provider))
	if err != nil {
		return err
	}
	say("status: %s", status.State)
	if status.Expiry.IsZero() {
		say("the token doesn't expire")
	} else {
		say("the token expires at %s, and is refreshed before", status.Expiry.Local().Format(time.TimeOnly))
	}
	return nil
}
