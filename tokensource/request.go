package tokensource

import (
	"context"
	"errors"
	"time"

	"golang.org/x/oauth2"
)

// ask sends the refresh token, and sends it a second time if the answer to the
// first request got lost and again allows it: the provider may have rotated the
// token. At once is when a grace window is most likely to be open still; and if
// there is none, the grant was lost with the answer.
func (r *refresh) ask(refreshToken string, again func() bool) (*oauth2.Token, outcome, error) {
	token, o, err := r.send(refreshToken)
	if err != nil && o.lost && again() {
		token, o, err = r.send(refreshToken)
		o.inDoubt = true
	}
	return token, o, err
}

// send makes one refresh request.
func (r *refresh) send(refreshToken string) (*oauth2.Token, outcome, error) {
	ctx, cancel := context.WithTimeout(r.m.withClient(r.ctx), r.m.refreshTimeout())
	defer cancel()
	var w wire
	start := time.Now()
	token, err := r.m.Config.TokenSource(w.watch(ctx), &oauth2.Token{RefreshToken: refreshToken}).Token()
	if err == nil && (token == nil || token.AccessToken == "") {
		err = errors.New("tokensource: Manager.Config returned neither a token nor an error")
	}
	if err != nil {
		return nil, outcomeOf(err, &w), err
	}
	if !token.Expiry.IsZero() {
		// x/oauth2 counts the lifetime from when it read the answer. The provider
		// began to count earlier, at most when the request was sent.
		c := *token
		c.Expiry = c.Expiry.Add(-elapsed(start))
		token = &c
	}
	return token, outcome{}, nil
}
