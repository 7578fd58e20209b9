package endpoints_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// A definition can be a file, which an editor completes with provider.schema.json.
func ExampleProvider_UnmarshalJSON() {
	var p endpoints.Provider
	err := p.UnmarshalJSON([]byte(`{
		"$schema": "./provider.schema.json",
		"name": "Shop",
		"authorization_endpoint": "https://{shop}/admin/oauth/authorize",
		"token_endpoint": "https://{shop}/admin/oauth/access_token",
		"token_endpoint_auth_method": "client_secret_post",
		"api_urls": ["https://{shop}/admin/api"],
		"variables": {"shop": ["*.shops.example.com"]},
		"consent": {"scope_separator": ","},
		"exchange": {"params": {"expiring": "1"}},
		"answer": {"default_lifetime": "1h"},
		"api": {"header": {"X-Shop-Access-Token": "{access_token}"}}
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Name, p.Vars["shop"], p.Answer.DefaultLifetime)

	err = p.UnmarshalJSON([]byte(`{
		"name": "Shop",
		"token_endpoint": "https://shop.example/token",
		"refresh": {"params": {"grant-type": null}}
	}`))
	fmt.Println(err)
	err = p.UnmarshalJSON([]byte(`{
		"token_endpoint": "https://shop.example/token",
		"api": {"errors": [{"Status": 403}]}
	}`))
	fmt.Println(err)
	// Output:
	// Shop [*.shops.example.com] 1h0m0s
	// endpoints: Shop: refresh.params["grant-type"] removes what is never sent
	// endpoints: api.errors[0].Status is unknown: it is written status
}

func ExampleProvider_MarshalJSON() {
	data, err := json.MarshalIndent(endpoints.Provider{
		Name: "Video",
		Endpoint: oauth2.Endpoint{
			AuthURL:   "https://video.example/authorize",
			TokenURL:  "https://video.example/token",
			AuthStyle: oauth2.AuthStyleInHeader,
		},
		APIURLs: []string{"https://api.video.example"},
		Consent: endpoints.Consent{Params: endpoints.Params{"client_key": {"{client_id}"}, "response_type": nil}},
	}, "", "  ")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(data))
	// Output:
	// {
	//   "name": "Video",
	//   "authorization_endpoint": "https://video.example/authorize",
	//   "token_endpoint": "https://video.example/token",
	//   "token_endpoint_auth_method": "client_secret_basic",
	//   "api_urls": [
	//     "https://api.video.example"
	//   ],
	//   "consent": {
	//     "params": {
	//       "client_key": "{client_id}",
	//       "response_type": null
	//     }
	//   }
	// }
}

func ExampleDiscover() {
	var issuer string // in a program "https://auth.example"
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{
			"issuer": %q,
			"authorization_endpoint": %[1]q,
			"token_endpoint": "%[1]s/token",
			"token_endpoint_auth_methods_supported": ["client_secret_post"],
			"code_challenge_methods_supported": ["S256"]
		}`, issuer)
	}))
	defer server.Close()
	issuer = server.URL
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, server.Client())

	p, err := endpoints.Discover(ctx, issuer)
	if err != nil {
		fmt.Println(err)
		return
	}
	p.APIURLs = []string{"https://api.auth.example"} // what metadata don't know
	fmt.Println(strings.TrimPrefix(p.Endpoint.TokenURL, issuer), p.Endpoint.AuthStyle == oauth2.AuthStyleInParams)

	_, err = endpoints.Discover(ctx, issuer+"/")
	fmt.Println(err != nil) // another issuer
	// Output:
	// /token true
	// true
}
