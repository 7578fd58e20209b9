package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

func (a *app) providersCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "providers",
		Aliases: []string{"provider"},
		Short:   "Look at provider definitions, check one, or discover one",
	}
	c.AddCommand(a.providersListCommand(), a.providersShowCommand(), a.providersCheckCommand(), a.providersDiscoverCommand())
	return c
}

func (a *app) providersListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the providers that are built in",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
			if !a.options.json {
				fmt.Fprintln(w, "NAME\tPROVIDER\tNEEDS")
			}
			for _, key := range sortedDefinitions() {
				p, needs := sample(key)
				if a.options.json {
					line := struct {
						Name     string   `json:"name"`
						Provider string   `json:"provider"`
						Set      []string `json:"set,omitempty"`
						Vars     []string `json:"vars,omitempty"`
					}{strings.ToLower(key), p.Name, definitions[key].settings, requiredVars(p)}
					if err := json.NewEncoder(a.out).Encode(line); err != nil {
						return err
					}
					continue
				}
				fmt.Fprintf(w, "%s\t%s\t%s\n", strings.ToLower(key), p.Name, strings.Join(needs, " "))
			}
			return w.Flush()
		},
	}
}

var sampleSettings = map[string]string{
	"api_url": "https://api.example.com", "audience": "https://api.example.com", "domain": "example.com",
	"application_id": "example", "slug": "example",
}

// sample returns a definition with made-up settings, and the flags that it needs.
func sample(key string) (p endpoints.Provider, needs []string) {
	d := definitions[key]
	var settings []string
	for _, s := range d.settings {
		settings = append(settings, sampleSettings[s])
		needs = append(needs, "--set "+s+"=…")
	}
	p = d.make(settings)
	for _, name := range requiredVars(p) {
		needs = append(needs, "--var "+name+"=…")
	}
	return p, needs
}

// requiredVars are the variables of the consent page's URL that have no default.
func requiredVars(p endpoints.Provider) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(p.Vars)) {
		values := p.Vars[name]
		if strings.Contains(p.Endpoint.AuthURL, "{"+name+"}") && (len(values) == 0 || values[0] == "" || strings.Contains(values[0], "*")) {
			names = append(names, name)
		}
	}
	return names
}

func (a *app) providersShowCommand() *cobra.Command {
	var set []string
	c := &cobra.Command{
		Use:   "show PROVIDER",
		Short: "Print a definition as JSON, to read or to change",
		Example: `  oauth2keep providers show github
  oauth2keep providers show okta --set domain=example.okta.com`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeProviders,
		RunE: func(_ *cobra.Command, args []string) error {
			key, d, ok := builtIn(args[0])
			if !ok {
				return &failure{code: exitUsage, err: fmt.Errorf("there is no provider %s built in", printable(args[0])), do: "oauth2keep providers list"}
			}
			settings, err := pairs("--set", set)
			if err != nil {
				return err
			}
			p, err := d.provider(key, settings)
			if err != nil {
				return err
			}
			if p.Request != nil || p.Response != nil {
				p.Request, p.Response = nil, nil
				a.say("%s has a part in Go, which JSON can't have: what follows isn't all of it, and works by the name %s only", p.Name, strings.ToLower(key))
			}
			return a.printDefinition(p)
		},
	}
	c.Flags().StringArrayVar(&set, "set", nil, "an argument of the definition, as `NAME=VALUE`")
	return c
}

// printDefinition prints the JSON form.
func (a *app) printDefinition(p endpoints.Provider) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if a.options.json {
		b.Write(data)
	} else if err := json.Indent(&b, data, "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err = a.out.Write(b.Bytes())
	return err
}

func (a *app) providersDiscoverCommand() *cobra.Command {
	var apiURLs []string
	c := &cobra.Command{
		Use:   "discover ISSUER",
		Short: "Make a definition of the metadata that a server publishes (RFC 8414)",
		Long: `Asks a server for its metadata (RFC 8414, OpenID Connect Discovery) and prints a definition as
JSON. Metadata don't tell where the API is: name it by --api-url, or tokens are sent nowhere.`,
		Example: `  oauth2keep providers discover https://login.example.com --api-url https://api.example.com >example.json`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := endpoints.Discover(a.context(c.Context()), args[0])
			if err != nil {
				return err
			}
			if p.APIURLs = apiURLs; len(apiURLs) == 0 {
				a.say(`"api_urls" is missing, since metadata don't tell it: tokens are sent nowhere until it is there`)
			}
			if err := p.Validate(); err != nil {
				return setup("%w", err)
			}
			return a.printDefinition(p)
		},
	}
	c.Flags().StringArrayVar(&apiURLs, "api-url", nil, "a `URL` of the API")
	return c
}

func (a *app) providersCheckCommand() *cobra.Command {
	var vars, scopes []string
	c := &cobra.Command{
		Use:   "check FILE",
		Short: "Check a definition in JSON, and show what would be sent",
		Long: `Checks a definition, and names the field of each mistake. If there is none, it shows each request that
would be sent, with made-up values: nothing is sent. FILE may be - for standard input, a provider that is
built in, or the https URL of an issuer, which is asked for its metadata then.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := a.readDefinition(c.Context(), args[0])
			if err != nil {
				return err
			}
			given, err := pairs("--var", vars)
			if err != nil {
				return err
			}
			return a.showRequests(c.Context(), p, given, splitScopes(scopes))
		},
	}
	c.Flags().StringArrayVar(&vars, "var", nil, "the value of a variable, as `NAME=VALUE`")
	c.Flags().StringArrayVar(&scopes, "scope", nil, "a `scope` to ask for")
	return c
}

func (a *app) readDefinition(ctx context.Context, path string) (p endpoints.Provider, err error) {
	if path != "-" {
		if key, _, ok := builtIn(path); ok {
			p, _ := sample(key)
			return p, nil
		}
		return findProvider(a.context(ctx), path)
	}
	data, err := io.ReadAll(io.LimitReader(a.in, configLimit))
	if err != nil {
		return p, err
	}
	if err := p.UnmarshalJSON(data); err != nil {
		return p, setup("%w", err)
	}
	return p, nil
}
