package endpoints_test

import (
	"context"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

func goldenKind(err error) endpoints.ErrorKind {
	return endpoints.KindOf(err)
}

func goldenRefused(c *endpoints.Config, resp *http.Response) bool {
	_, refused := c.TokenRejected(resp)
	return refused
}

func goldenIntrospect(ctx context.Context, c *endpoints.Config, t *oauth2.Token) error {
	_, err := c.Introspect(ctx, t)
	return err
}

// goldenCallbackKind tells what the error of a callback means, as ReadCallback
// returned it.
func goldenCallbackKind(rfc url.Values) endpoints.ErrorKind {
	return map[string]endpoints.ErrorKind{
		"access_denied":           endpoints.KindDenied,
		"invalid_request":         endpoints.KindClientRejected,
		"invalid_scope":           endpoints.KindInsufficientScope,
		"login_required":          endpoints.KindLoginRequired,
		"redirect_uri_mismatch":   endpoints.KindRedirectMismatch,
		"server_error":            endpoints.KindProviderTrouble,
		"temporarily_unavailable": endpoints.KindProviderTrouble,
	}[rfc.Get("error")]
}
