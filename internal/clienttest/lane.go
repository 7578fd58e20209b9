package clienttest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
)

// lanes is an http.RoundTripper for code within a bubble of testing/synctest. It has
// requests made by goroutines outside, since a connection of the bubble's own, which waits
// for the network, would stop its clock.
type lanes struct {
	free chan lane // made outside, as are the channels in it
	run  chan func()
	ran  chan struct{}
}

// lane makes one request after another.
type lane struct {
	ask    chan *http.Request
	answer chan answer
}

type answer struct {
	response *http.Response
	err      error
}

// newLanes is called outside of a bubble. No more than n requests are on their way at a
// time, and those that were given up count for ever.
func newLanes(n int, base http.RoundTripper) (l *lanes, stop func()) {
	l = &lanes{free: make(chan lane, n), run: make(chan func()), ran: make(chan struct{})}
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case f := <-l.run:
				f()
				l.ran <- struct{}{}
			}
		}
	}()
	for range n {
		one := lane{make(chan *http.Request), make(chan answer, 1)}
		l.free <- one
		go one.serve(base, done)
	}
	return l, sync.OnceFunc(func() { close(done) })
}

// outside runs f by the clock outside.
func (l *lanes) outside(f func()) {
	l.run <- f
	<-l.ran
}

func (l lane) serve(base http.RoundTripper, done chan struct{}) {
	for {
		select {
		case <-done:
			return
		case r := <-l.ask:
			var a answer
			if a.response, a.err = base.RoundTrip(r); a.err == nil {
				a.response.Body, a.err = readAll(a.response.Body)
			}
			l.answer <- a
		}
	}
}

// RoundTrip implements http.RoundTripper. Nothing of the bubble leaves it: what the request
// has is copied.
func (l *lanes) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	c := r.Clone(context.Background())
	c.GetBody = nil
	if r.Body != nil {
		body, err := readAll(r.Body)
		if err != nil {
			return nil, err
		}
		c.Body = body
	}
	var one lane
	select {
	case one = <-l.free:
	default:
		return nil, errors.New("clienttest: too many requests at a time")
	}
	one.ask <- c
	select {
	case a := <-one.answer:
		l.free <- one
		if a.err != nil {
			return nil, a.err
		}
		a.response.Request = r
		return a.response, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// readAll reads a body to its end and returns it as one that needs no connection.
func readAll(body io.ReadCloser) (io.ReadCloser, error) {
	defer body.Close()
	all, err := io.ReadAll(body)
	return io.NopCloser(bytes.NewReader(all)), err
}
