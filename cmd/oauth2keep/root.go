package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
)

// options are the flags of every command.
type options struct {
	config string
	store  string
	keys   []string
	client string
	json   bool
}

// execute runs the command that the arguments name.
func (a *app) execute(ctx context.Context, args []string) error {
	root, began := a.command(), false
	root.PersistentPreRun = func(*cobra.Command, []string) { began = true }
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	ran, err := root.ExecuteContextC(ctx)
	if own := (*failure)(nil); err == nil || began || errors.As(err, &own) {
		return err
	}
	return &failure{code: exitUsage, err: err, do: ran.UseLine() + "; more with --help"}
}

func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "oauth2keep",
		Short: "Connect accounts by OAuth 2.0, keep their tokens encrypted and fresh, and use them",
		Long: `oauth2keep connects accounts by OAuth 2.0, keeps their tokens encrypted and fresh, and
uses them. It also shows how the connections in an application's store are doing.

  oauth2keep login github/me --client-id ID       asks for the secret, opens the browser
  oauth2keep curl github/me /user                 calls the API
  TOKEN=$(oauth2keep token github/me)             for a script
  oauth2keep status --store env:DATABASE_URL --key file:/etc/myapp/token.key

A connection is called CLIENT/ACCOUNT: what is before the slash names the client.`,
		Version:           version(),
		SilenceUsage:      true,
		SilenceErrors:     true,
		DisableAutoGenTag: true,
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.options.config, "config", "", "the configuration `file` (default $OAUTH2KEEP_CONFIG, or oauth2keep/config.json in the user's configuration)")
	flags.StringVar(&a.options.store, "store", "", "the `store`: dir:PATH, sqlite:PATH, postgres://…, mysql://…, redis://…, or env:NAME or file:PATH that holds one (default $OAUTH2KEEP_STORE)")
	flags.StringArrayVar(&a.options.keys, "key", nil, "the `source` of an encryption key: keyring, no-keyring, file:PATH or env:NAME; the first is the primary one (default $OAUTH2KEEP_KEYS)")
	flags.BoolVar(&a.options.json, "json", false, "write JSON, one object on a line")
	root.AddGroup(
		&cobra.Group{ID: "use", Title: "Connect and use accounts:"},
		&cobra.Group{ID: "watch", Title: "See how connections are doing:"},
		&cobra.Group{ID: "store", Title: "Look after a store:"},
		&cobra.Group{ID: "define", Title: "Clients and providers:"},
	)
	group := func(id string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = id
			root.AddCommand(c)
		}
	}
	group("use", a.loginCommand(), a.tokenCommand(), a.curlCommand(), a.refreshCommand(), a.disconnectCommand(), a.forgetCommand())
	group("watch", a.listCommand(), a.statusCommand(), a.doctorCommand())
	group("store", a.rekeyCommand(), a.copyCommand())
	group("define", a.clientCommand(), a.providersCommand())
	return root
}

// clientFlag adds the flag that chooses a client.
func (a *app) clientFlag(c *cobra.Command) *cobra.Command {
	c.Flags().StringVar(&a.options.client, "client", "", "the `name` of the client to use (default what is before the slash in the connection's name)")
	return c
}
