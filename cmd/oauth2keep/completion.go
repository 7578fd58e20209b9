package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// A completion must not keep the shell waiting, nor fill the screen.
const (
	completionTime = 2 * time.Second
	completionMost = 200
)

// completeConnections offers the names of the connections in the store, for which no key is
// needed.
func (a *app) completeConnections(c *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(context.Background(), completionTime)
	defer cancel()
	store, err := a.store(ctx, false)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list, err := store.lister()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for name, err := range list.Names(ctx) {
		if err != nil || len(names) == completionMost {
			break
		}
		if strings.HasPrefix(name, prefix) && printable(name) == name {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeLogins offers what a login could be called: the clients with a slash, and the
// connections.
func (a *app) completeLogins(c *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	names, directive := a.completeConnections(c, args, prefix)
	if known, err := a.config(); err == nil && len(args) == 0 {
		for _, name := range slices.Sorted(maps.Keys(known.Clients)) {
			if strings.HasPrefix(name+"/", prefix) {
				names = append(names, name+"/")
			}
		}
	}
	return names, directive | cobra.ShellCompDirectiveNoSpace
}

func (a *app) completeClients(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	known, err := a.config()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.Sorted(maps.Keys(known.Clients)), cobra.ShellCompDirectiveNoFileComp
}

func completeProviders(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, key := range sortedDefinitions() {
		names = append(names, strings.ToLower(key))
	}
	return names, cobra.ShellCompDirectiveDefault
}
