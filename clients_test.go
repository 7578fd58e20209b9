package oauth2keep_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/clienttest"
)

// get calls the API with an *http.Client.
func get(ctx context.Context, client *http.Client, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return status(resp.StatusCode)
	}
	return nil
}

type status int

func (s status) Error() string { return fmt.Sprintf("the API answers %d", int(s)) }

func TestManagerClient(t *testing.T) {
	clienttest.Test(t, clienttest.Client{
		New: func(_ *testing.T, p *clienttest.Provider, connection, url string) func(context.Context) error {
			client := p.Manager.Client(connection)
			return func(ctx context.Context) error { return get(ctx, client, url) }
		},
	})
}

// TestOAuth2Transport has x/oauth2's own transport, with what that can't do.
func TestOAuth2Transport(t *testing.T) {
	clienttest.Test(t, clienttest.Client{
		New: func(_ *testing.T, p *clienttest.Provider, connection, url string) func(context.Context) error {
			source := p.Manager.Source(connection)
			client := &http.Client{Transport: &oauth2.Transport{Source: source, Base: p.Manager.Base}}
			return func(ctx context.Context) error {
				token, err := source.TokenContext(context.Background())
				if err != nil {
					return err
				}
				if err = get(ctx, client, url); err == status(http.StatusUnauthorized) {
					source.Reject(token)
				}
				return err
			}
		},
		Once: true, Deaf: true, Careless: true,
	})
}
