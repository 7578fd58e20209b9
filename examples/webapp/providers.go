package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/pkce"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// offer is a provider at which the application's users can connect accounts.
type offer struct {
	id       string
	provider endpoints.Provider
	scopes   []string
	path     string // of the API call that a connection's page makes
	about    string // what the user gets

	// Of a provider whose accounts have addresses of their own: the variable, what the user
	// is asked for, an example, and what people type behind it.
	variable, question, example, domain string

	message  string // that the sandbox's embedded consent page posts, if there is one
	revokeAt string // where the user can end a grant, if the provider has no way for the application
}

var offers = []offer{
	{id: "finch", provider: endpoints.Finch, scopes: []string{"company", "directory"}, path: "/employer/company", message: "finch-auth-message", about: "Payroll: your company and its employees."},
	{id: "chart", provider: endpoints.Chart, path: "/tax-payer", message: "chart-auth-message", about: "Tax documents of a taxpayer."},
	{id: "taxrock", provider: endpoints.TaxRock, path: "/client-accounts", about: "Tax accounts of your clients."},
	{
		id: "zendesk", provider: endpoints.Zendesk, scopes: []string{"read"}, path: "/users/me.json", about: "Support tickets. Each Zendesk account has an address of its own.",
		variable: "subdomain", question: "Your Zendesk subdomain", example: "tea-house", domain: ".zendesk.com",
		revokeAt: "Zendesk's Admin Center",
	},
}

func knownProviders() string {
	var ids []string
	for _, o := range offers {
		ids = append(ids, o.id)
	}
	return strings.Join(ids, ", ")
}

// provider is an offer in use.
type provider struct {
	offer
	config  *endpoints.Config
	flow    *pkce.Flow
	manager *tokensource.Manager
}

// exchangeTimeout is how long a callback waits for the provider.
const exchangeTimeout = time.Minute

// newProviders makes those with the ids in list, or with "" the sandbox's. All their
// requests are made with transport.
func (a *application) newProviders(list string, transport http.RoundTripper) (providers []*provider, err error) {
	if a.sandbox != nil {
		list = strings.ReplaceAll(knownProviders(), " ", "")
	}
	for id := range strings.SplitSeq(list, ",") {
		p, err := a.newProvider(id, transport)
		if err != nil {
			return nil, err
		}
		providers = append(providers, p)
	}
	return providers, nil
}

func (a *application) newProvider(id string, transport http.RoundTripper) (*provider, error) {
	p := &provider{}
	for _, o := range offers {
		if o.id == id {
			p.offer = o
		}
	}
	if p.id == "" {
		return nil, fmt.Errorf("-provider %s isn't known; there are %s", id, knownProviders())
	}
	redirectURL := a.url.String() + "/callback/" + id
	var client oauth2.Config
	if a.sandbox != nil {
		client = a.sandbox.server.Config(p.provider, redirectURL)
		p.provider = a.sandbox.server.Provider(p.provider)
	} else {
		p.message = "" // the provider's own JavaScript takes it
		name := strings.ToUpper(id)
		client = oauth2.Config{ClientID: os.Getenv(name + "_CLIENT_ID"), ClientSecret: os.Getenv(name + "_CLIENT_SECRET"), RedirectURL: redirectURL}
		if client.ClientID == "" || client.ClientSecret == "" {
			return nil, fmt.Errorf("set %s_CLIENT_ID and %s_CLIENT_SECRET in the environment", name, name)
		}
	}
	client.Scopes = p.scopes
	p.config = p.provider.Config(client)
	p.flow = &pkce.Flow{
		Config:          p.config,
		Sealer:          a.keys,
		ExchangeTimeout: exchangeTimeout,
		RequestContext: func(ctx context.Context) context.Context {
			return context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: transport})
		},
	}
	p.manager = &tokensource.Manager{Config: p.config, Store: a.store, Base: transport, OnEvent: a.happened}
	return p, nil
}

// provider returns the one with an id, or nil.
func (a *application) provider(id string) *provider {
	for _, p := range a.providers {
		if p.id == id {
			return p
		}
	}
	return nil
}

// A connection's name says whose it is: "finch/alice", or "zendesk/alice/tea-house" where a
// user can have several. So it can't be another user's by mistake, and names of two
// providers, which share one store, never meet. No id of a user has a slash in it.
func (p *provider) connection(u *user, account string) string {
	return strings.TrimSuffix(p.id+"/"+u.ID+"/"+account, "/")
}

// named is what a connection's name says.
type named struct{ provider, owner, account string }

func readName(name string) (n named) {
	parts := strings.SplitN(name, "/", 3)
	n.provider = parts[0]
	if len(parts) > 1 {
		n.owner = parts[1]
	}
	if len(parts) > 2 {
		n.account = parts[2]
	}
	return n
}

// accountPattern is what a user may type for a provider's variable: it becomes a part of a
// name and of a path here. Whether the provider's host can have it is the library's to check.
var accountPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// account reads what the user has typed for the provider's variable, and makes the option of
// it. Both are empty if the provider has no variable.
func (p *provider) account(r *http.Request) (string, []oauth2.AuthCodeOption, error) {
	if p.variable == "" {
		return "", nil, nil
	}
	account := strings.ToLower(strings.TrimSpace(r.PostFormValue("account")))
	account = strings.TrimSuffix(account, p.domain)
	if !accountPattern.MatchString(account) {
		return "", nil, errAccount
	}
	return account, []oauth2.AuthCodeOption{oauth2.SetAuthURLParam(p.variable, account)}, nil
}

// happened is told what becomes of the connections. The index follows, and an operator reads
// it in the log.
func (a *application) happened(ctx context.Context, e tokensource.Event) {
	if e.Err != nil {
		a.log.Warn("connection", "event", e.Kind, "name", e.Connection, "reason", e.Reason, "error", e.Err)
	} else {
		a.log.Info("connection", "event", e.Kind, "name", e.Connection)
	}
	a.index.update(ctx, e.Connection)
}
