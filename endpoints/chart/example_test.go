package chart_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/chart"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// A taxpayer has connected by a client link, which has no callback: the token is asked for,
// and kept as any other.
func ExampleRecoverToken() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // in place of Chart
		fmt.Println(r.Method, r.URL.Path)
		io.WriteString(w, `{"access_token": "secret", "taxpayer_id": "clt0szoxp0001p82z45ufj6t4", "name": "Jane Doe"}`)
	}))
	defer api.Close()
	provider := endpoints.Chart
	provider.Endpoint.TokenURL, provider.APIURLs = api.URL+"/auth/token", []string{api.URL}
	config := provider.Config(oauth2.Config{ClientID: "my-id", ClientSecret: "my-secret"})
	keys, err := storage.NewKeyset(storage.NewKey())
	if err != nil {
		fmt.Println(err)
		return
	}
	manager := &tokensource.Manager{Config: config, Store: storage.Encrypt(new(storage.Memory), keys)}

	ctx := context.Background()
	token, err := chart.RecoverToken(ctx, config, "clt0szoxp0001p82z45ufj6t4")
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := manager.Save(ctx, "chart/clt0szoxp0001p82z45ufj6t4", token); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("saved for", token.Extra("name"))
	// Output:
	// GET /auth/tax-payer/clt0szoxp0001p82z45ufj6t4/token
	// saved for Jane Doe
}
