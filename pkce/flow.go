package pkce

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"
	"unicode/utf8"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
)

// Flow takes users of a web application to the consent page of one provider and
// back. Config and Sealer are required; nothing may be changed once a method was
// called, and a Flow must not be copied. All methods are safe for concurrent use.
//
// A Flow keeps nothing about an attempt but the fact that it is over, so any
// process of an application that has the same configuration and keys can finish
// what another one began.
type Flow struct {
	// Config is the client at the provider. If it is a plain [oauth2.Config], its
	// Endpoint.AuthStyle must be set, or Begin and Callback refuse it as
	// [ErrMisconfigured]: to find it out, x/oauth2 would send the code, which is
	// good for one use, a second time.
	Config Exchanger

	// Sealer seals the cookies, such as a [storage.Keyset]. It may be the one
	// that seals the tokens.
	Sealer storage.Sealer

	// MaxAge is the time that an attempt may take, from the click on the button
	// to the callback. Zero means 30 minutes.
	MaxAge time.Duration

	// NoPKCE keeps the PKCE parameters away from a provider that rejects them.
	// There is no need for it with a Config of package endpoints, which knows.
	NoPKCE bool

	// Issuer is the issuer identifier of a provider that puts iss into its
	// callbacks (RFC 9207), as its metadata say with
	// authorization_response_iss_parameter_supported. If it is set, a callback
	// without iss, or with another one, is refused as [ErrMisconfigured], as
	// section 2.4 demands. If it is empty, what Config knows as an
	// [Authorizer] counts, and an iss isn't looked at if it knows nothing.
	Issuer string

	// ExchangeOptions are parameters for the exchange. Those for the consent page
	// are given to Begin. The value of a provider's variable that Begin was given goes
	// before one from here, and that before what the callback has for it.
	ExchangeOptions []oauth2.AuthCodeOption

	// ExchangeTimeout bounds the exchange, the opening of the cookie before it, the wait
	// of a second callback for the first, and what an [Authorizer] takes to make the
	// consent page's URL. Zero means 5 minutes: there are providers whose answer takes
	// minutes.
	ExchangeTimeout time.Duration

	// RequestContext, if not nil, makes the context of the exchange from that of the
	// callback, and the one for an [Authorizer] from that of Begin's request. It is the
	// place for an [oauth2.HTTPClient], or for the Context method of a Provider of package
	// endpoints if Config is a plain [oauth2.Config].
	RequestContext func(context.Context) context.Context

	spent spentStates
}

// Begin starts an attempt to make a connection: it sets the attempt's cookie and
// returns the Session, whose URL is that of the consent page. The caller redirects
// the browser there:
//
//	http.Redirect(w, r, s.URL, http.StatusFound)
//
// The options go into the URL, or are values of the provider's variables (see
// package endpoints), which the exchange gets as well. Begin also sets Cache-Control:
// no-store.
//
// The connection's name comes back to [Flow.Callback]. It is any valid UTF-8, and
// isn't readable in the cookie. As a cookie holds it, it should be short; from about
// 2,500 bytes on it is an error.
//
// A browser keeps at most 8 unfinished attempts, and as many as fit into 4 KiB of
// cookies. A further one takes the place of one in the middle, so that the first
// ones and the latest stay: a script that follows links can't push out what the user
// began before. The callback of an attempt that had to go is an [ErrState] whose
// text says so. A request that the browser makes before the user does, a prefetch,
// begins nothing.
//
// The error wraps [ErrMisconfigured]
//
//   - if Config or Sealer is missing or Config isn't valid,
//   - if Config's client id is empty, or its redirect URL is missing, isn't absolute,
//     has a fragment, or is plain http at a host other than the loopback,
//   - if the browser is at one name of the loopback and the redirect URL at another,
//     such as localhost and 127.0.0.1, since the cookie would not come back. Between
//     other hosts that differ, a proxy may stand, so that is no error,
//   - or if the connection's name can't be kept.
//
// It wraps [ErrStartAgain] if a variable's value isn't accepted, if sealing failed, if the
// provider had to be asked for the URL and couldn't be reached, or if r is a prefetch:
// answer that with any status but a success or a redirect, and the browser will ask again
// when the user does. No cookie was set then.
func (f *Flow) Begin(w http.ResponseWriter, r *http.Request, connection string, opts ...oauth2.AuthCodeOption) (*Session, error) {
	return f.begin(w, r, connection, false, opts)
}

// BeginEmbedded is [Flow.Begin] for a page in which the provider's own JavaScript
// shows the consent dialog and hands the code to the page. Give that JavaScript
// the Session's State, or its URL, which has no redirect_uri. The page then passes
// code and state on to the [Flow.Callback] handler, in the query of a GET or in a
// form, from its own origin:
//
//	fetch("/callback", {method: "POST", body: new URLSearchParams({code, state})})
//
// A FormData does as well. Config's redirect URL isn't looked at.
//
// PKCE needs the consent page to see the URL's code_challenge. If the JavaScript
// takes the state alone, and Config doesn't drop the PKCE parameters by itself, set
// NoPKCE.
func (f *Flow) BeginEmbedded(w http.ResponseWriter, r *http.Request, connection string, opts ...oauth2.AuthCodeOption) (*Session, error) {
	return f.begin(w, r, connection, true, opts)
}

func (f *Flow) begin(w http.ResponseWriter, r *http.Request, connection string, embedded bool, opts []oauth2.AuthCodeOption) (*Session, error) {
	b, err := f.bind(r)
	if err != nil {
		return nil, err
	}
	if isPrefetch(r) {
		return nil, startAgain("the request is a prefetch, and the user has not asked for it")
	}
	if !utf8.ValidString(connection) {
		return nil, misconfigured("the connection's name isn't valid UTF-8")
	}
	s := &Session{Connection: connection, Expiry: time.Now().Add(f.maxAge()), Embedded: embedded, Issuer: f.Issuer}
	s.begin()
	if f.NoPKCE {
		s.Verifier = ""
	}
	ctx, cancel, err := f.requestContext(r.Context())
	if err != nil {
		return nil, err
	}
	defer cancel()
	if s.URL, err = s.Authorize(ctx, f.Config, opts...); err != nil {
		return nil, err
	}
	if err := b.checkURL(r, s); err != nil {
		return nil, err
	}
	cookie, err := f.seal(r.Context(), b, s)
	if err != nil {
		return nil, err
	}
	for _, name := range surplus(b.attempts(r.Cookies()), cookie) {
		http.SetCookie(w, b.cookie(name, "", -1))
	}
	http.SetCookie(w, cookie)
	w.Header().Set("Cache-Control", "no-store")
	return s, nil
}

// checkURL reports that the consent page of s can't bring the browser of r back.
func (b binding) checkURL(r *http.Request, s *Session) error {
	u, err := url.Parse(s.URL)
	if err != nil || u.Host == "" {
		return errNoURL
	}
	redirectURI := b.redirectURI
	if b.names != nil { // an option may have set another
		redirectURI = u.Query().Get(b.names.redirectURI)
	}
	if s.Embedded || b.names != nil && b.names.redirectURI == "" {
		return nil
	}
	redirect, err := parseRedirect(redirectURI)
	if err != nil {
		return err
	}
	return checkPage(r, redirect)
}

// requestContext returns the context of requests to the provider.
func (f *Flow) requestContext(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if f.RequestContext != nil {
		ctx = f.RequestContext(ctx)
	}
	if ctx == nil {
		return nil, nil, misconfigured("Flow.RequestContext returned nil")
	}
	ctx, cancel := context.WithTimeout(ctx, f.exchangeTimeout())
	return ctx, cancel, nil
}

// String names the client, if Config says which it is, and no secret.
func (f *Flow) String() string {
	if a, ok := f.Config.(Authorizer); ok {
		issuer, clientID := a.Registration()
		return fmt.Sprintf("pkce.Flow(client %q at %s)", clientID, issuer)
	}
	return fmt.Sprintf("pkce.Flow(%T)", f.Config)
}

// GoString returns what String returns.
func (f *Flow) GoString() string { return f.String() }

// LogValue returns what String returns.
func (f *Flow) LogValue() slog.Value { return slog.StringValue(f.String()) }

func (f *Flow) maxAge() time.Duration { return cmp.Or(max(f.MaxAge, 0), defaultMaxAge) }

func (f *Flow) exchangeTimeout() time.Duration {
	return cmp.Or(max(f.ExchangeTimeout, 0), defaultExchangeTimeout)
}
