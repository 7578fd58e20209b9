package endpointstest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// exchange: the token is what the provider issued, and what came with it stays beside
// it; a code works once.
func (w *walk) exchange() {
	l := w.visit("approve")
	token, err := w.config.Exchange(w.ctx, l.rfc.Get("code"), l.options...)
	w.must(err, "Exchange")
	w.checkToken(token)
	w.keepsVars(token)
	w.works(token)
	_, err = w.config.Exchange(w.ctx, l.rfc.Get("code"), l.options...)
	w.fails(err, "a code that was used", endpoints.KindCodeRejected)
	w.works(token)
}

// keepsVars checks that the account's variables are beside a token, and what the
// callback has brought.
func (w *walk) keepsVars(t *oauth2.Token) {
	w.t.Helper()
	w.site.mu.Lock()
	defer w.site.mu.Unlock()
	g := w.site.grants[t.AccessToken]
	if w.site.dialect.refreshable() {
		c, _ := w.site.parseAccessToken(t.AccessToken)
		g = w.site.grants[c.Grant]
	}
	if g == nil {
		return // a hostile network has ended it
	}
	for _, name := range append(later(&w.site.real), w.site.real.Callback.Keep...) {
		if got, ok := extra(t, name); !ok || got != g.vars[name] {
			w.t.Errorf("beside the token %s is %q and not %q", name, got, g.vars[name])
		}
	}
}

// extra returns what is beside a token, by its path.
func extra(t *oauth2.Token, path string) (string, bool) {
	head, rest, nested := strings.Cut(path, ".")
	if v := t.Extra(path); v != nil || !nested {
		return fmt.Sprint(v), v != nil
	}
	inner, _ := t.Extra(head).(map[string]any)
	return textAt(inner, rest)
}

// checkToken compares a token with what the server knows of it.
func (w *walk) checkToken(t *oauth2.Token) {
	w.t.Helper()
	w.noteToken(t)
	w.site.mu.Lock()
	defer w.site.mu.Unlock()
	if w.site.dialect.refreshable() {
		if _, ok := w.site.parseAccessToken(t.AccessToken); !ok {
			w.t.Fatal("the access token isn't the one that was issued")
		}
	} else if w.site.grants[t.AccessToken] == nil {
		w.t.Fatal("the access token isn't the one that was issued")
	}
	if w.refreshes() {
		if _, _, ok := w.site.refreshed(map[string]string{"refresh_token": t.RefreshToken}); !ok {
			w.t.Fatal("the refresh token isn't the one that was issued")
		}
	} else if t.RefreshToken != "" {
		w.t.Errorf("there is a refresh token, and none was issued")
	}
	lifetime := w.site.policy.AccessLifetime
	switch _, ok := w.site.dialect.(plain); {
	case !ok && lifetime == 0:
		if !t.Expiry.IsZero() {
			w.t.Errorf("the token expires at %v, and the provider doesn't say so", t.Expiry)
		}
	default:
		left := time.Until(t.Expiry)
		if w.site.real.Answer.Names["expires_at"] != "" {
			left -= time.Duration(w.server.offset.Load()) // it is a time by the server's clock
		}
		if t.Expiry.IsZero() {
			w.t.Errorf("the token doesn't expire, and the provider says that it lives for %v", lifetime)
			return
		}
		const inexact = 2 * time.Minute // a layout may have no seconds
		if left < lifetime-inexact || left > lifetime+inexact {
			w.t.Errorf("the token lives for %v, and the provider says %v", left, lifetime)
		}
	}
}

// call sends a request with t to each of the provider's APIs, and tells whether they
// refuse the token.
func (w *walk) call(t *oauth2.Token) (answered, rejected bool) {
	w.t.Helper()
	urls, err := w.config.APIURLs(t)
	w.must(err, "APIURLs")
	answered = true
	for _, u := range urls {
		ok, refused, err := w.ask(u, t)
		w.must(err, "the API")
		answered, rejected = answered && ok, rejected || refused
	}
	return answered, rejected
}

// ask sends a request with t to the API at u.
func (w *walk) ask(u string, t *oauth2.Token) (answered, rejected bool, err error) {
	r, err := http.NewRequestWithContext(w.ctx, http.MethodGet, strings.TrimSuffix(u, "/")+w.path(), http.NoBody)
	if err != nil {
		return false, false, err
	}
	r.Header = w.config.APIHeader(t)
	resp, err := w.client.Do(r)
	if err != nil {
		return false, false, err
	}
	defer resp.Body.Close()
	_, rejected = w.config.TokenRejected(resp)
	body, err := io.ReadAll(resp.Body)
	_, ofPlain := w.site.dialect.(plain)
	return resp.StatusCode == http.StatusOK && (!ofPlain || strings.Contains(string(body), called)), rejected, err
}

// path is that of a call of the API that any token can make.
func (w *walk) path() string {
	for _, c := range w.site.dialect.calls() {
		if c.on == API && c.method == http.MethodGet && c.path != "/introspect" {
			return c.path
		}
	}
	return "/things"
}

// works checks that the API takes t.
func (w *walk) works(t *oauth2.Token) {
	w.t.Helper()
	if !w.hasAPI() {
		return
	}
	if answered, rejected := w.call(t); !answered || rejected {
		w.t.Errorf("the API: answered is %v, the token rejected is %v\nthe server refused: %v", answered, rejected, w.rejected())
	}
}

// dead checks that the API refuses t, and that the client notices.
func (w *walk) dead(t *oauth2.Token, what string) {
	w.t.Helper()
	if !w.hasAPI() {
		return
	}
	if answered, rejected := w.call(t); answered || !rejected {
		w.t.Errorf("the API, with %s: answered is %v, the token rejected is %v", what, answered, rejected)
	}
}

// denied: the client can tell that the user said no.
func (w *walk) denied() {
	l := w.visit("deny")
	if l.rfc.Get("error") != "access_denied" || l.rfc.Has("code") {
		w.t.Errorf("a callback of a user who said no has %v, which is read as %v", names(l.callback), names(l.rfc))
	}
}

// wrongClient: the provider doesn't know the client's secret, key or id.
func (w *walk) wrongClient() {
	l := w.visit("approve")
	oauth := w.oauth()
	c := w.site.kinds[atExchange]
	switch {
	case c.sends("client_assertion") && c.auth == endpoints.PrivateKeyJWT:
		key := newKey() // that the server hasn't been told of
		_, err := w.p.Config(oauth).WithKey(key, keyHeader).Exchange(w.ctx, l.rfc.Get("code"), l.options...)
		w.fails(err, "a client with another key", endpoints.KindClientRejected)
		return
	case c.auth == endpoints.PublicClient && c.sends("client_id"):
		oauth.ClientID = "someone"
	case c.sends("client_secret"), c.auth == endpoints.ClientSecretBasic, c.auth == endpoints.ClientSecretBasicRaw, c.auth == endpoints.ClientSecretJWT:
		oauth.ClientSecret = "a guess"
	default:
		w.t.Skip("an exchange has no secret")
	}
	_, err := w.p.Config(oauth).Exchange(w.ctx, l.rfc.Get("code"), l.options...)
	w.fails(err, "a client that the provider doesn't know", endpoints.KindClientRejected)
}

// keyHeader is what a client puts into the header of its assertions.
var keyHeader = map[string]string{"kid": "test"}

// newKey makes a client's key.
func newKey() crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic("endpointstest: " + err.Error()) // it never fails
	}
	return key
}

// trouble: what isn't an answer of the provider is not taken for one, and ends
// nothing.
func (w *walk) trouble() {
	l := w.visit("approve")
	passing := []endpoints.ErrorKind{endpoints.KindProviderTrouble, endpoints.KindUnreadable, endpoints.KindRateLimited}
	redirected := []endpoints.ErrorKind{endpoints.KindUnreadable, endpoints.KindClientRejected} // it has another address
	for _, f := range []Fault{
		{Trouble: Unavailable}, {Trouble: RateLimited, RetryAfter: time.Minute}, {Trouble: Firewall}, page502,
	} {
		f.Times = 1
		w.server.Fail(w.p, f)
		_, err := w.config.Exchange(w.ctx, l.rfc.Get("code"), l.options...)
		if w.means(f) {
			continue
		}
		w.fails(err, fmt.Sprintf("trouble of kind %d", f.Trouble), passing...)
		if meaning, _ := tokenerror.Of(err); meaning.RetryAfter != f.RetryAfter {
			w.t.Errorf("the provider asks to wait for %v, and the error says %v", f.RetryAfter, meaning.RetryAfter)
		}
	}
	w.server.Fail(w.p, Fault{Handler: http.RedirectHandler(trapPath, http.StatusTemporaryRedirect), Times: 1})
	_, err := w.config.Exchange(w.ctx, l.rfc.Get("code"), l.options...)
	w.fails(err, "a redirect", redirected...)
	token, err := w.config.Exchange(w.ctx, l.rfc.Get("code"), l.options...)
	w.must(err, "Exchange after the trouble is over")
	w.works(token)
	if n := w.server.Stats(w.p).Rejected["no such path: followed a redirect"]; n > 0 {
		w.t.Errorf("the client followed a redirect of the token endpoint")
	}
}

// means reports whether the definition gives what a fault answers a meaning of its own.
func (w *walk) means(f Fault) bool {
	status := map[Trouble]int{Unavailable: http.StatusServiceUnavailable, RateLimited: http.StatusTooManyRequests, Firewall: http.StatusForbidden}[f.Trouble]
	if f.Handler != nil {
		status = http.StatusBadGateway
	}
	for _, r := range w.p.Answer.Errors {
		if r.Status == status && r.In == "" && r.Code == "" {
			return true
		}
	}
	return false
}

// expiry: the client notices that the API takes a token no longer.
func (w *walk) expiry() {
	token := w.connect()
	lifetime := w.server.Policy(w.p).AccessLifetime
	if lifetime == 0 {
		w.t.Skip("tokens don't expire")
	}
	w.server.Advance(lifetime)
	w.dead(token, "a token that expired")
}

// renew refreshes t.
func (w *walk) renew(t *oauth2.Token) (*oauth2.Token, error) {
	old := *t
	old.Expiry = time.Unix(1, 0)
	next, err := w.config.TokenSource(w.ctx, &old).Token()
	if err == nil {
		w.noteToken(next)
	}
	return next, err
}

// refresh: without rotation the refresh token stays, and so do the variables.
func (w *walk) refresh() {
	token := w.connect()
	for range 3 {
		w.server.Advance(w.server.Policy(w.p).AccessLifetime)
		next, err := w.renew(token)
		w.must(err, "a refresh")
		w.checkToken(next)
		if next.AccessToken == token.AccessToken {
			w.t.Error("a refresh brings the old access token")
		}
		if next.RefreshToken != token.RefreshToken && !(plain{w.site}).refreshesByAccess() {
			w.t.Error("the refresh token was not replaced, and the client has another")
		}
		w.keepsVars(next)
		w.works(next)
		token = next
	}
	if stats := w.server.Stats(w.p); stats.RefreshRequests != 3 || stats.Refreshed != 3 {
		w.t.Errorf("3 refreshes took %d requests, of which %d were granted", stats.RefreshRequests, stats.Refreshed)
	}
}

// rotation: each refresh replaces the refresh token, and using an old one is the end.
func (w *walk) rotation() {
	policy := w.server.Policy(w.p)
	policy.Rotate = true
	w.server.SetPolicy(w.p, policy)
	first := w.connect()
	second, err := w.renew(first)
	w.must(err, "a refresh")
	third, err := w.renew(second)
	w.must(err, "a refresh with the next token")
	if second.RefreshToken == first.RefreshToken || third.RefreshToken == second.RefreshToken {
		w.t.Error("the refresh token was replaced, and the client has the old one")
	}
	w.works(third)
	_, err = w.renew(first)
	w.fails(err, "a refresh token that was replaced", endpoints.KindLoginRequired)
	_, err = w.renew(third)
	w.fails(err, "a refresh token of a connection that ended", endpoints.KindLoginRequired)
	w.dead(third, "a token of a connection that ended")
}

// deadGrant: the user has taken back the consent at the provider.
func (w *walk) deadGrant() {
	token := w.connect()
	if !w.server.Revoke(w.p, token) {
		w.t.Fatal("the server doesn't know the connection")
	}
	if w.refreshes() {
		_, err := w.renew(token)
		w.fails(err, "a refresh of a connection that ended", endpoints.KindLoginRequired)
	}
	w.dead(token, "a token of a connection that ended")
}

// revocation: it ends the connection, and a connection that has ended is no error.
func (w *walk) revocation() {
	token, other := w.connect(), w.connect()
	w.must(w.config.Revoke(w.ctx, token), "Revoke")
	if w.refreshes() {
		_, err := w.renew(token)
		w.fails(err, "a refresh of a revoked connection", endpoints.KindLoginRequired)
	}
	w.dead(token, "a revoked token")
	w.must(w.config.Revoke(w.ctx, token), "Revoke, a second time")
	w.works(other)
	if n := w.server.Stats(w.p).Revoked; n != 1 {
		w.t.Errorf("%d connections were revoked, not 1", n)
	}
}

// introspection: the provider tells what a token is worth.
func (w *walk) introspection() {
	token := w.connect()
	told, err := w.config.Introspect(w.ctx, token)
	w.must(err, "Introspect")
	if !told.Active {
		w.t.Error("a good token isn't active")
	}
	w.server.Revoke(w.p, token)
	told, err = w.config.Introspect(w.ctx, token)
	w.must(err, "Introspect of a revoked token")
	if told.Active {
		w.t.Error("a revoked token is active")
	}
}
