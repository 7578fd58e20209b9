package endpoints

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// Revoke asks the provider to revoke t: its refresh token if it has one, and its
// access token otherwise (RFC 7009), unless Provider.Revoke says which. It returns nil
// if the token was dead already, also where the provider calls that an error, against
// section 2.2. For a provider that has no endpoint for it, the error wraps
// errors.ErrUnsupported.
func (c *Config) Revoke(ctx context.Context, t *oauth2.Token) error {
	conf := c.config()
	if conf.err != nil {
		return conf.err
	}
	if conf.RevokeURL == "" {
		return conf.mistake("the provider has no endpoint to revoke tokens at: %w", errors.ErrUnsupported)
	}
	err := conf.tell(ctx, conf.call(grantRevoke, t), "revoke")
	if wasDead(err) || conf.refusesBearer(grantRevoke, err) {
		return nil
	}
	return err
}

// refusesBearer reports whether err says that an access token, by which the request of
// that grant was authenticated, is dead: or it would have been taken.
func (c *config) refusesBearer(grant string, err error) bool {
	meaning, answered := tokenerror.Of(err)
	return answered && c.conversationOf(grant).auth == AccessTokenAuth && meaning.Status == http.StatusUnauthorized &&
		meaning.Kind != tokenerror.Unreadable
}

// tell makes a request about a token and returns the error of its answer.
func (c *config) tell(ctx context.Context, call *call, verb string) error {
	conversation, t := c.conversationOf(call.grant), call.token
	if t == nil || t.AccessToken == "" && (t.RefreshToken == "" || conversation.needsAccessToken()) {
		return c.mistake("there is no token to %s", verb)
	}
	return call.do(ctx, url.Values{"token": {cmp.Or(t.RefreshToken, t.AccessToken)}})
}

// needsAccessToken reports whether the request makes no sense without one.
func (c *conversation) needsAccessToken() bool {
	return c.auth == AccessTokenAuth || slices.Contains(c.uses(), "access_token")
}

// wasDead reports whether the error of a revocation says that the token is dead. It
// goes by a known code, or, for another, by words about the token.
func wasDead(err error) bool {
	var retrieve *oauth2.RetrieveError
	meaning, ok := tokenerror.Of(err)
	if !ok || !errors.As(err, &retrieve) || strings.HasPrefix(retrieve.ErrorDescription, tokenerror.Unusable) {
		return false
	}
	words := strings.ToLower(retrieve.ErrorDescription)
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(words, part) })
	}
	known, _ := tokenerror.Lookup(retrieve.ErrorCode)
	switch {
	case has("client") && !has("expired", "revoked"):
		return false // it lives, and is another client's
	case meaning.Kind == tokenerror.GrantRejected, meaning.Kind == tokenerror.LoginRequired:
		return true
	case meaning.Kind == tokenerror.RateLimited, meaning.Kind == tokenerror.Unavailable, known != "" && known != tokenerror.CodeUnreadable:
		return false
	}
	if strings.HasPrefix(words, "http status ") {
		words = "" // ours
	}
	words += " " + strings.ReplaceAll(strings.ToLower(retrieve.ErrorCode), "_", " ")
	return has("token", "grant") && !has("endpoint", "route", "url") &&
		has("not found", "already revoked", "expired", "no longer", "does not exist", "unknown token", "token unknown")
}
