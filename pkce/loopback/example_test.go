package loopback_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/pkce/loopback"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// A program that logs its user in, keeps the token, and calls the API.
func Example() {
	ctx := context.Background()
	server, err := endpointstest.Start() // in place of the provider
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	provider := server.Provider(endpoints.TaxRock)
	config := provider.Config(server.Config(endpoints.TaxRock, "http://127.0.0.1/callback"))
	keys, err := storage.NewKeyset(storage.NewKey()) // a program reads its key from a file
	if err != nil {
		fmt.Println(err)
		return
	}
	manager := &tokensource.Manager{Config: config, Store: storage.Encrypt(new(storage.Memory), keys)}

	login := loopback.Login{Config: config, Program: "Tea Tool", OpenBrowser: user}
	token, err := login.Token(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := manager.Save(ctx, "me", token); err != nil {
		fmt.Println(err)
		return
	}
	resp, err := manager.Client("me").Get(provider.APIURLs[0] + "/client-accounts")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 200 OK
}

// user is a browser whose user approves. A program leaves OpenBrowser out.
func user(ctx context.Context, consentURL string) error {
	callback, err := endpointstest.Approve(ctx, nil, consentURL)
	if err != nil {
		return err
	}
	resp, err := http.Get(callback.String())
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// A program without a browser shows a code, for one elsewhere.
func ExampleLogin_device() {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /device", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"device_code":"secret","user_code":"WDJB-MJHT","verification_uri":"https://login.example/device","interval":1}`)
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, _ *http.Request) { // the user was quick
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"token","token_type":"Bearer"}`)
	})
	provider := httptest.NewServer(mux)
	defer provider.Close()

	login := loopback.Login{
		Config: &oauth2.Config{
			ClientID: "tea-tool",
			Endpoint: oauth2.Endpoint{
				DeviceAuthURL: provider.URL + "/device",
				TokenURL:      provider.URL + "/token",
				AuthStyle:     oauth2.AuthStyleInParams,
			},
		},
		Program: "Tea Tool",
		Method:  loopback.Device,
		Show:    func(p loopback.Prompt) { fmt.Fprint(os.Stdout, p) }, // os.Stderr if it is left out
	}
	token, err := login.Token(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("logged in:", token.Valid())
	// Output:
	// To log in to Tea Tool, open this page in any browser:
	//
	//     https://login.example/device
	//
	// and enter the code WDJB-MJHT
	//
	// logged in: true
}
