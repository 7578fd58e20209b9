package pkce

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
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
//   - With a token and no error: save the token under s.Connection, after making
//     sure, if it matters, that the connection is one of the user who is logged in
//     now.
//   - With [ErrAlreadyUsed] if the attempt has been used by an earlier callback:
//     show what the connection is now.
//   - With another error, which wraps [ErrStartAgain], [ErrDenied] or
//     [ErrMisconfigured]. An error that the provider sent to the callback is an
//     [*AuthError]; the answer of its token endpoint is an [*oauth2.RetrieveError],
//     wrapped.
//
// The Session is nil if the state didn't verify, as for every [ErrState], and is
// otherwise that of the attempt, so that s.Connection is known.
//
// It calls done exactly once for each GET and POST, and answers other methods
// itself with 405, and prefetches with 503, after which the browser asks again when
// the user does. If done is nil, Callback panics at once.
//
// The context of done's request, and of the exchange, isn't canceled when the
// browser leaves: the code is good for one use, and the token must reach the
// store even if the user has closed the tab. It has the values of the original
// context, but no deadline; the exchange is bounded by ExchangeTimeout. The
// request's form is parsed, also a multipart one, up to 64 KiB: further parameters
// that a provider sent are in r.Form.
//
// An attempt ends with the first callback whose state verifies, whatever the
// provider says then. Until it expires, its cookie is kept, with a mark, and the
// handler remembers in memory that it was used. So a second callback, by a reload,
// a double click or a link scanner in the same browser, sends nothing. It waits
// until done has returned for the first, for at most ExchangeTimeout or until its
// browser leaves, and is then an ErrAlreadyUsed; it is one too if done panicked. A
// second callback that arrives at another process, before the first was answered,
// is left to the provider, which accepts a code once. So that a reload doesn't repeat
// the callback, done best answers with a redirect.
//
// The handler sets Cache-Control: no-store and Referrer-Policy: no-referrer, for
// the code is in the page's URL (RFC 9700 section 4.2.4); done may set others.
func (f *Flow) Callback(done func(w http.ResponseWriter, r *http.Request, s *Session, t *oauth2.Token, err error)) http.Handler {
	if done == nil {
		panic("pkce: Flow.Callback with a nil done")
	}
	return &callbackHandler{f.resume, f.exchange, done, &f.spent, f.maxAge(), f.exchangeTimeout()}
}

// callbackHandler is what the handlers of a Flow and of a Session have in common.
type callbackHandler struct {
	resume   func(http.ResponseWriter, *http.Request) (*Session, parameters, error)
	exchange func(context.Context, *Session, parameters) (*oauth2.Token, error)
	done     func(http.ResponseWriter, *http.Request, *Session, *oauth2.Token, error)
	spent    *spentStates
	maxAge   time.Duration // of an attempt
	patience time.Duration // of a second callback
}

// ServeHTTP implements http.Handler.
func (h *callbackHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, POST")
		http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	if isPrefetch(r) {
		http.Error(w, "Not in advance", http.StatusServiceUnavailable)
		return
	}
	left := r.Context().Done()
	r = r.WithContext(context.WithoutCancel(r.Context()))
	s, callback, err := h.resume(w, r)
	if s != nil {
		answered, first := h.spent.spend(s.State, h.maxAge)
		if first {
			defer close(answered) // also if something panics
		} else {
			wait(answered, left, h.patience)
			err = ErrAlreadyUsed
		}
	}
	var t *oauth2.Token
	if err == nil {
		t, err = h.exchange(r.Context(), s, callback)
	}
	h.done(w, r, s, t, err)
}

// wait returns when the first callback was answered, the browser has left, or the
// time is over.
func wait(answered, left <-chan struct{}, timeout time.Duration) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-answered:
	case <-left:
	case <-timer.C:
	}
}

// resume parses r's form and returns the attempt of which r is the callback, with
// ErrAlreadyUsed if its cookie says so. From now on the cookie says so.
func (f *Flow) resume(w http.ResponseWriter, r *http.Request) (*Session, parameters, error) {
	var callback parameters
	b, err := f.bind(r)
	if err != nil {
		return nil, callback, err
	}
	callback = readForm(f.Config, w, r)
	state, err := stateOf(callback.Values)
	if err != nil {
		return nil, callback, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), f.exchangeTimeout())
	defer cancel()
	name := b.cookieName(state)
	cookies := r.CookiesNamed(name)
	err = b.noAttempt(r)
	for _, c := range cookies { // one, unless something planted another on plain http
		var s *Session
		if s, err = f.open(ctx, b, c); err == nil {
			err = s.verify(callback.Values)
		}
		if err != nil {
			continue
		}
		http.SetCookie(w, b.used(c, s.Expiry))
		if isUsed(c) {
			return s, callback, ErrAlreadyUsed
		}
		return s, callback, nil
	}
	if len(cookies) > 0 && errors.Is(err, ErrState) {
		http.SetCookie(w, b.cookie(name, "", -1)) // it won't verify later either
	}
	return nil, callback, err
}

// readForm parses r's form and returns the parameters of the callback in it, without those
// that can't be read. If that is the whole body, there is no state.
func readForm(c Exchanger, w http.ResponseWriter, r *http.Request) parameters {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	r.ParseForm()
	if r.Method == http.MethodPost {
		r.ParseMultipartForm(maxForm) // as it is no larger, nothing goes to a file
	}
	return readCallback(c, r.Form)
}

// noAttempt is the error of a callback without a cookie.
func (b binding) noAttempt(r *http.Request) error {
	others, cause := "", "cookies are off"
	if slices.ContainsFunc(b.attempts(r.Cookies()), func(c *http.Cookie) bool { return !isUsed(c) }) {
		others, cause = ", only others", "it was given up for newer ones"
	}
	return stateError(fmt.Sprintf("this browser has no attempt with the callback's state%s: it is long over, "+
		"was begun in another browser or at another host name than %q, or %s", others, redact.Line(r.Host, 100, nil), cause))
}

// exchange exchanges the code in the callback of s. The context is that of its request.
func (f *Flow) exchange(ctx context.Context, s *Session, callback parameters) (*oauth2.Token, error) {
	ctx, cancel, err := f.requestContext(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	return s.exchange(ctx, f.Config, callback, f.ExchangeOptions)
}
