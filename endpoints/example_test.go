package endpoints_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/finch"
)

// A provider that isn't defined here: it takes JSON, calls the client's id
// otherwise, wraps the token and counts in milliseconds.
func Example() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Printf("%s %s\n%s\n", r.Method, r.URL.Path, body)
		io.WriteString(w, `{"code": 0, "data": {"accessToken": "…", "ttl": 3600000, "shop": "tea-house"}}`)
	}))
	defer server.Close()

	provider := endpoints.Provider{
		Name: "Example",
		Endpoint: oauth2.Endpoint{
			AuthURL:   "https://provider.example/consent",
			TokenURL:  server.URL + "/token",
			AuthStyle: oauth2.AuthStyleInParams,
		},
		Style: endpoints.AuthStyle{
			Body:   endpoints.JSONBody,
			Params: endpoints.Params{"app_key": {"{client_id}"}, "app_secret": {"{client_secret}"}},
		},
		Answer: endpoints.Answer{
			TokenIn:      "data",
			Names:        map[string]string{"access_token": "accessToken", "expires_in": "ttl"},
			LifetimeUnit: time.Millisecond,
			Success:      map[string]string{"code": "0"},
		},
	}
	if err := provider.Validate(); err != nil {
		fmt.Println(err)
	}
	conf := provider.Config(oauth2.Config{ClientID: "my-id", ClientSecret: "my-secret"})
	token, err := conf.Exchange(context.Background(), "the-code")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(token.ExpiresIn, token.Extra("data").(map[string]any)["shop"])
	// Output:
	// POST /token
	// {"app_key":"my-id","app_secret":"my-secret","code":"the-code","grant_type":"authorization_code"}
	// 3600 tea-house
}

func ExampleProvider_Config() {
	conf := endpoints.Finch.Config(oauth2.Config{
		ClientID:     "my-id",
		ClientSecret: "my-secret",
		RedirectURL:  "https://app.example/callback",
		Scopes:       []string{"company", "directory"},
	})
	fmt.Println(conf.AuthCodeURL("state"))
	// Output:
	// https://connect.tryfinch.com/authorize?client_id=my-id&products=company+directory&redirect_uri=https%3A%2F%2Fapp.example%2Fcallback&state=state
}

// A program that has an *oauth2.Config already needs the context, and nothing else.
func ExampleProvider_Context() {
	server := fakeTaxRock()
	defer server.Close()
	taxRock := endpoints.TaxRock
	taxRock.Endpoint.TokenURL = server.URL + "/oauth/token"

	conf := &oauth2.Config{ClientID: "my-id", ClientSecret: "my-secret", Endpoint: taxRock.Endpoint}
	ctx := taxRock.Context(context.Background())
	token, err := conf.TokenSource(ctx, &oauth2.Token{RefreshToken: "my-refresh-token"}).Token()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(token.RefreshToken == "my-refresh-token", token.Expiry.IsZero())
	// Output:
	// {"audience":"https://delegate.api.taxrock.com","client_id":"my-id","client_secret":"my-secret","grant_type":"refresh_token","refresh_token":"my-refresh-token"}
	// true false
}

func fakeTaxRock() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Printf("%s\n", body)
		io.WriteString(w, `{"access_token": "…", "scope": "read:client-accounts", "expires_in": 3600, "token_type": "Bearer"}`)
	}))
}

func ExampleKindOf() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"code": 400, "name": "invalid_grant", "message": "Invalid grant: authorization code is invalid"}`)
	}))
	defer server.Close()
	provider := endpoints.Finch
	provider.Endpoint.TokenURL = server.URL + "/auth/token"

	_, err := provider.Config(oauth2.Config{ClientID: "my-id"}).Exchange(context.Background(), "an-old-code")
	fmt.Println(err) // for the log
	switch kind := endpoints.KindOf(err); kind {
	case endpoints.KindCodeRejected, endpoints.KindLoginRequired:
		fmt.Println(kind.Hint()) // for the user
	case endpoints.KindClientRejected:
		fmt.Println("look at the client id and the secret") // for the operator
	}
	// Output:
	// oauth2: "invalid_grant" "Invalid grant: authorization code is invalid"
	// This sign-in link has expired or was used already. Please connect the account again.
}

func ExampleMetadata() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"access_token": "…", "connection_id": "c-1", "provider_id": "gusto", "products": ["company"]}`)
	}))
	defer server.Close()
	provider := endpoints.Finch
	provider.Endpoint.TokenURL = server.URL + "/auth/token"

	token, err := provider.Config(oauth2.Config{ClientID: "my-id"}).Exchange(context.Background(), "the-code")
	if err != nil {
		fmt.Println(err)
		return
	}
	var connection finch.Connection
	if err := endpoints.Metadata(token, &connection); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(connection.ConnectionID, connection.ProviderID, connection.Products)
	// Output: c-1 gusto [company]
}
