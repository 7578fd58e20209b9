package pkce

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/redact"
)

const (
	// maxForm bounds the body of a POST to the callback, in bytes.
	maxForm = 64 << 10

	defaultExchangeTimeout = 5 * time.Minute
)

// Callback returns the handler for the redirect URI, and for the page of an
// embedded flow. It checks the request, as the package documentation lists it,
// exchanges the code, and calls done, which answers the browser:
//
//   - With a token and no error: save the token under s.Key, after making sure, if
//     it matters, that the connection is one of the user who is logged in now.
//   - With an error, which wraps [ErrStartAgain], [ErrDenied] or
//     [ErrMisconfigured]. The Session is nil if the state didn't verify, as for
//     every [ErrState], and is otherwise that of the attempt, so that s.Key is
//     known. An error that the provider sent to the callback is an [*AuthError];
//     the answer of its token endpoint is an [*oauth2.RetrieveError], wrapped.
//
// It calls done exactly once for each GET and POST, and answers other methods
// itself with 405. If done is nil, Callback panics at once.
//
// The context of done's request, and of the exchange, isn't canceled when the
// browser leaves: the code is good for one use, and the token must reach the
// store even if the user has closed the tab. It has the values of the original
// context, but no deadline; the exchange is bounded by ExchangeTimeout. The
// request's form is parsed, also a multipart one, up to 64 KiB: further parameters
// that a provider sent are in r.Form.
//
// An attempt ends with the first callback whose state verifies, whatever comes of
// it. Its cookie is deleted, and the handler remembers in memory that it is
// over, so that a replay is an ErrState even if both arrive at once. A replay at
// another process, with a copy of the cookie, is left to the provider, which
// accepts a code once. So that a reload doesn't repeat the callback, done best
// answers with a redirect.
//
// The handler sets Cache-Control: no-store and Referrer-Policy: no-referrer, for
// the code is in the page's URL (RFC 9700 section 4.2.4); done may set others.
func (f *Flow) Callback(done func(w http.ResponseWriter, r *http.Request, s *Session, t *oauth2.Token, err error)) http.Handler {
	if done == nil {
		panic("pkce: Flow.Callback with a nil done")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodPost {
			w.Header().Set("Allow", "GET, POST")
			http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Referrer-Policy", "no-referrer")
		r = r.WithContext(context.WithoutCancel(r.Context()))
		s, t, err := f.finish(w, r)
		done(w, r, s, t, err)
	})
}

// finish returns the attempt if its state verified, and what became of it.
func (f *Flow) finish(w http.ResponseWriter, r *http.Request) (*Session, *oauth2.Token, error) {
	b, err := f.bind(r)
	if err != nil {
		return nil, nil, err
	}
	// What can't be read is missing, and the state is, if that is the whole body.
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	r.ParseForm()
	if r.Method == http.MethodPost {
		r.ParseMultipartForm(maxForm) // as it is no larger, nothing goes to a file
	}
	s, err := f.resume(w, r, b)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), f.exchangeTimeout())
	defer cancel()
	if f.RequestContext != nil {
		ctx = f.RequestContext(ctx)
	}
	t, err := s.exchange(ctx, f.Config, r.Form, f.ExchangeOptions)
	return s, t, err
}

// resume returns the attempt of which r is the callback, and ends it.
func (f *Flow) resume(w http.ResponseWriter, r *http.Request, b binding) (*Session, error) {
	state, err := stateOf(r.Form)
	if err != nil {
		return nil, err
	}
	name := b.cookieName(state)
	cookies := r.CookiesNamed(name)
	err = b.noAttempt(r)
	for _, c := range cookies { // one, unless something planted another on plain http
		var s *Session
		if s, err = f.open(r.Context(), b, c); err == nil {
			err = s.verify(r.Form)
		}
		if err != nil {
			continue
		}
		http.SetCookie(w, b.cookie(name, "", -1))
		if !f.spent.spend(s.State, f.maxAge()) {
			return nil, stateError("the callback's state was used before")
		}
		return s, nil
	}
	if len(cookies) > 0 && errors.Is(err, ErrState) {
		http.SetCookie(w, b.cookie(name, "", -1)) // it won't verify later either
	}
	return nil, err
}

// noAttempt is the error of a callback without a cookie.
func (b binding) noAttempt(r *http.Request) error {
	others, cause := "", "cookies are off"
	if len(b.attempts(r.Cookies())) > 0 {
		others, cause = ", only others", "it was given up for newer ones"
	}
	return stateError(fmt.Sprintf("this browser has no attempt with the callback's state%s: it is long over, "+
		"was begun in another browser or at another host name than %q, or %s", others, redact.Line(r.Host, 100, nil), cause))
}
