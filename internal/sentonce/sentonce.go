// Package sentonce has net/http make a request whose secrets are spent by it: a single time,
// and without waiting for an answer that has no end.
package sentonce

import (
	"cmp"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
)

var (
	errSent     = errors.New("the server has ended the HTTP/2 stream, and what was sent may be spent: it isn't sent again")
	errSwitched = errors.New("the server has switched protocols, which it wasn't asked to do")
)

// RoundTrip has base, or else http.DefaultTransport, make a request once. An answer that the
// connection is for something else from now on, which nobody has asked for, is an error: net/http
// hands over its connection as the body, and a read of that heeds no context.
func RoundTrip(base http.RoundTripper, r *http.Request) (*http.Response, error) {
	resp, err := cmp.Or(base, http.DefaultTransport).RoundTrip(request(r))
	if err != nil || resp == nil {
		return resp, err
	}
	resp.Request = r // whose body can be read for what mustn't be printed
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return resp, nil
	}
	if resp.Body != nil {
		resp.Body.Close()
	}
	return nil, errSwitched
}

// request returns r, such as a POST, as one that net/http doesn't send again once some of
// it was written. Over HTTP/1 it never does. Over HTTP/2 it does, many times, if r has a
// GetBody and the server resets the stream with PROTOCOL_ERROR, which doesn't say that
// nothing was done, or with REFUSED_STREAM, or says GOAWAY, which do say so, truly or not.
func request(r *http.Request) *http.Request {
	again := r.GetBody
	if again == nil {
		return r
	}
	var written atomic.Bool
	once := r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		WroteHeaderField: func(name string, _ []string) {
			if strings.HasPrefix(name, ":") { // which only HTTP/2 has
				written.Store(true)
			}
		},
	}))
	once.GetBody = func() (io.ReadCloser, error) {
		if written.Load() {
			return nil, errSent
		}
		return again()
	}
	return once
}

// Transport is the http.RoundTripper of RoundTrip.
type Transport struct{ Base http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	return RoundTrip(t.Base, r)
}
