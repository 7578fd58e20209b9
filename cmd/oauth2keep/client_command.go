package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (a *app) clientCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "client",
		Short: "Configure clients: what the provider's console gave you",
		Long: `A client is what the provider's console gave you: an id and, mostly, a secret. Its name is
what stands before the slash in the names of connections. "login" makes one as well.

The configuration file holds clients without their secrets. A secret is stored sealed, beside
the file, or it is in a file or an environment variable of your own.`,
	}
	c.AddCommand(a.clientSetCommand(), a.clientListCommand(), a.clientShowCommand(), a.clientRemoveCommand())
	return c
}

func (a *app) clientSetCommand() *cobra.Command {
	f := &clientFlags{}
	c := &cobra.Command{
		Use:   "set CLIENT [flags]",
		Short: "Add a client, or change what the flags say",
		Example: `  oauth2keep client set github --client-id Iv1.0123456789abcdef --secret stored
  oauth2keep client set acme --provider acme.json --client-id app-1 --secret file:/etc/acme/secret
  oauth2keep client set intern --provider https://login.example.com --client-id cli --secret none --api-url https://api.example.com`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeClients,
		RunE: func(c *cobra.Command, args []string) error {
			a.mayInit = true
			if err := a.setClient(c.Context(), args[0], f, c.Flags()); err != nil {
				return err
			}
			a.say("client %s is in %s", printable(args[0]), a.loaded.path)
			return nil
		},
	}
	f.add(c)
	return c
}

// setClient makes or changes a client.
func (a *app) setClient(ctx context.Context, name string, f *clientFlags, set *pflag.FlagSet) error {
	if name == "" || strings.ContainsAny(name, "/ ") || printable(name) != name {
		return usage("the name of a client has neither a slash nor a space, nor what can't be printed")
	}
	known, err := a.config()
	if err != nil {
		return err
	}
	own := &client{}
	if old := known.Clients[name]; old != nil {
		own = old.clone()
	}
	if err := f.apply(a.context(ctx), set, name, own); err != nil {
		return err
	}
	if own.ClientID == "" && isTerminal(a.in) {
		if own.ClientID, err = a.askClientID(ctx, name, own); err != nil {
			return err
		}
	}
	if own.ClientID == "" {
		return usage("the client %s needs a --client-id, which the provider's console tells", printable(name))
	}
	p, err := own.provider()
	if err != nil {
		return err
	}
	secret := ""
	if set.Changed("secret") || own.Secret == "" && needsSecret(p) && own.SigningKey == "" {
		if own.Secret, secret, err = a.sourceOfSecret(ctx, f.secret, name); err != nil {
			return err
		}
	}
	if secret != "" {
		if err := a.keepSecret(ctx, name, secret); err != nil {
			return err
		}
	}
	return a.change(ctx, func(c *config) error {
		if c.Clients == nil {
			c.Clients = make(map[string]*client)
		}
		c.Clients[name] = own
		return nil
	})
}

// askClientID says what to register, and asks for what the provider gives for it.
func (a *app) askClientID(ctx context.Context, name string, c *client) (string, error) {
	a.tell("Register an application with %s, with the redirect URL %s.", c.providerName(), cmp.Or(c.RedirectURL, loopbackURL))
	id, err := a.ask(ctx, "Client id of "+printable(name)+": ")
	return strings.TrimSpace(id), err
}

// loopbackURL is what is registered for a free port of this machine (RFC 8252, section 7.3).
const loopbackURL = "http://127.0.0.1/callback"

func (a *app) clientListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the clients",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			known, err := a.config()
			if err != nil {
				return err
			}
			if len(known.Clients) == 0 && !a.options.json {
				a.tell("There is no client yet. Make one with: oauth2keep client set NAME --client-id ID")
			}
			w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
			if len(known.Clients) > 0 && !a.options.json {
				fmt.Fprintln(w, "CLIENT\tPROVIDER\tCLIENT ID\tSECRET")
			}
			for _, name := range slices.Sorted(maps.Keys(known.Clients)) {
				own := known.Clients[name]
				if a.options.json {
					if err := json.NewEncoder(a.out).Encode(namedClient{name, own}); err != nil {
						return err
					}
					continue
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", printable(name), own.providerName(), printable(own.ClientID), own.secretWords())
			}
			return w.Flush()
		},
	}
}

type namedClient struct {
	Client string `json:"client"`
	*client
}

// providerName names the provider, also one of the user's own.
func (c *client) providerName() string {
	if c.Provider != "" {
		return printable(c.Provider)
	}
	p, err := c.provider()
	if err != nil {
		return "(mistaken)"
	}
	if p.Name == "" {
		return "(own definition)"
	}
	return printable(p.Name)
}

func (c *client) secretWords() string {
	switch {
	case c.SigningKey != "":
		return "signs with " + printable(c.SigningKey)
	case c.Secret == "":
		return secretNone
	}
	return printable(c.Secret)
}

func (a *app) clientShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "show CLIENT",
		Short:             "Show a client as the configuration has it, without its secret",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeClients,
		RunE: func(_ *cobra.Command, args []string) error {
			own, err := a.client(args[0])
			if err != nil {
				return err
			}
			e := json.NewEncoder(a.out)
			if !a.options.json {
				e.SetIndent("", "  ")
			}
			return e.Encode(namedClient{args[0], own})
		},
	}
}

func (a *app) clientRemoveCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "remove CLIENT",
		Short: "Remove a client and its stored secret; its connections stay in the store",
		Long: `Removes a client from the configuration, with its stored secret. Its connections stay in the
store, but can't be refreshed or revoked from here any more: disconnect them before.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeClients,
		RunE: func(c *cobra.Command, args []string) error {
			name := args[0]
			own, err := a.client(name)
			if err != nil {
				return err
			}
			if err := a.confirm(c.Context(), yes, "Remove client "+printable(name)+" and its secret?"); err != nil {
				return err
			}
			if err := a.change(c.Context(), func(c *config) error {
				delete(c.Clients, name)
				return nil
			}); err != nil {
				return err
			}
			if own.Secret == secretStored {
				if err := a.keepSecret(c.Context(), name, ""); err != nil && !errors.Is(err, errNoStore) {
					return err
				}
			}
			a.say("client %s is removed", printable(name))
			return nil
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "don't ask")
	return c
}
