package main

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// connection is one record of the store, of any client.
type connection struct {
	tokensource.Status
	owner  tokensource.Registration // zero if the record can't be read
	client string                   // the client of the configuration that it belongs to, or ""
	err    error                    // why it can't be read
}

// inspector tells how any connection is doing, also one whose client isn't configured: no
// request is made for that. A record tells its owner to whoever asks as another, and so the
// inspector asks as the owner of the last record with the same beginning, and again as the
// right one if that was wrong.
type inspector struct {
	store   *storage.Encrypted
	clients map[tokensource.Registration][]string // several may have one registration

	mu       sync.Mutex
	managers map[tokensource.Registration]*tokensource.Manager
	guesses  map[string]tokensource.Registration // by what is before the slash
}

// nobody owns no record.
var nobody = tokensource.Registration{Issuer: "https://nobody.invalid"}

// inspect opens the store, which has to be there, and returns an inspector of it.
func (a *app) inspect(ctx context.Context) (*inspector, error) {
	store, err := a.encrypted(ctx, false)
	if err != nil {
		return nil, err
	}
	return a.inspectorOf(store)
}

// inspectorOf returns an inspector of a store.
func (a *app) inspectorOf(store *storage.Encrypted) (*inspector, error) {
	in := &inspector{
		store:    store,
		clients:  make(map[tokensource.Registration][]string),
		managers: make(map[tokensource.Registration]*tokensource.Manager),
		guesses:  make(map[string]tokensource.Registration),
	}
	known, err := a.config()
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(known.Clients)) {
		own := known.Clients[name]
		p, err := own.provider()
		if err != nil {
			continue // doctor tells
		}
		conf, err := own.oauth(p, "", "", known.dir())
		if err != nil {
			continue
		}
		issuer, id := conf.Registration()
		r := tokensource.Registration{Issuer: issuer, ClientID: id}
		in.clients[r], in.guesses[name] = append(in.clients[r], name), r
	}
	return in, nil
}

// onlooker is a Refresher that refreshes nothing.
type onlooker struct{}

func (onlooker) TokenSource(context.Context, *oauth2.Token) oauth2.TokenSource {
	return oauth2.StaticTokenSource(nil)
}

type twoLeggedOnlooker struct{}

func (twoLeggedOnlooker) TokenSource(context.Context) oauth2.TokenSource {
	return oauth2.StaticTokenSource(nil)
}

// as returns a Manager for the records of an owner.
func (in *inspector) as(owner tokensource.Registration) *tokensource.Manager {
	in.mu.Lock()
	defer in.mu.Unlock()
	if m := in.managers[owner]; m != nil {
		return m
	}
	m := &tokensource.Manager{Config: onlooker{}, Store: in.store, Registration: owner, InsecureHTTP: true}
	if owner.TwoLegged {
		m.Config = tokensource.TwoLegged(twoLeggedOnlooker{})
	}
	in.managers[owner] = m
	return m
}

func (in *inspector) guess(name string) tokensource.Registration {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, beginning := range []string{beginningOf(name), ""} {
		if r, ok := in.guesses[beginning]; ok {
			return r
		}
	}
	return nobody
}

const maxGuesses = 1000 // for a store whose names begin each with another word

func (in *inspector) learn(name string, owner tokensource.Registration) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.guesses) < maxGuesses {
		in.guesses[beginningOf(name)] = owner
	}
	in.guesses[""] = owner
}

func beginningOf(name string) string {
	if beginning, _, ok := strings.Cut(name, "/"); ok {
		return beginning
	}
	return ""
}

// look returns how one connection is doing, or false if there is none of that name. The
// error is that of ctx.
func (in *inspector) look(ctx context.Context, name string) (c connection, found bool, err error) {
	c.owner = in.guess(name)
	for range 3 { // the record may change hands
		c.Status, c.err = in.as(c.owner).Status(ctx, name)
		var told *tokensource.Error
		if !errors.As(c.err, &told) || told.Reason != tokensource.ReasonOtherClient {
			break
		}
		c.owner = told.Owner
		in.learn(name, c.owner)
	}
	var told *tokensource.Error
	switch {
	case ctx.Err() != nil:
		return c, false, ctx.Err()
	case errors.As(c.err, &told) && told.Reason == tokensource.ReasonNotConnected:
		return c, false, nil
	case c.err != nil:
		c.Status = tokensource.Status{Connection: name, State: tokensource.StateUnreadable, Reason: tokensource.ReasonStore}
		c.owner = tokensource.Registration{}
	}
	c.client = in.clientOf(name, c.owner)
	return c, true, nil
}

// clientOf returns the client of the configuration that has a registration, or "". Of several
// it is the one that the connection's name begins with.
func (in *inspector) clientOf(name string, owner tokensource.Registration) string {
	clients := in.clients[owner]
	switch {
	case len(clients) == 0:
		return ""
	case slices.Contains(clients, beginningOf(name)):
		return beginningOf(name)
	}
	return clients[0]
}

// all yields every connection whose name has the prefix, in no particular order. It reads
// several records at a time, and keeps none.
func (in *inspector) all(ctx context.Context, prefix string) iter.Seq2[connection, error] {
	return func(yield func(connection, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		names, results := make(chan string), make(chan connection)
		var failed error
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		wg.Go(func() {
			defer close(names)
			for name, err := range in.store.Names(ctx) {
				if err != nil {
					failed = err
					return
				}
				if !strings.HasPrefix(name, prefix) {
					continue
				}
				select {
				case names <- name:
				case <-ctx.Done():
					return
				}
			}
		})
		var workers sync.WaitGroup
		for range connections {
			workers.Go(func() { in.work(ctx, names, results) })
		}
		wg.Go(func() {
			workers.Wait()
			close(results)
		})
		for c := range results {
			if !yield(c, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(connection{}, err)
		} else if failed != nil { // names is closed, and so it is written
			yield(connection{}, failed)
		}
	}
}

func (in *inspector) work(ctx context.Context, names <-chan string, results chan<- connection) {
	for name := range names {
		c, found, err := in.look(ctx, name)
		if err != nil {
			return
		}
		if !found {
			continue // gone meanwhile
		}
		select {
		case results <- c:
		case <-ctx.Done():
			return
		}
	}
}

// ownerWords says whose a connection is.
func (c connection) ownerWords() string {
	switch {
	case c.owner == tokensource.Registration{}:
		return "-"
	case c.client != "":
		return printable(c.client)
	}
	words := printable(c.owner.ClientID) + " at " + printable(strings.TrimPrefix(c.owner.Issuer, "https://"))
	if c.owner.TwoLegged {
		words += " (two-legged)"
	}
	return words
}
