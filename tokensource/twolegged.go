package tokensource

import (
	"context"
	"net/url"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/oauth2/jwt"
)

// TwoLegged makes a [Refresher] of what gets tokens without a user, such as a
// *clientcredentials.Config or a *jwt.Config of x/oauth2. A Manager with it needs no Save:
// the first call for a name obtains a token, once for all processes, which is kept and
// renewed early like any other. There is no consent and no refresh token, and so no token
// ever fails with [ErrLoginRequired].
//
// Of those two types the [Registration] is known. For another, set Manager.Registration.
// Give each combination of scopes a name of its own.
func TwoLegged(c interface {
	TokenSource(context.Context) oauth2.TokenSource
}) Refresher {
	return twoLegged{c}
}

type twoLegged struct {
	config interface {
		TokenSource(context.Context) oauth2.TokenSource
	}
}

// TokenSource implements Refresher.
func (t twoLegged) TokenSource(ctx context.Context, _ *oauth2.Token) oauth2.TokenSource {
	return t.config.TokenSource(ctx)
}

// Registration implements Registrant.
func (t twoLegged) Registration() (issuer, clientID string) {
	var tokenURL string
	switch c := t.config.(type) {
	case Registrant:
		return c.Registration()
	case *clientcredentials.Config:
		tokenURL, clientID = c.TokenURL, c.ClientID
	case *jwt.Config:
		tokenURL, clientID = c.TokenURL, c.Email
	}
	u, err := url.Parse(tokenURL)
	if err != nil || u.Host == "" {
		return "", clientID
	}
	return u.Scheme + "://" + u.Host, clientID
}
