// Package sentonce keeps net/http from sending a request a second time.
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

var errSent = errors.New("the server has ended the HTTP/2 stream, and what was sent may be spent: it isn't sent again")

// Request returns r, such as a POST, as one that net/http doesn't send again once some of
// it was written. Over HTTP/1 it never does. Over HTTP/2 it does, many times, if r has a
// GetBody and the server resets the stream with PROTOCOL_ERROR, which doesn't say that
// nothing was done, or with REFUSED_STREAM, or says GOAWAY, which do say so, truly or not.
func Request(r *http.Request) *http.Request {
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

// Transport has Base, or else http.DefaultTransport, send each request once.
type Transport struct{ Base http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	return cmp.Or(t.Base, http.DefaultTransport).RoundTrip(Request(r))
}
