package loopback

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/arrival"
	"github.com/oauth2keep/oauth2keep/pkce"
)

const (
	// readTimeout bounds what a browser takes to send a request, and maxHeader how
	// long that may be, in bytes: there are providers whose codes have some thousand.
	readTimeout = 10 * time.Second
	maxHeader   = 64 << 10

	// deliveryTimeout bounds what the last page takes to its browser.
	deliveryTimeout = 2 * time.Second

	// exchangeTimeout is more than an exchange may take that began in time.
	exchangeTimeout = 6 * time.Minute
)

// attempt is one login in a browser: a server that waits for its callback.
type attempt struct {
	program  string
	session  *pkce.Session
	url      string   // of the consent page
	redirect *url.URL // where the callback arrives

	server    *http.Server
	listeners []net.Listener
	serving   sync.WaitGroup
	over      sync.Once

	back   atomic.Bool          // tells that a callback of the attempt has arrived
	result chan result          // gets one, when its page was written
	seen   atomic.Pointer[page] // the page of that result

	mu      sync.Mutex
	waiting map[net.Conn]bool // for a request
}

// result is how an attempt has ended.
type result struct {
	t        *oauth2.Token
	err      error
	panicked any // by Config
}

func (r result) token() (*oauth2.Token, error) {
	if r.panicked != nil {
		panic(r.panicked)
	}
	return r.t, r.err
}

// begin listens for a callback, and finds out where to send the user. The exchange is made
// with ctx.
func (l *Login) begin(ctx context.Context, registered *url.URL) (*attempt, error) {
	redirect, listeners, err := listen(registered, l.Ports)
	if err != nil {
		return nil, err
	}
	return l.beginAt(ctx, redirect, listeners)
}

// beginAt is begin where a callback to redirect arrives at the listeners.
func (l *Login) beginAt(ctx context.Context, redirect *url.URL, listeners []net.Listener) (a *attempt, err error) {
	a = &attempt{
		program: l.Program, redirect: redirect, listeners: listeners,
		session: &pkce.Session{Connection: l.Program, Expiry: time.Now().Add(l.timeout()), Issuer: l.Issuer},
		result:  make(chan result, 1), waiting: make(map[net.Conn]bool),
	}
	config := redirectTo(l.Config, redirect.String())
	a.url, err = a.session.Authorize(ctx, config, l.Options...)
	if err == nil && !isPage(a.url) {
		err = misconfigured("the URL of the consent page isn't one that a browser can open: it must be http or https")
	}
	if err != nil {
		closeAll(listeners)
		return nil, err
	}
	ctx = arrival.WithFunc(ctx, func() { a.back.Store(true) })
	a.serve(a.session.Callback(ctx, config, a.done, l.ExchangeOptions...))
	return a, nil
}

// serve answers at the listeners until the attempt is over.
func (a *attempt) serve(callback http.Handler) {
	a.server = &http.Server{
		Handler:           a.guard(callback),
		ReadHeaderTimeout: readTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       readTimeout,
		MaxHeaderBytes:    maxHeader,
		ConnState:         a.note,
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		ErrorLog:          log.New(io.Discard, "", 0), // it says what strangers do
	}
	for _, l := range a.listeners {
		a.serving.Go(func() { a.server.Serve(l) }) // it fails when the listener is closed
	}
}

// connKey is the key of a request's connection in its context.
type connKey struct{}

// note remembers connections on which no request is answered: those that a browser makes
// in advance, and those of whoever takes long for a request. Nothing waits for them.
func (a *attempt) note(c net.Conn, state http.ConnState) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch state {
	case http.StateNew, http.StateIdle:
		a.waiting[c] = true
	case http.StateClosed:
		delete(a.waiting, c)
	}
}

// answering forgets r's connection among those.
func (a *attempt) answering(r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.waiting, r.Context().Value(connKey{}).(net.Conn))
}

// guard lets the browser through to the callback. A page at a name of its own that it
// makes stand for this machine (DNS rebinding) is known by the Host.
func (a *attempt) guard(callback http.Handler) http.Handler {
	path := cmp.Or(a.redirect.Path, "/")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				a.finish(result{panicked: v})
				panic(http.ErrAbortHandler)
			}
		}()
		a.answering(r)
		setHeader(w.Header())
		switch {
		case !strings.EqualFold(r.Host, a.redirect.Host):
			http.Error(w, "Misdirected Request", http.StatusMisdirectedRequest)
		case r.URL.Path != path:
			http.NotFound(w, r)
		default:
			callback.ServeHTTP(w, r)
		}
	})
}

// done shows the user how it went. It is called by pkce's handler.
func (a *attempt) done(w http.ResponseWriter, _ *http.Request, s *pkce.Session, t *oauth2.Token, err error) {
	p := pageOf(a.program, s, err)
	if errors.Is(err, pkce.ErrAlreadyUsed) {
		if first := a.seen.Load(); first != nil {
			p = *first
		}
		s = nil
	}
	if s != nil {
		a.seen.Store(&p)
		defer a.finish(result{t: t, err: err})
	}
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(deliveryTimeout)) // a browser that doesn't read has seen enough
	p.write(w)
}

// finish has Token return r.
func (a *attempt) finish(r result) {
	select {
	case a.result <- r:
	default:
	}
}

// end closes the attempt's ports, and waits for what is being answered, for a while.
func (a *attempt) end(patience time.Duration) {
	a.over.Do(func() {
		closeAll(a.listeners)
		a.serving.Wait()
		a.mu.Lock()
		for c := range a.waiting {
			c.Close()
		}
		a.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if a.server.Shutdown(ctx) != nil {
			a.server.Close()
		}
	})
}

// last ends the attempt, and returns the result of a callback that has arrived in time, or
// err.
func (a *attempt) last(patience time.Duration, err error) (*oauth2.Token, error) {
	a.end(patience)
	select {
	case r := <-a.result:
		return r.token()
	default:
		return nil, err
	}
}
