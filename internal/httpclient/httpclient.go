// Package httpclient makes requests that have secrets in them: with the client of the context,
// to the origins that the secrets are for, without redirects, and a single time.
package httpclient

import (
	"context"
	"net/http"

	"golang.org/x/oauth2"
)

// From returns the client that ctx carries for x/oauth2, under the key oauth2.HTTPClient, or
// fallback if there is none.
func From(ctx context.Context, fallback *http.Client) *http.Client {
	if c, ok := ctx.Value(oauth2.HTTPClient).(*http.Client); ok && c != nil {
		return c
	}
	return fallback
}

// WithoutRedirects returns a copy of c that returns a redirect instead of following it: it
// would take what is secret in the request elsewhere.
func WithoutRedirects(c *http.Client) *http.Client {
	client := *c
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}
