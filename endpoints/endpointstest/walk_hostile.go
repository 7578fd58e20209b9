package endpointstest

import (
	"slices"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// hostile connects, refreshes, calls and asks for a while, with a provider that is hostile.
// Whatever happens: a token that the client has is one that the provider issued, what the
// client takes for the end of a token or a connection is one, errors say what to do and
// repeat no secret, and no redirect is followed.
func (w *walk) hostile() {
	w.t.Cleanup(func() {
		if w.t.Failed() {
			w.t.Logf("the seed is %d: Test{Seed: %[1]d} is this test again", w.test.Seed)
		}
	})
	policy := w.server.Policy(w.p)
	policy.Rotate = w.test.Seed%2 == 0
	w.server.SetPolicy(w.p, policy)
	w.server.makeHostile(w.p, w.test.Seed)
	w.client.Timeout = 100 * time.Millisecond // for answers that are late
	const tries = 30
	connected, refreshed := 0, 0
	var token *oauth2.Token
	for range tries {
		if token == nil {
			if token = w.tryConnect(); token != nil {
				connected++
			}
			continue
		}
		if w.refreshes() {
			if token = w.tryRefresh(token, &refreshed); token == nil {
				continue
			}
		}
		w.tryCall(token)
		w.tryIntrospect(token)
		if w.p.RevokeURL != "" && refreshed > 3 || !w.refreshes() {
			w.tryRevoke(token)
			w.tryDead(token)
			token, refreshed = nil, 0
		}
	}
	if connected == 0 {
		w.t.Errorf("nothing was connected in %d tries\nthe server refused: %v", tries, w.rejected())
	}
	if n := w.server.Stats(w.p).Rejected["no such path: followed a redirect"]; n > 0 {
		w.t.Errorf("the client followed a redirect of the token endpoint")
	}
}

// tryConnect returns a token, or nil if it didn't get one.
func (w *walk) tryConnect() *oauth2.Token {
	l := w.visit("approve")
	token, err := w.config.Exchange(w.ctx, l.rfc.Get("code"), l.options...)
	if err != nil {
		w.isTold(err, "Exchange")
		if kind := endpoints.KindOf(err); kind == endpoints.KindCodeRejected && w.hasCode(l.rfc.Get("code")) {
			w.t.Errorf("the code is good, and the client takes it for rejected: %v", err)
		}
		return nil
	}
	w.noteToken(token)
	w.isIssued(token)
	return token
}

func (w *walk) hasCode(code string) bool {
	w.site.mu.Lock()
	defer w.site.mu.Unlock()
	_, ok := w.site.codes[code]
	return ok
}

// tryRefresh returns the next token, the same if there was trouble, or nil if the
// connection is at its end.
func (w *walk) tryRefresh(t *oauth2.Token, refreshed *int) *oauth2.Token {
	next, err := w.renew(t)
	if err == nil {
		w.isIssued(next)
		*refreshed++
		w.keepsVars(next)
		return next
	}
	w.isTold(err, "a refresh")
	gone := w.isGone(t)
	if endpoints.KindOf(err) != endpoints.KindLoginRequired {
		return t
	}
	if !gone {
		w.t.Errorf("the connection is good, and the client takes it for ended: %v", err)
	}
	return nil
}

// isGone reports whether a refresh token is no good, or is one that was replaced.
func (w *walk) isGone(t *oauth2.Token) bool {
	w.site.mu.Lock()
	defer w.site.mu.Unlock()
	id, generation, ok := w.site.refreshed(map[string]string{"refresh_token": t.RefreshToken})
	g := w.site.grants[id]
	return !ok || g == nil || g.generation != generation
}

// isIssued checks that a token is one of the provider's.
func (w *walk) isIssued(t *oauth2.Token) {
	w.site.mu.Lock()
	defer w.site.mu.Unlock()
	if !w.site.dialect.refreshable() {
		if w.site.grants[t.AccessToken] == nil {
			w.t.Error("the access token isn't one that was issued")
		}
		return
	}
	if _, ok := w.site.parseAccessToken(t.AccessToken); !ok {
		w.t.Error("the access token isn't one that was issued")
	}
	if _, _, ok := w.site.refreshed(map[string]string{"refresh_token": t.RefreshToken}); !ok && w.refreshes() {
		w.t.Error("the refresh token isn't one that was issued")
	}
}

// tryRevoke revokes t, some time.
func (w *walk) tryRevoke(t *oauth2.Token) {
	for range 30 {
		if w.p.RevokeURL == "" {
			return
		}
		err := w.config.Revoke(w.ctx, t)
		if err != nil {
			w.isTold(err, "Revoke")
			continue
		}
		if w.refreshes() && !w.isGone(t) {
			w.t.Error("Revoke succeeded, and the connection is still there")
		}
		return
	}
}

// tryCall calls the API: trouble isn't taken for the end of a token.
func (w *walk) tryCall(t *oauth2.Token) {
	urls, err := w.config.APIURLs(t)
	w.must(err, "APIURLs")
	for _, u := range urls {
		if _, rejected, _ := w.ask(u, t); rejected && w.isLive(t) {
			w.t.Error("the API's trouble is taken for the end of a token")
		}
	}
}

// tryDead ends the connection of t, and calls until the client notices.
func (w *walk) tryDead(t *oauth2.Token) {
	w.server.Revoke(w.p, t)
	urls, err := w.config.APIURLs(t)
	w.must(err, "APIURLs")
	for _, u := range urls {
		noticed := false
		for range 30 {
			answered, rejected, _ := w.ask(u, t)
			if answered {
				w.t.Error("the API takes a token of a connection that ended")
			}
			if noticed = rejected; noticed {
				break
			}
		}
		if !noticed {
			w.t.Errorf("30 calls with a token of a connection that ended, and the client doesn't notice\nthe server refused: %v", w.rejected())
		}
	}
}

// tryIntrospect asks about t: the answer is the provider's, or there is none.
func (w *walk) tryIntrospect(t *oauth2.Token) {
	if w.p.IntrospectURL == "" {
		return
	}
	told, err := w.config.Introspect(w.ctx, t)
	if err != nil {
		w.isTold(err, "Introspect")
	} else if live := w.isLive(t); told.Active != live {
		w.t.Errorf("Introspect says that a token is active: %v, and it is: %v", told.Active, live)
	}
}

// isLive reports whether the connection of t is one that the provider knows.
func (w *walk) isLive(t *oauth2.Token) bool {
	w.site.mu.Lock()
	defer w.site.mu.Unlock()
	id := t.AccessToken
	if w.site.dialect.refreshable() {
		c, _ := w.site.parseAccessToken(t.AccessToken)
		id = c.Grant
	}
	g := w.site.grants[id]
	return g != nil && !g.lost
}

// isTold checks that an error says what to do.
func (w *walk) isTold(err error, what string) {
	w.keepsSecrets(err)
	if !slices.Contains([]endpoints.ErrorKind{
		endpoints.KindCodeRejected, endpoints.KindLoginRequired, endpoints.KindRateLimited, endpoints.KindProviderTrouble, endpoints.KindUnreadable,
		endpoints.KindClientRejected, // a redirect
	}, endpoints.KindOf(err)) {
		w.t.Errorf("%s: the error's kind is %q: %v\nthe server refused: %v", what, endpoints.KindOf(err), err, w.rejected())
	}
}
