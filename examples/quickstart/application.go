package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/pkce"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// application is a web application that connects accounts. It is what a program
// that uses oauth2keep looks like; the rest of this command is scenery.
type application struct {
	keys     *storage.Keyset
	files    *storage.Dir
	store    *storage.Encrypted              // one for all providers
	managers map[string]*tokensource.Manager // by provider
	mux      *http.ServeMux
	server   *http.Server

	// connected is told how each attempt to connect an account ended, and happened what
	// becomes of the connections then.
	connected func(name string, t *oauth2.Token, err error)
	happened  func(tokensource.Event)
}

// openApplication opens the store below dir. The first time, it makes a key.
func openApplication(dir string) (*application, error) {
	keyFile := filepath.Join(dir, "token.key")
	if err := storage.WriteKeyFile(keyFile, storage.NewKey()); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	key, err := storage.ReadKeyFile(keyFile)
	if err != nil {
		return nil, err
	}
	keys, err := storage.NewKeyset(key)
	if err != nil {
		return nil, err
	}
	files, err := storage.OpenDir(filepath.Join(dir, "tokens"))
	if err != nil {
		return nil, err
	}
	return &application{
		keys:     keys,
		files:    files,
		store:    storage.Encrypt(files, keys),
		managers: make(map[string]*tokensource.Manager),
		mux:      http.NewServeMux(),
		happened: func(tokensource.Event) {},
	}, nil
}

// alice is the connection of the user Alice at a provider. Names must differ between
// the providers that share a store. In real life they have the number of an account.
func alice(provider string) string { return provider + "/alice" }

// add makes a provider known: its manager, and the handlers at /connect/provider and at
// the callback path.
func (a *application) add(provider string, config *endpoints.Config, callbackPath string) {
	manager := &tokensource.Manager{
		Config:  config,
		Store:   a.store,
		OnEvent: func(_ context.Context, e tokensource.Event) { a.happened(e) },
	}
	a.managers[provider] = manager

	flow := &pkce.Flow{Config: config, Sealer: a.keys}
	a.mux.HandleFunc("GET /connect/"+provider, func(w http.ResponseWriter, r *http.Request) {
		s, err := flow.Begin(w, r, alice(provider)) // in real life, whose session r belongs to
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		http.Redirect(w, r, s.URL, http.StatusFound)
	})
	a.mux.Handle(callbackPath, flow.Callback(
		func(w http.ResponseWriter, r *http.Request, s *pkce.Session, t *oauth2.Token, err error) {
			if err == nil {
				err = manager.Save(r.Context(), s.Connection, t)
			}
			name := ""
			if s != nil { // it is nil for a callback that belongs to no attempt
				name = s.Connection
			}
			a.connected(name, t, err)
			switch {
			case err == nil, errors.Is(err, pkce.ErrAlreadyUsed):
				// The latter is a reload: the first callback has decided, and the page
				// says how. A real application redirects to it.
				a.connections(w, r)
			case errors.Is(err, pkce.ErrDenied):
				http.Error(w, "You said no, and nothing was connected.", http.StatusForbidden)
			default:
				hint := endpoints.KindOf(err).Hint()
				if hint == "" { // the callback itself was wrong: an old one, or another browser's
					hint = "That didn't work. Please connect the account again."
				}
				http.Error(w, hint, http.StatusBadGateway)
			}
		}))
}

// connections is the page that lists them. In real life, only those of whose session it is.
func (a *application) connections(w http.ResponseWriter, r *http.Request) {
	for _, provider := range slices.Sorted(maps.Keys(a.managers)) {
		for status, err := range a.managers[provider].Connections(r.Context()) {
			if err != nil {
				fmt.Fprintf(w, "%s %s\n", status.Connection, tokensource.StateUnreadable)
				continue
			}
			fmt.Fprintf(w, "%s %s\n", status.Connection, status.State)
		}
	}
}

// disconnect ends a connection, at the provider and here. If the provider has no way to
// revoke a grant, it is forgotten here, and the user has to be told to end it there.
func (a *application) disconnect(ctx context.Context, provider string) (revoked bool, err error) {
	manager := a.managers[provider]
	err = manager.Disconnect(ctx, alice(provider))
	if errors.Is(err, errors.ErrUnsupported) {
		return false, manager.Forget(ctx, alice(provider))
	}
	return err == nil, err
}

// listen serves the handlers on address and returns the origin.
func (a *application) listen(address string) (string, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", err
	}
	a.mux.HandleFunc("GET /connections", a.connections)
	a.server = &http.Server{Handler: a.mux}
	go a.server.Serve(l) // until close
	return "http://" + l.Addr().String(), nil
}

// close shuts the application down as a program should: first what uses tokens,
// then what saves them, then the store. Each has a time of its own, so that a request that
// hangs leaves some for saving; and has it if ctx is done, as after an interrupt.
func (a *application) close(ctx context.Context) error {
	const timeout = 10 * time.Second
	ctx = context.WithoutCancel(ctx)
	var errs []error
	if a.server != nil {
		requests, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		errs = append(errs, a.server.Shutdown(requests))
	}
	saving, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for _, m := range a.managers {
		errs = append(errs, m.Flush(saving))
	}
	return errors.Join(append(errs, a.files.Close())...)
}
