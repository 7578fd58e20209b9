package tokensource

import (
	"context"
	"encoding/json"
	"errors"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
	"golang.org/x/oauth2/jwt"

	"github.com/oauth2keep/oauth2keep/internal/httpclient"
)

// TwoLegged makes a [Refresher] of what gets tokens without a user, such as a
// *clientcredentials.Config or a *jwt.Config of x/oauth2. A Manager with it needs no Save:
// the first call for a name obtains a token, once for all processes, which is kept and
// renewed early like any other. There is no consent and no refresh token, and so no error
// of a Source or a Client is [ErrLoginRequired]; whatever the provider refuses, it is the
// application that is misconfigured. [Manager.Forget] drops a token, and the next call
// obtains another.
//
// Of those two types the [Registration] is known. For another, set Manager.Registration.
// Give each combination of scopes, and each subject, a name of its own.
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
	return coded{t.config.TokenSource(ctx)}
}

// coded adds the error code that *jwt.Config leaves in the body.
type coded struct{ oauth2.TokenSource }

// Token implements oauth2.TokenSource.
func (s coded) Token() (*oauth2.Token, error) {
	t, err := s.TokenSource.Token()
	var answer *oauth2.RetrieveError
	var body struct {
		Error string `json:"error"`
	}
	if !errors.As(err, &answer) || answer.ErrorCode != "" || json.Unmarshal(answer.Body, &body) != nil {
		return t, err
	}
	c := *answer
	c.ErrorCode = body.Error
	return t, &c
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
	o, err := httpclient.ParseOrigin(tokenURL)
	if err != nil {
		return "", clientID
	}
	return o.String(), clientID
}
