package tokensource_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// provider is an authorization server and the API behind it. It replaces the
// refresh token at each refresh, until the user takes the access away.
type provider struct {
	*httptest.Server
	issued  atomic.Int32
	revoked atomic.Bool
}

func newProvider() *provider {
	p := new(provider)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if p.revoked.Load() {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":"invalid_grant"}`)
			return
		}
		n := p.issued.Add(1)
		fmt.Fprintf(w, `{"access_token":"access-%d","refresh_token":"refresh-%d","expires_in":3600}`, n, n)
	})
	mux.HandleFunc("GET /v1/me", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello, bearer of %s", r.Header.Get("Authorization"))
	})
	p.Server = httptest.NewServer(mux)
	return p
}

func (p *provider) config() *oauth2.Config {
	return &oauth2.Config{
		ClientID:     "my-app",
		ClientSecret: "its secret",
		Endpoint:     oauth2.Endpoint{TokenURL: p.URL + "/token", AuthStyle: oauth2.AuthStyleInParams},
	}
}

// store returns where the examples keep records. A program uses storage.OpenDir,
// and a key from a file.
func store() *storage.Encrypted {
	keys, err := storage.NewKeyset(storage.NewKey())
	if err != nil {
		panic(err)
	}
	return storage.Encrypt(new(storage.Memory), keys)
}

// login is what an exchange returned, some time ago.
func login() *oauth2.Token {
	return &oauth2.Token{AccessToken: "access-0", RefreshToken: "refresh-0", Expiry: time.Now().Add(-time.Minute)}
}

func ExampleManager() {
	p := newProvider()
	defer p.Close()
	manager := &tokensource.Manager{
		Config:  p.config(),
		Store:   store(),
		APIURLs: []string{p.URL},
		OnEvent: func(_ context.Context, e tokensource.Event) {
			fmt.Println(e.Connection, e.Kind)
		},
	}
	ctx := context.Background()

	// Once, after the consent page.
	if err := manager.Save(ctx, "customer-42", login()); err != nil {
		fmt.Println(err)
		return
	}

	// From then on, in this process and others.
	resp, err := manager.Client("customer-42").Get(p.URL + "/v1/me")
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
	fmt.Println(resp.Status)

	// Before the program ends.
	if err := manager.Flush(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// customer-42 saved
	// customer-42 refreshed
	// 200 OK
}

// A Source is an oauth2.TokenSource, for whatever takes one.
func ExampleManager_Source() {
	p := newProvider()
	defer p.Close()
	manager := &tokensource.Manager{Config: p.config(), Store: store()}
	if err := manager.Save(context.Background(), "customer-42", login()); err != nil {
		fmt.Println(err)
		return
	}
	source := manager.Source("customer-42")
	for range 3 {
		token, err := source.Token()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(token.AccessToken)
	}
	// Output:
	// access-1
	// access-1
	// access-1
}

// When the user has taken the access away, no request is made any more until there
// is a new login.
func ExampleManager_Client() {
	p := newProvider()
	defer p.Close()
	manager := &tokensource.Manager{Config: p.config(), Store: store(), APIURLs: []string{p.URL}}
	if err := manager.Save(context.Background(), "customer-42", login()); err != nil {
		fmt.Println(err)
		return
	}
	p.revoked.Store(true)
	client := manager.Client("customer-42")
	_, err := client.Get(p.URL + "/v1/me")
	if errors.Is(err, tokensource.ErrLoginRequired) {
		fmt.Println("Please connect your account again.")
	}
	_, err = client.Get("https://example.com/")
	fmt.Println("The token goes nowhere else:", err != nil)
	// Output:
	// Please connect your account again.
	// The token goes nowhere else: true
}

// A page that shows how connections are doing.
func ExampleManager_Status() {
	p := newProvider()
	defer p.Close()
	manager := &tokensource.Manager{Config: p.config(), Store: store()}
	ctx := context.Background()
	show := func() {
		st, err := manager.Status(ctx, "customer-42")
		if errors.Is(err, storage.ErrNotFound) {
			fmt.Println("not connected")
			return
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s, reason %q\n", st.State, st.Reason)
	}
	show()
	if err := manager.Save(ctx, "customer-42", login()); err != nil {
		fmt.Println(err)
		return
	}
	show()
	source := manager.Source("customer-42")
	if _, err := source.Token(); err != nil {
		fmt.Println(err)
	}
	show()
	if err := manager.Save(ctx, "customer-42", login()); err != nil {
		fmt.Println(err)
	}
	p.revoked.Store(true)
	if _, err := source.Token(); err != nil {
		fmt.Println(err)
	}
	show()
	// An *oauth2.Config can't revoke; an *endpoints.Config can: see Disconnect.
	if err := manager.Forget(ctx, "customer-42"); err != nil {
		fmt.Println(err)
	}
	show()
	// Output:
	// not connected
	// expiring, reason ""
	// healthy, reason ""
	// tokensource: login required for connection "customer-42": the grant was revoked or has expired (invalid_grant)
	// login_required, reason "revoked_or_expired"
	// not connected
}

// A program that calls an API in its own name needs no Save: the first call obtains the
// token, and other processes use the same.
func ExampleTwoLegged() {
	p := newProvider()
	defer p.Close()
	manager := &tokensource.Manager{
		Config: tokensource.TwoLegged(&clientcredentials.Config{
			ClientID:     "my-app",
			ClientSecret: "its secret",
			TokenURL:     p.URL + "/token",
			AuthStyle:    oauth2.AuthStyleInParams,
		}),
		Store:   store(),
		APIURLs: []string{p.URL},
	}
	client := manager.Client("reports")
	for range 3 {
		resp, err := client.Get(p.URL + "/v1/me")
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
		fmt.Println(resp.Status)
	}
	fmt.Println("tokens issued:", p.issued.Load())
	// Output:
	// 200 OK
	// 200 OK
	// 200 OK
	// tokens issued: 1
}
