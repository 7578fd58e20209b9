package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) refreshCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "refresh CONNECTION",
		Short: "Refresh a token now, also one that is still valid",
		Long: `Refreshes a connection's token now, also one that is still valid: to try whether the refresh token is good, or
because the old access token may have leaked. No refresh is sent before the time that the provider has asked for.`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeConnections,
		RunE: func(c *cobra.Command, args []string) error {
			ctx, name := c.Context(), args[0]
			m, err := a.manager(ctx, a.clientName(name), false)
			if err != nil {
				return err
			}
			st, err := m.Status(ctx, name)
			if err != nil {
				return err
			}
			if !st.Refreshable && exitFor(st) == exitOK {
				// To reject its token would end the connection.
				return &failure{code: exitFailure, err: fmt.Errorf("%s has no refresh token, and its token %s", printable(name), tokenWords(st.Expiry, a.now()))}
			}
			source := m.Source(name)
			before, err := source.Stored(ctx)
			if err != nil {
				return err
			}
			if before.AccessToken != "" {
				source.Reject(before)
			}
			after, err := source.TokenContext(ctx)
			if err != nil {
				return err
			}
			if after.AccessToken == before.AccessToken {
				return &failure{code: exitLater, err: errors.New("the token was issued a moment ago, in place of one that was refused, and isn't refreshed again yet")}
			}
			if st, err = m.Status(ctx, name); err != nil {
				return err
			}
			a.say("%s is refreshed; the token %s", printable(name), tokenWords(st.Expiry, a.now()))
			return nil
		},
	}
	return a.clientFlag(c)
}
