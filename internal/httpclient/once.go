package httpclient

import (
	"cmp"
	"context"
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

// RoundTripOnce has base, or else http.DefaultTransport, make a request a single time, since
// its secrets are spent by it. An answer that the connection is for something else from now
// on, which nobody has asked for, is an error: net/http hands over its connection as the
// body, and a read of that heeds no context.
func RoundTripOnce(base http.RoundTripper, r *http.Request) (*http.Response, error) {
	once, end := sentOnce(r)
	resp, err := cmp.Or(base, http.DefaultTransport).RoundTrip(once)
	if err != nil && context.Cause(once.Context()) == errSent {
		err = errSent
	}
	if err != nil || resp == nil {
		end(nil)
		return resp, err
	}
	resp.Request = r // whose body can be read for what mustn't be printed
	resp.Body = endingBody{cmp.Or[io.ReadCloser](resp.Body, http.NoBody), end}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		resp.Body.Close()
		return nil, errSwitched
	}
	return resp, nil
}

// endingBody is an answer's body, which ends the request's context.
type endingBody struct {
	io.ReadCloser
	end context.CancelCauseFunc
}

func (b endingBody) Close() error {
	defer b.end(nil)
	return b.ReadCloser.Close()
}

// sentOnce returns r, such as a POST, as one that net/http doesn't send again once some of
// it was written, and what to call when its answer was read. Over HTTP/1 it never does. Over
// HTTP/2 it does, many times, if r has no body or a GetBody, and the server resets the stream
// with PROTOCOL_ERROR, which doesn't say that nothing was done, or with REFUSED_STREAM, or
// says GOAWAY, which do say so, truly or not.
func sentOnce(r *http.Request) (once *http.Request, end context.CancelCauseFunc) {
	ctx, end, again := r.Context(), func(error) {}, r.GetBody
	bare := r.Body == nil || r.Body == http.NoBody
	if !bare && again == nil {
		return r, end
	}
	var written atomic.Bool
	trace := &httptrace.ClientTrace{
		WroteHeaderField: func(name string, _ []string) {
			if strings.HasPrefix(name, ":") { // which only HTTP/2 has
				written.Store(true)
			}
		},
	}
	if bare { // nobody asks for a body then
		ctx, end = context.WithCancelCause(ctx)
		trace.GotConn = func(httptrace.GotConnInfo) {
			if written.Load() {
				end(errSent)
			}
		}
	}
	once = r.WithContext(httptrace.WithClientTrace(ctx, trace))
	if again != nil {
		once.GetBody = func() (io.ReadCloser, error) {
			if written.Load() {
				return nil, errSent
			}
			return again()
		}
	}
	return once, end
}

// OnceTransport is the http.RoundTripper of [RoundTripOnce].
type OnceTransport struct{ Base http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t OnceTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	return RoundTripOnce(t.Base, r)
}
