package tokensource

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/httpclient"
)

// lateness is how long after RefreshTimeout a Refresher may still answer before its flight
// goes on without it. A Refresher that heeds its context needs none of it.
const lateness = time.Second

// ask sends the refresh token of r, and sends it a second time if the answer to the
// first request got lost and the lease still allows it: the provider may have rotated the
// token. At once is when a grace window is most likely to be open still; and if
// there is none, the grant was lost with the answer.
func (f *flight) ask(r *record) (*oauth2.Token, outcome, error) {
	token, o, err := f.send(r)
	if err != nil && o.answerLost && f.lease.answerLost() {
		token, o, err = f.send(r)
		o.mayBeSpent = true
	}
	return token, o, err
}

// errLate is the error of a request that hasn't returned in spite of its context.
var errLate = fmt.Errorf("%w: Manager.Config ignores its context", context.DeadlineExceeded)

// send makes one token request.
func (f *flight) send(r *record) (*oauth2.Token, outcome, error) {
	w := new(wire)
	start := time.Now()
	answers := guarded(func() (*oauth2.Token, error) {
		ctx, cancel := f.m.requestContext(f.carried)
		defer cancel()
		return f.m.Config.TokenSource(w.watch(ctx), expired(r)).Token()
	})
	a, ok := within(f.m.refreshTimeout(), answers)
	if !ok {
		parent, attempt := f.lease.current(), f.lease.id
		go func() {
			a := <-answers
			if token, err := checked(a, start); err == nil {
				f.s.saveLate(parent, attempt, parent.refreshed(token, time.Now()))
			}
		}()
		// It isn't sent again, as an answer that was lost would be: this one may still come.
		return nil, outcome{reason: ReasonUnavailable, mayBeSpent: true}, errLate
	}
	token, err := checked(a, start)
	if err != nil {
		o := outcomeOf(err, w)
		if o.isOffline() {
			err = errors.Join(err, errNoWay) // without a call of err's methods: see lookInto
		}
		return nil, o, err
	}
	return token, outcome{}, nil
}

// errNoWay is the error of a request that never left, where nothing else can be told of it: the
// text of a proxy's answer is that of net/http's error.
var errNoWay = errors.New("no connection to it could be made, perhaps because of a proxy")

// returned is what a call of the Refresher returned.
type returned[T any] struct {
	value T
	err   error
}

// guarded makes a call of the program's own code, the Refresher above all, in a goroutine of
// its own. A panic, also of the error that it returned, and a Goexit become errors: neither
// may keep others waiting, or end the process.
func guarded[T any](call func() (T, error)) <-chan returned[T] {
	answers := make(chan returned[T], 1)
	go func() {
		a := returned[T]{err: configErrorf("called runtime.Goexit")}
		defer func() {
			if p := recover(); p != nil {
				a = returned[T]{err: configErrorf("panicked with a %T", p)} // its value could hold a secret
			}
			answers <- a
		}()
		value, err := call()
		lookInto(err)
		a = returned[T]{value, err}
	}()
	return answers
}

// lookInto does with an error what will be done with it later. Its own methods may panic, as
// those of a nil pointer do.
func lookInto(err error) {
	if err != nil {
		_ = outcomeOf(err, new(wire))
		_, _ = harmless(err, "")
		_ = errors.Is(err, errors.ErrUnsupported)
	}
}

// expired returns r's token for the Refresher: all of it, as a request may need what came
// beside it, and of an expiry that has passed, or else x/oauth2 would return it as it is.
func expired(r *record) *oauth2.Token {
	t := r.token()
	t.Expiry = time.Unix(1, 0)
	return t
}

// checked returns what a Refresher returned at the end of a request that began at start.
func checked(a returned[*oauth2.Token], start time.Time) (*oauth2.Token, error) {
	t := a.value
	switch {
	case a.err != nil:
		return nil, a.err
	case t == nil || t.AccessToken == "":
		return nil, configErrorf("returned neither a token nor an error")
	case !storable(t):
		return nil, configErrorf("returned a token that is not valid UTF-8")
	case t.Expiry.IsZero():
		return t, nil
	}
	// x/oauth2 counts the lifetime from when it read the answer. The provider
	// began to count earlier, at most when the request was sent.
	c := *t
	c.Expiry = c.Expiry.Add(-elapsed(start))
	return &c, nil
}

// saveLate saves a token that came after its flight had ended.
func (s *Source) saveLate(parent versioned, attempt string, next *record) {
	s.m.inflight.add()
	defer s.m.inflight.done()
	basis := s.known()
	u := &unsaved{record: next, attempt: attempt}
	winner, err := u.save(context.Background(), s)
	switch {
	case isGone(err), err == nil && winner.ID != next.ID: // what is there instead is told where it is found
		return
	case err != nil:
		if s.keepUnsaved(u) {
			s.m.emit(context.Background(), Event{Kind: EventUnsaved, Connection: s.name, Reason: ReasonStore, Err: s.m.storeError(s.name, err)})
		}
		return
	}
	var events []Event
	s.publishSaved(basis, u, winner, time.Now(), func(e Event) { events = append(events, e) })
	s.m.emitAll(context.Background(), s.name, events)
}

// tokenRequest marks the context of a token request, for the transport of Client: it may
// have been handed to us as the client to make token requests with.
type tokenRequest struct{}

// tokenTransport refuses to send what is secret where anyone on the way can read it, and
// sends nothing twice: what is to be sent again, this package decides.
type tokenTransport struct {
	m    *Manager
	base http.RoundTripper // nil: http.DefaultTransport
}

func (t tokenTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := t.m.checkSecure(r.URL); err != nil {
		return nil, closing(r, err)
	}
	return httpclient.RoundTripOnce(t.base, r)
}

// checkSecure returns an error if tokens may not go to u: an http URL that isn't on the
// loopback, unless InsecureHTTP is set.
func (m *Manager) checkSecure(u *url.URL) error {
	o, err := httpclient.OriginOf(u)
	if err != nil || m.InsecureHTTP || httpclient.SecureURL(u) {
		return nil
	}
	return fmt.Errorf("tokensource: tokens would be sent to %v, where anyone on the way can read them: use https, or set Manager.InsecureHTTP", o)
}

// requestContext returns ctx with the HTTP client that is to make a token request, and
// with RefreshTimeout, which is all that ends it. The client doesn't follow redirects, which
// would take the secrets in the request elsewhere. It runs code of the application's: call it
// under guarded.
func (m *Manager) requestContext(ctx context.Context) (context.Context, context.CancelFunc) {
	if m.RequestContext != nil {
		ctx = m.RequestContext(ctx)
	}
	client := httpclient.WithoutRedirects(httpclient.From(ctx, &http.Client{Transport: m.Base}))
	for { // one of x/oauth2 would wait for a token to get a token with
		t, ok := client.Transport.(*oauth2.Transport)
		if !ok || t == nil {
			break
		}
		client.Transport = t.Base
	}
	client.Transport = tokenTransport{m, client.Transport}
	client.Timeout = 0 // a caller's, for calls of the API, could cost the answer
	ctx = context.WithValue(ctx, tokenRequest{}, true)
	start, limit := time.Now(), m.refreshTimeout()
	limited, cancel := withTimeLimit(context.WithValue(ctx, oauth2.HTTPClient, client), start, limit, catchUp)
	limited.deadline = start.Add(limit)
	return limited, cancel
}
