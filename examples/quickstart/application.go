package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"

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
	store    *storage.Encrypted
	managers map[string]*tokensource.Manager // by provider
	mux      *http.ServeMux
	server   *http.Server

	// connected is told how each attempt to connect an account ended.
	connected func(key string, t *oauth2.Token, err error)
}

// openApplication opens the store below dir. The first time, it makes a key.
func openApplication(dir string) (*application, error) {
	keyFile := filepath.Join(dir, "token.key")
	if _, err := os.Stat(keyFile); errors.Is(err, fs.ErrNotExist) {
		text := base64.StdEncoding.EncodeToString(storage.NewKey())
		if err := os.WriteFile(keyFile, []byte(text), 0o600); err != nil {
			return nil, err
		}
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
	}, nil
}

// add makes a provider known: its manager, and the handlers at /connect/name and
// at the callback path.
func (a *application) add(name string, config *endpoints.Config, callbackPath string) {
	manager := &tokensource.Manager{Config: config, Store: a.store}
	a.managers[name] = manager

	flow := &pkce.Flow{Config: config, Sealer: a.keys}
	a.mux.HandleFunc("GET /connect/"+name, func(w http.ResponseWriter, r *http.Request) {
		s, err := flow.Begin(w, r, name+"/alice") // in real life, from the session of who is logged in
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		http.Redirect(w, r, s.URL, http.StatusFound)
	})
	a.mux.Handle(callbackPath, flow.Callback(
		func(w http.ResponseWriter, r *http.Request, s *pkce.Session, t *oauth2.Token, err error) {
			key := ""
			if s != nil {
				key = s.Connection
			}
			if err == nil {
				err = manager.Save(r.Context(), key, t)
			}
			a.connected(key, t, err)
			switch {
			case err == nil:
				fmt.Fprintln(w, "The account is connected. You can close this page.")
			case errors.Is(err, pkce.ErrDenied):
				http.Error(w, "You said no, and nothing was connected.", http.StatusForbidden)
			default:
				hint := endpoints.KindOf(err).Hint()
				if hint == "" { // the callback itself was wrong: a reload, or another browser
					hint = "That didn't work. Please connect the account again."
				}
				http.Error(w, hint, http.StatusBadGateway)
			}
		}))
}

// listen serves the handlers on address and returns the origin.
func (a *application) listen(address string) (string, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", err
	}
	a.server = &http.Server{Handler: a.mux}
	go a.server.Serve(l) // until close
	return "http://" + l.Addr().String(), nil
}

// close shuts the application down as a program should: first what uses tokens,
// then what saves them, then the store.
func (a *application) close(ctx context.Context) error {
	var errs []error
	if a.server != nil {
		errs = append(errs, a.server.Shutdown(ctx))
	}
	for _, m := range a.managers {
		errs = append(errs, m.Flush(ctx))
	}
	return errors.Join(append(errs, a.files.Close())...)
}
