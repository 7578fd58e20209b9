package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/pkce/loopback"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

type tool struct {
	manager *tokensource.Manager
	login   loopback.Login
	api     string
	out     io.Writer
}

// open reads the key and opens the tokens in dir. The first time, it makes both.
func open(config *endpoints.Config, api, dir string) (*tool, error) {
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
	manager := &tokensource.Manager{Config: config, Store: storage.Encrypt(records, keys)}
	return &tool{manager, loopback.Login{Config: config, Program: "Who am I"}, api, os.Stdout}, nil
}

// whoami calls the API as the user of an account, who logs in if that is needed.
func (t *tool) whoami(ctx context.Context, account string) error {
	err := t.show(ctx, account)
	if !errors.Is(err, tokensource.ErrLoginRequired) {
		return err
	}
	token, err := t.login.Token(ctx)
	if err != nil {
		return err
	}
	if err := t.manager.Save(ctx, account, token); err != nil {
		return err
	}
	return t.show(ctx, account)
}

func (t *tool) show(ctx context.Context, account string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, t.api+"/user", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := t.manager.Client(account).Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the API answers %s", resp.Status)
	}
	_, err = io.Copy(t.out, resp.Body)
	return err
}
