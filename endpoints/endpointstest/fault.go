package endpointstest

import (
	"bytes"
	"context"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// Operation is a kind of request that a [Fault] strikes.
type Operation int

const (
	TokenEndpoint Operation = iota // exchanges and refreshes
	Revocation                     // RFC 7009, or what the provider has for it
	API                            // what else takes an access token
	Introspection                  // RFC 7662
	consentPage
)

// Trouble is what goes wrong.
type Trouble int

const (
	// Slow: nothing but the delays of the Fault.
	Slow Trouble = iota

	// LostAnswer: the request is processed, rotation and all, and the connection
	// is closed without an answer. A client made by net/http sends a GET again by
	// itself then, if the connection had been used before.
	LostAnswer

	// BrokenAnswer: the same, with half of the answer.
	BrokenAnswer

	// TruncatedAnswer: the request is processed, and half of the answer's body
	// comes as if it were all.
	TruncatedAnswer

	// Unavailable: 503, with Retry-After if the Fault has one.
	Unavailable

	// RateLimited: 429, with Retry-After if the Fault has one.
	RateLimited

	// Firewall: 403 with a page that is nobody's error format.
	Firewall

	// ReauthRequired: 401, and the user has to connect again: Finch's
	// reauthenticate_user. TaxRock's token endpoint says invalid_grant.
	ReauthRequired

	// InsufficientScope: 403 insufficient_scope.
	InsufficientScope
)

// Fault makes requests go wrong. The zero value does nothing.
type Fault struct {
	On      Operation
	Trouble Trouble

	// RequestDelay is how long a request is on its way: it is looked at after
	// that, whether the client still waits or not. AnswerDelay is how long its
	// answer is on its way, after everything has happened.
	RequestDelay time.Duration
	AnswerDelay  time.Duration

	// RetryAfter, in whole seconds, rounded up, goes with Unavailable and
	// RateLimited.
	RetryAfter time.Duration

	// Handler, if set, answers in place of the provider. Nothing is processed.
	Handler http.Handler

	// Times is how many requests it strikes. 0: all, until [Server.Clear].
	Times int

	late     bool // the answer comes when the client has gone
	repeated bool // the network sends the request twice, and the second answer comes back
}

// Fail lets the next requests to p run into f. Faults of one operation come one
// after another, in the order of the calls; a request meets one of them at most.
func (s *Server) Fail(p endpoints.Provider, f Fault) {
	site := s.site(p)
	site.mu.Lock()
	defer site.mu.Unlock()
	site.faults = append(site.faults, &f)
}

// Clear removes the faults of p that are left.
func (s *Server) Clear(p endpoints.Provider) {
	site := s.site(p)
	site.mu.Lock()
	defer site.mu.Unlock()
	site.faults = nil
}

// fault returns what the next request runs into, which may be nothing, and how its
// answer is changed.
func (s *site) fault(on Operation) (Fault, func(*answer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if f.On != on {
			continue
		}
		struck := *f
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
			}
		}
		s.stats.Faulted++
		return struck, func(*answer) {}
	}
	return s.hostile.plan(on)
}

// serve answers a request, as far as a fault lets it.
func (s *site) serve(w http.ResponseWriter, r *request, route *route) {
	f, disguise := s.fault(route.on)
	s.server.sleep(f.RequestDelay)
	if f.Handler != nil {
		s.server.sleep(f.AnswerDelay)
		r.Body = io.NopCloser(bytes.NewReader(r.body))
		f.Handler.ServeHTTP(w, r.Request)
		return
	}
	a := f.answer(s)
	if a == nil {
		a = route.answer(r)
	}
	if f.repeated {
		a = route.answer(r)
	}
	disguise(a)
	s.server.sleep(f.AnswerDelay)
	if f.late {
		s.server.outlast(r.Context())
	}
	switch half := len(a.body) / 2; f.Trouble {
	case LostAnswer:
		panic(http.ErrAbortHandler) // net/http closes the connection
	case BrokenAnswer:
		w.Header().Set("Content-Type", a.header.Get("Content-Type"))
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
		w.WriteHeader(a.status)
		w.Write(a.body[:half])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case TruncatedAnswer:
		a.body = a.body[:half]
	}
	a.send(w)
}

// answer returns what is answered without looking at the request, or nil.
func (f *Fault) answer(s *site) *answer {
	problem, ok := map[Trouble]problem{
		Unavailable:       outOfOrder,
		RateLimited:       tooManyRequests,
		ReauthRequired:    lostConnection,
		InsufficientScope: missingScope,
	}[f.Trouble]
	switch {
	case f.Trouble == Firewall:
		s.countAnswer(f.On, &refusal{problem: firewall})
		return &answer{
			status: http.StatusForbidden,
			header: http.Header{"Content-Type": {"text/html; charset=utf-8"}},
			body:   []byte(firewallPage),
		}
	case !ok:
		return nil
	}
	a := s.refuse(f.On, &refusal{problem: problem, why: "fault"})
	if f.RetryAfter > 0 {
		a.header.Set("Retry-After", strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds()))))
	}
	return a
}

const firewallPage = `<!DOCTYPE html>
<html><head><title>Access denied</title></head>
<body><h1>Access denied</h1><p>Your request was blocked. Reference #18.2f1a.</p></body></html>
`

// sleep waits, but not for longer than the server lives.
func (s *Server) sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.done:
	}
}

// outlast waits until a client has gone, but not for long, nor for longer than the
// server lives.
func (s *Server) outlast(client context.Context) {
	timer := time.NewTimer(5 * time.Second)
	defer timer.Stop()
	select {
	case <-client.Done():
	case <-timer.C:
	case <-s.done:
	}
}
