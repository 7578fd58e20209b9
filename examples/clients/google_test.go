package clients

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/api/googleapi"
	userinfo "google.golang.org/api/oauth2/v2"
	"google.golang.org/api/option"
	htransport "google.golang.org/api/transport/http"

	"github.com/oauth2keep/oauth2keep/internal/clienttest"
)

func googleUser(w http.ResponseWriter, _ *http.Request) {
	_, _ = io.WriteString(w, `{"id":"1","email":"user@example.com"}`)
}

// getUser calls an API of Google's.
func getUser(t *testing.T, client *http.Client, url string) func(context.Context) error {
	service, err := userinfo.NewService(t.Context(), option.WithHTTPClient(client), option.WithEndpoint(url))
	require.NoError(t, err)
	return func(ctx context.Context) error {
		user, err := service.Userinfo.Get().Context(ctx).Do()
		if err == nil && user.Email != "user@example.com" {
			err = errors.New("that isn't the user")
		}
		return err
	}
}

func TestGoogleWithHTTPClient(t *testing.T) {
	clienttest.Test(t, clienttest.Client{
		Answer: googleUser,
		New: func(t *testing.T, p *clienttest.Provider, connection, url string) func(context.Context) error {
			return getUser(t, p.Manager.Client(connection), url)
		},
	})
}

// TestGoogleWithTokenSource: what WithTokenSource makes is x/oauth2's transport. So the caller
// has to tell of a refusal.
func TestGoogleWithTokenSource(t *testing.T) {
	if testing.Short() {
		t.Skip("has the same client as another test; run without -short")
	}
	clienttest.Test(t, clienttest.Client{
		Answer: googleUser,
		New: func(t *testing.T, p *clienttest.Provider, connection, url string) func(context.Context) error {
			source := p.Manager.Source(connection)
			transport, err := htransport.NewTransport(t.Context(), p.Manager.Base, option.WithTokenSource(source))
			require.NoError(t, err)
			call := getUser(t, &http.Client{Transport: transport}, url)
			return func(ctx context.Context) error {
				token, err := source.Token()
				if err != nil {
					return err
				}
				err = call(ctx)
				var answer *googleapi.Error
				if errors.As(err, &answer) && answer.Code == http.StatusUnauthorized {
					source.Reject(token)
				}
				return err
			}
		},
		Once: true, Deaf: true, Careless: true,
	})
}
