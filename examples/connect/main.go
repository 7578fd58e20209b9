// Command connect is the program of docs/connect.md: a web application that connects an
// account at GitHub, keeps its token, and calls the API.
//
//	CLIENT_ID=… CLIENT_SECRET=… go run ./examples/connect
//
// Without a client's id it connects an account at a server that acts as GitHub, and keeps
// nothing. Otherwise key and tokens are in the directory data, or $DATA.
package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/pkce"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

const address = "localhost:8080"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	l, err := net.Listen("tcp", address)
	if err == nil {
		log.Print("open http://" + address)
		err = run(ctx, l, address)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx ends. The host is what browsers call the listener's address.
func run(ctx context.Context, l net.Listener, host string) error {
	defer l.Close()
	provider := endpoints.GitHub
	client := oauth2.Config{
		ClientID:     os.Getenv("CLIENT_ID"),
		ClientSecret: os.Getenv("CLIENT_SECRET"),
		RedirectURL:  "http://" + host + "/callback",
		Scopes:       []string{"read:user"},
	}
	dir := cmp.Or(os.Getenv("DATA"), "data")
	if client.ClientID == "" {
		sandbox, err := endpointstest.StartProgram(provider)
		if err != nil {
			return err
		}
		defer sandbox.Close()
		provider, client = sandbox.Provider(provider), sandbox.Config(provider, client.RedirectURL)
		dir, err = os.MkdirTemp("", "connect-") // the sandbox of the next start knows none of these tokens
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}

	a, err := newApplication(provider, client, dir)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: only(host, a.handler())}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	requests, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	saving, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return errors.Join(err, server.Shutdown(requests), a.manager.Flush(saving))
}

// application connects accounts at one provider.
type application struct {
	flow    *pkce.Flow
	manager *tokensource.Manager
	api     string
}

func newApplication(provider endpoints.Provider, client oauth2.Config, dir string) (*application, error) {
	records, err := storage.OpenDir(dir + "/tokens")
	if err != nil {
		return nil, err
	}
	if err := storage.WriteKeyFile(dir+"/token.key", storage.NewKey()); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	key, err := storage.ReadKeyFile(dir + "/token.key")
	if err != nil {
		return nil, err
	}
	keys, err := storage.NewKeyset(key)
	if err != nil {
		return nil, err
	}
	config := provider.Config(client)
	return &application{
		flow:    &pkce.Flow{Config: config, Sealer: keys},
		manager: &tokensource.Manager{Config: config, Store: storage.Encrypt(records, keys)},
		api:     provider.APIURLs[0],
	}, nil
}
