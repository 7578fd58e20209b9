package endpoints_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// A token of Finch doesn't expire, so that only Finch knows what a connection is worth:
// while the employer has to log in again, calls fail one by one, or answer with old data.
// Such a check is for times when it matters, such as before a payroll, or a webhook that
// says so.
func ExampleConfig_Introspect() {
	finch := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, r.URL.Path, r.Header.Get("Authorization"))
		io.WriteString(w, `{"connection_id": "c1", "products": ["company"], "provider_id": "gusto",
			"connection_status": {"status": "reauth", "message": "The employer must log in again"}}`)
	}))
	defer finch.Close()
	provider := endpoints.Finch
	provider.IntrospectURL = finch.URL + "/introspect"
	config := provider.Config(oauth2.Config{ClientID: "my-id", ClientSecret: "my-secret"})
	keys, _ := storage.NewKeyset(storage.NewKey())
	manager := &tokensource.Manager{Config: config, Store: storage.Encrypt(new(storage.Memory), keys)}

	ctx := context.Background()
	manager.Save(ctx, "acme", &oauth2.Token{AccessToken: "access-1"})

	source := manager.Source("acme")
	token, err := source.Stored(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	told, err := config.Introspect(ctx, token)
	switch {
	case err != nil: // of the question: nothing is known
		fmt.Println(err)
	case !told.Active:
		fmt.Println("ask the user:", told.Kind)
		if err := source.RequireLogin(ctx, token, "reauth"); err != nil {
			fmt.Println(err)
		}
	case told.Kind != endpoints.KindUnknown:
		fmt.Println("it works, but:", told.Kind)
	}
	_, err = source.Token()
	fmt.Println(errors.Is(err, tokensource.ErrLoginRequired))
	// Output:
	// GET /introspect Bearer access-1
	// ask the user: login_required
	// true
}
