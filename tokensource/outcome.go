package tokensource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
)

// outcome is what an error of a refresh request means for the connection.
type outcome struct {
	reason Reason
	code   string // the provider's error code, if there is one

	lost       bool // the request was sent and its answer never came
	inDoubt    bool // the refresh token may have been spent all the same
	retryAfter time.Duration
}

// outcomeOf judges err. Only invalid_grant, which RFC 6749, section 5.2, defines
// for it, ends a grant. A firewall's 403, an unknown code, a client secret that is
// being replaced: none of them says anything about the grant.
func outcomeOf(err error, w *wire) outcome {
	var retrieve *oauth2.RetrieveError
	if !errors.As(err, &retrieve) {
		if wasNotSent(err) {
			return outcome{reason: ReasonMisconfigured}
		}
		lost := w.wrote.Load() || !w.used.Load() && isNetworkError(err)
		return outcome{reason: ReasonUnavailable, lost: lost, inDoubt: lost}
	}
	status := 0
	o := outcome{reason: ReasonUnavailable, code: printableCode(retrieve.ErrorCode)}
	if retrieve.Response != nil {
		status = retrieve.Response.StatusCode
		o.retryAfter = retryAfter(retrieve.Response.Header)
	}
	switch {
	case status == http.StatusTooManyRequests:
		o.reason = ReasonRateLimited
	case status >= 500:
		// A gateway may have lost the answer of a server that did its work.
		o.inDoubt = status != http.StatusServiceUnavailable && status != http.StatusNotImplemented
	default:
		switch retrieve.ErrorCode {
		case "invalid_grant":
			o.reason = ReasonRevoked
		case "invalid_client", "unauthorized_client", "invalid_request", "invalid_scope", "invalid_target", "unsupported_grant_type", "access_denied":
			o.reason = ReasonMisconfigured
		}
	}
	return o
}

// wasNotSent reports whether err says of itself that no request was made, as an error
// of package endpoints about a mistake in a Provider does.
func wasNotSent(err error) bool {
	var e interface{ NotSent() bool }
	return errors.As(err, &e) && e.NotSent()
}

// isNetworkError reports whether err can come from a connection.
func isNetworkError(err error) bool {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err // a url.Error is a net.Error, whatever it wraps
	}
	var network net.Error
	if dial := (*net.OpError)(nil); errors.As(err, &dial) && dial.Op == "dial" {
		return false // never connected, so nothing was sent
	}
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// wire observes whether a request got as far as being written.
type wire struct{ used, wrote atomic.Bool }

func (w *wire) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:      func(string) { w.used.Store(true) },
		WroteHeaders: func() { w.wrote.Store(true) },
	})
}

// retryAfter reads a Retry-After header (RFC 9110, section 10.2.3).
func retryAfter(h http.Header) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil {
		return time.Duration(min(max(seconds, 0), int(maxRetryAfter/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}

// printableCode returns an error code as RFC 6749, section 5.2, allows it, cut to a
// sane length. Anything else in its place could be anything, also a secret.
func printableCode(code string) string {
	const maxCode = 64
	if len(code) > maxCode || strings.ContainsFunc(code, func(r rune) bool {
		return r < 0x20 || r > 0x7e || r == '"' || r == '\\'
	}) {
		return "(unprintable)"
	}
	return code
}

// refreshError is a refresh that failed but may succeed later.
type refreshError struct {
	key     string
	failure failure
	cause   error // may be nil: another process met it
}

func (e *refreshError) Error() string {
	s := fmt.Sprintf("tokensource: can't refresh the token of connection %q: %s", e.key, e.failure.Reason.words())
	switch text := safeText(e.cause); {
	case e.failure.Reason == ReasonStore && e.cause != nil:
		s = e.cause.Error() // says which connection, and what to do
	case e.failure.Code != "":
		s += " (" + e.failure.Code + ")"
	case text != "":
		s += ": " + text
	}
	if !e.failure.Next.IsZero() {
		s += "; next try after " + e.failure.Next.UTC().Format(time.RFC3339)
	}
	return s
}

func (e *refreshError) Unwrap() error { return e.cause }

// TokenReason tells endpoints.KindOf, which can't know this package, the Reason.
func (e *refreshError) TokenReason() string { return string(e.failure.Reason) }

// safeText is the text of err unless it may quote a response body or a URL.
func safeText(err error) string {
	var network *net.OpError
	switch {
	case err == nil:
		return ""
	case wasNotSent(err):
		return err.Error() // a mistake of the program's own, from before there was an answer
	case errors.As(err, &network):
		return network.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was cut"
	}
	return ""
}

// ErrLoginRequired says that only the user, at the consent page, can mend the
// connection: send them there, and Save the token that comes of it. No request is
// made for the connection until then. [Status] has the reason.
var ErrLoginRequired = errors.New("tokensource: login required")

// loginError is an ErrLoginRequired with its reason.
type loginError struct {
	key     string
	failure failure
	cause   error
}

func (e *loginError) Error() string {
	s := fmt.Sprintf("%v for connection %q: %s", ErrLoginRequired, e.key, e.failure.Reason.words())
	if e.failure.Code != "" {
		s += " (" + e.failure.Code + ")"
	}
	return s
}

func (e *loginError) Is(target error) bool { return target == ErrLoginRequired }
func (e *loginError) Unwrap() error        { return e.cause }
func (e *loginError) TokenReason() string  { return string(e.failure.Reason) }

// notSent is an error by which a request wasn't made, which net/http would have pass
// for one of the network's.
type notSent struct{ error }

func (e notSent) Unwrap() error { return e.error }
func (notSent) NotSent() bool   { return true }
