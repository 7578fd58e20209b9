package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/oauth2keep/oauth2keep/tokensource"
)

func (a *app) disconnectCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "disconnect CONNECTION",
		Short: "Revoke the grant at the provider, and delete the connection",
		Long: `Revokes the grant at the provider and then deletes the connection. If the revocation fails, the connection
stays, so that it can be tried again. Some providers have no way to revoke a grant: there, end it at the
provider's own page, and use "forget".`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeConnections,
		RunE: func(c *cobra.Command, args []string) error {
			ctx, name := c.Context(), args[0]
			m, err := a.manager(ctx, a.clientName(name), false)
			if err != nil {
				return err
			}
			if _, err := m.Status(ctx, name); err != nil {
				return err
			}
			if err := a.confirm(ctx, yes, "Revoke the grant of "+printable(name)+" and delete the connection?"); err != nil {
				return err
			}
			err = m.Disconnect(ctx, name)
			if errors.Is(err, errors.ErrUnsupported) {
				return &failure{code: exitFailure, err: fmt.Errorf("the provider has no way to revoke a grant, so that nothing was done with %s", printable(name)),
					do: "end it at the provider's own page of connected applications, and then: oauth2keep forget " + quoted(name)}
			}
			if err != nil {
				return err
			}
			a.say("%s is revoked at the provider, and deleted here", printable(name))
			return nil
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "don't ask")
	return a.clientFlag(c)
}

func (a *app) forgetCommand() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "forget CONNECTION",
		Short: "Delete a connection without telling the provider",
		Long: `Deletes a connection's record, also one that can't be opened or read, and one of a client that isn't configured
here. The provider isn't told, so that the grant lives on there; "disconnect" ends it.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeConnections,
		RunE: func(c *cobra.Command, args []string) error {
			ctx, name := c.Context(), args[0]
			in, err := a.inspect(ctx)
			if err != nil {
				return err
			}
			found, err := a.toForget(ctx, in, name)
			if err != nil {
				return err
			}
			question := fmt.Sprintf("Delete %s, a connection of %s, without revoking its grant?", printable(name), found.ownerWords())
			if found.State == tokensource.StateUnreadable {
				question = fmt.Sprintf("Delete %s, whose record can't be read?", printable(name))
			}
			if err := a.confirm(ctx, yes, question); err != nil {
				return err
			}
			if err := in.as(found.owner).Forget(ctx, name); err != nil {
				return err
			}
			a.say("%s is deleted here; the provider wasn't told", printable(name))
			return nil
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "don't ask")
	return c
}

// toForget returns the connection, if there is one that may be deleted.
func (a *app) toForget(ctx context.Context, in *inspector, name string) (connection, error) {
	found, ok, err := in.look(ctx, name)
	switch {
	case err != nil:
		return found, err
	case !ok:
		return found, &failure{code: exitFailure, err: fmt.Errorf("there is no connection %s", printable(name))}
	case found.State == tokensource.StateUnreadable:
		found.owner = nobody // nobody's record: only one that can't be read is deleted
	}
	return found, nil
}
