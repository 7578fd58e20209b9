package finch_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/endpoints/finch"
	"github.com/oauth2keep/oauth2keep/pkce"
	"github.com/oauth2keep/oauth2keep/storage"
)

// A handler that sends an employer to Finch Connect. The callback is that of every
// pkce.Flow.
func ExampleClient() {
	sandbox, err := endpointstest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer sandbox.Close()
	conf := sandbox.Config(endpoints.Finch, "http://localhost/callback")
	conf.Scopes = []string{"company", "directory"}
	keys, _ := storage.NewKeyset(storage.NewKey())
	flow := &pkce.Flow{
		Config: &finch.Client{Config: sandbox.Provider(endpoints.Finch).Config(conf)},
		Sealer: keys,
	}
	connect := func(w http.ResponseWriter, r *http.Request) {
		s, err := flow.Begin(w, r, "acme", finch.Session{CustomerID: "acme", CustomerName: "Acme, Inc."}.Option())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		http.Redirect(w, r, s.URL, http.StatusFound)
	}

	w := httptest.NewRecorder()
	connect(w, httptest.NewRequest("GET", "http://localhost/connect", nil))
	page, _ := url.Parse(w.Header().Get("Location"))
	fmt.Println(w.Code, page.Path, page.Query().Has("session"), page.Query().Has("state"))
	back, err := endpointstest.Approve(context.Background(), nil, page.String())
	fmt.Println(back.Path, back.Query().Has("code"), err)
	// Output:
	// 302 /authorize true true
	// /callback true <nil>
}
