package endpoints_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
		source.Reject(token)
		fmt.Println("ask the user:", told.Kind)
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

// What the two providers tell about a connection, and what to do about it.
func TestIntrospectionTellsWhatAConnectionIsWorth(t *testing.T) {
	finch := func(status string) string {
		return `{"connection_id": "c1", "connection_status": {"status": "` + status + `", "message": "m"}, "products": ["company"]}`
	}
	for name, tt := range map[string]struct {
		provider endpoints.Provider
		status   int
		body     string
		active   bool
		kind     endpoints.ErrorKind
	}{
		"Finch, connected":         {endpoints.Finch, 200, finch("connected"), true, ""},
		"Finch, pending":           {endpoints.Finch, 200, finch("pending"), true, ""},
		"Finch, processing":        {endpoints.Finch, 200, finch("processing"), true, ""},
		"Finch, reauth":            {endpoints.Finch, 200, finch("reauth"), false, endpoints.KindLoginRequired},
		"Finch, no account set up": {endpoints.Finch, 200, finch("error_no_account_setup"), false, endpoints.KindLoginRequired},
		"Finch, permissions":       {endpoints.Finch, 200, finch("error_permissions"), true, endpoints.KindInsufficientScope},
		"Finch, a dead token": {endpoints.Finch, 401, `{"code": 401, "name": "invalid_token", "message": "The access_token is incorrect"}`,
			false, endpoints.KindLoginRequired},
		"Finch, reauthenticate_user": {endpoints.Finch, 401, `{"code": 401, "name": "authentication_error", "finch_code": "reauthenticate_user"}`,
			false, endpoints.KindLoginRequired},
		"Chart":               {endpoints.Chart, 200, `{"taxpayer_id": "t1", "client_id": "c", "name": null, "provider_id": "turbotax"}`, true, ""},
		"Chart, a dead token": {endpoints.Chart, 401, `{"message": "Unauthorized"}`, false, endpoints.KindLoginRequired},
	} {
		t.Run(name, func(t *testing.T) {
			n := newInternet(t, answerJSON(tt.status, tt.body))
			told, err := tt.provider.Config(oauth2.Config{ClientID: clientID}).Introspect(n.context(), &oauth2.Token{AccessToken: "access"})
			require.NoError(t, err)
			assert.Equal(t, tt.active, told.Active)
			assert.Equal(t, tt.kind, told.Kind)
		})
	}
	for status, body := range map[int]string{500: finch("connected"), 403: "<html>", 429: `{"name": "rate_limit_exceeded"}`, 200: "<html>"} {
		n := newInternet(t, answerJSON(status, body))
		_, err := endpoints.Finch.Config(oauth2.Config{ClientID: clientID}).Introspect(n.context(), &oauth2.Token{AccessToken: "access"})
		assert.Error(t, err, "an answer that isn't one says nothing")
	}
}
