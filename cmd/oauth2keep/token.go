package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// tokenWords says when a token expires.
func tokenWords(expiry, now time.Time) string {
	if expiry.IsZero() {
		return "doesn't expire"
	}
	return "expires " + relative(expiry, now)
}

func (a *app) tokenCommand() *cobra.Command {
	var show, header bool
	c := &cobra.Command{
		Use:   "token CONNECTION",
		Short: "Print a valid access token, refreshed if need be",
		Long: `Prints a valid access token, refreshed if need be, for a script or another program. On a terminal
it is printed only with --show, since it would stay in what can be scrolled back.

Whoever has the token can use the account. A program that gets it as an argument shows it to all
users of the machine, so prefer a pipe:

  oauth2keep token --header github/me | curl -H @- https://api.github.com/user`,
		Example: `  TOKEN=$(oauth2keep token github/me)
  oauth2keep token --json github/me`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeConnections,
		RunE: func(c *cobra.Command, args []string) error {
			if isTerminal(a.out) && !show {
				return usage("a token isn't printed on a terminal: pipe it, or add --show")
			}
			ctx, name := c.Context(), args[0]
			m, err := a.manager(ctx, a.clientName(name), false)
			if err != nil {
				return err
			}
			source := m.Source(name)
			t, err := source.TokenContext(ctx)
			if err != nil {
				return err
			}
			// A token that is about to end was served, and its refresh has begun: a script
			// needs it for longer than that takes.
			if err := m.Flush(ctx); err != nil {
				return err
			}
			if fresh, err := source.TokenContext(ctx); err == nil {
				t = fresh
			}
			if header {
				return a.printHeader(m.Config.(*endpoints.Config), t)
			}
			return a.printToken(t)
		},
	}
	c.Flags().BoolVar(&show, "show", false, "print it on a terminal, too")
	c.Flags().BoolVar(&header, "header", false, "print the header fields of a request to the API")
	return a.clientFlag(c)
}

func (a *app) printToken(t *oauth2.Token) error {
	if !a.options.json {
		_, err := fmt.Fprintln(a.out, t.AccessToken)
		return err
	}
	return json.NewEncoder(a.out).Encode(struct {
		AccessToken string    `json:"access_token"`
		TokenType   string    `json:"token_type"`
		Expiry      time.Time `json:"expiry,omitzero"`
	}{t.AccessToken, t.Type(), t.Expiry.UTC()})
}

func (a *app) printHeader(conf *endpoints.Config, t *oauth2.Token) error {
	h := conf.APIHeader(t)
	if a.options.json {
		return json.NewEncoder(a.out).Encode(h)
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	_, err := fmt.Fprint(a.out, b.String())
	return err
}
