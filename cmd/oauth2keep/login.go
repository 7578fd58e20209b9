package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/pkce"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// loggingIn is what the flags of login say.
type loggingIn struct {
	clientFlags
	params        []string
	device, paste bool
	noBrowser     bool
	limit         time.Duration
}

func (a *app) loginCommand() *cobra.Command {
	f := &loggingIn{}
	c := &cobra.Command{
		Use:   "login CLIENT/ACCOUNT",
		Short: "Connect an account: opens the consent page, and keeps the token",
		Long: `Connects an account: opens the provider's consent page in the browser, waits for the answer at a port of this
machine, and keeps the token in the store. The name is yours to choose; what is before the slash names
the client. A connection of that name is replaced.

The first login of a client takes the flags that describe it, and asks for its secret: see "client set".
Register the redirect URL http://127.0.0.1/callback with the provider: a login uses it with a free port, which
RFC 8252 has servers accept. For one that compares the port as well, register one, and give it by --redirect-url.

Where the provider doesn't accept a URL of this machine, register any https URL as the redirect URL, give it by
--redirect-url, and paste the URL of the page that the browser ends up at. On a machine without a browser, --device
shows a code to enter elsewhere, if the provider can do that (RFC 8628).`,
		Example: `  oauth2keep login github/me --client-id Iv1.0123456789abcdef
  oauth2keep login zendesk/acme --client-id ID --var subdomain=acme --redirect-url https://example.com/
  oauth2keep login acme/me --provider acme.json --client-id app-1 --scope "orders:read offline_access"`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeLogins,
		RunE: func(c *cobra.Command, args []string) error {
			a.mayInit = true
			return a.login(c.Context(), args[0], f, c.Flags())
		},
	}
	f.add(c)
	flags := c.Flags()
	flags.StringArrayVar(&f.params, "param", nil, "a further parameter of the consent page, as `NAME=VALUE`")
	flags.BoolVar(&f.device, "device", false, "show a code to enter in a browser elsewhere (RFC 8628)")
	flags.BoolVar(&f.paste, "paste", false, "ask for the URL that the browser ends up at, instead of listening")
	flags.BoolVar(&f.noBrowser, "no-browser", false, "show the consent page's URL, and open no browser")
	flags.DurationVar(&f.limit, "timeout", 15*time.Minute, "the `time` that the user has")
	return a.clientFlag(c)
}

func (a *app) login(ctx context.Context, name string, f *loggingIn, set *pflag.FlagSet) error {
	clientName := a.clientName(name)
	if clientName == "" || printable(name) != name {
		return usage("a connection is called CLIENT/ACCOUNT, such as github/me, without spaces")
	}
	own, err := a.clientForLogin(ctx, clientName, f, set)
	if err != nil {
		return err
	}
	m, err := a.manager(ctx, clientName, true)
	if err != nil {
		return err
	}
	if err := a.checkFree(ctx, m, name); err != nil {
		return err
	}
	p, err := own.provider()
	if err != nil {
		return err
	}
	secret, err := a.secret(ctx, clientName, own)
	if err != nil {
		return err
	}
	conf, err := own.oauth(p, secret, "", a.loaded.dir())
	if err != nil {
		return err
	}
	token, err := a.consent(a.context(ctx), name, conf, own, f)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			return &failure{code: exitLogin, err: errors.New("nobody answered at the consent page within " + span(f.limit))}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return loginError(err)
	}
	// The code is spent: the token must reach the store, whatever the user presses.
	if err := m.Save(context.WithoutCancel(ctx), name, token); err != nil {
		return err
	}
	a.say("%s is connected; %s", printable(name), newTokenWords(token, a.now()))
	return nil
}

// newTokenWords tells what a login has brought.
func newTokenWords(t *oauth2.Token, now time.Time) string {
	words := "the token " + tokenWords(t.Expiry, now)
	switch {
	case t.RefreshToken != "" && !t.Expiry.IsZero():
		words += " and is refreshed by itself"
	case !t.Expiry.IsZero():
		words += ", and there is no refresh token: then a login is needed again"
	}
	return words
}

// clientForLogin returns the client, which the flags make if there is none.
func (a *app) clientForLogin(ctx context.Context, name string, f *loggingIn, set *pflag.FlagSet) (*client, error) {
	known, err := a.config()
	if err != nil {
		return nil, err
	}
	old := known.Clients[name]
	if old == nil {
		if !set.Changed("client-id") && !isTerminal(a.in) {
			return nil, &failure{code: exitUsage, err: errors.New("the client " + printable(name) + " isn't configured yet"),
				do: "register an application with the provider, with the redirect URL " + loopbackURL + ", and say: oauth2keep login " + quoted(name) + "/ACCOUNT --client-id ID"}
		}
		if err := a.setClient(ctx, name, &f.clientFlags, set); err != nil {
			return nil, err
		}
		a.say("client %s is now in %s", printable(name), a.loaded.path)
		return a.loaded.Clients[name], nil
	}
	own := old.clone()
	if err := f.apply(a.context(ctx), set, name, own); err != nil {
		return nil, err
	}
	if own.differs(old) || set.Changed("secret") && f.secret != old.Secret {
		return nil, &failure{code: exitUsage, err: errors.New("the client " + printable(name) + " is configured otherwise"),
			do: "oauth2keep client show " + quoted(name) + " tells how; oauth2keep client set " + quoted(name) + " … changes it"}
	}
	return own, nil
}

// checkFree finds out before the user is asked whether the login can be kept.
func (a *app) checkFree(ctx context.Context, m *tokensource.Manager, name string) error {
	_, err := m.Status(ctx, name)
	var told *tokensource.Error
	switch {
	case err == nil, errors.As(err, &told) && told.Reason == tokensource.ReasonNotConnected:
		return nil
	}
	return err
}

// options returns the options of the consent page: variables of the provider, and parameters.
func (f *loggingIn) options(own *client) ([]oauth2.AuthCodeOption, error) {
	params, err := pairs("--param", f.params)
	if err != nil {
		return nil, err
	}
	values := maps.Clone(own.Vars)
	if values == nil {
		values = make(map[string]string)
	}
	maps.Copy(values, params)
	var opts []oauth2.AuthCodeOption
	for _, name := range slices.Sorted(maps.Keys(values)) {
		opts = append(opts, oauth2.SetAuthURLParam(name, values[name]))
	}
	return opts, nil
}

// loginError turns an error of the consent page or the exchange into the command's.
func loginError(err error) error {
	code, _ := exitCode(err)
	do := endpoints.KindOf(err).Hint()
	switch {
	case errors.Is(err, pkce.ErrDenied):
		return &failure{code: exitLogin, err: errors.New("the consent was refused at the provider's page")}
	case errors.Is(err, pkce.ErrMisconfigured):
		do = "compare client id, secret and redirect URL with the provider's console: oauth2keep client show tells what is configured"
	}
	return &failure{code: code, err: err, do: do}
}
