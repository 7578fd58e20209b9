package tokensource

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// outcome is what an error of a refresh request means for the connection.
type outcome struct {
	reason Reason
	code   string // the provider's error code, if there is one that may be shown

	answerLost bool // the request was sent and its answer never came
	mayBeSpent bool // the refresh token may have been spent all the same
	neverLeft  bool // no request was written: it says nothing about the provider
	retryAfter time.Duration
}

// isOffline reports whether it is this machine that has no network: others mustn't wait because
// of that.
func (o *outcome) isOffline() bool { return o.neverLeft && o.reason == ReasonUnavailable }

// outcomeOf says what err means. Only a provider that says so ends a grant. A firewall's
// 403, an unknown code, a client secret that is being replaced: none of them says anything
// about the grant.
func outcomeOf(err error, w *wire) outcome {
	meaning, answered := tokenerror.Of(err)
	if !answered {
		if tokenerror.WasNotSent(err) {
			return outcome{reason: ReasonMisconfigured, neverLeft: true}
		}
		// What was sent is known if the Refresher uses the client that it is given. Of another
		// there is only the error.
		var own *configError
		lost := w.wrote.Load() || !w.used.Load() && (isNetworkError(err) || errors.As(err, &own))
		return outcome{reason: ReasonUnavailable, answerLost: lost, mayBeSpent: lost, neverLeft: !lost && (w.used.Load() || wasNotDialed(err))}
	}
	o := outcome{reason: reasonOf(meaning), code: meaning.Code, retryAfter: meaning.RetryAfter}
	if o.code == tokenerror.Unprintable {
		o.code = ""
	}
	if meaning.Status >= 500 && o.reason != ReasonRevoked {
		// A gateway may have lost the answer of a server that did its work, unless the
		// provider's definition says that this is how it tells the end of a grant.
		o.mayBeSpent = meaning.Status != http.StatusServiceUnavailable && meaning.Status != http.StatusNotImplemented
	}
	return o
}

// reasonOf says what an answer to a refresh means.
func reasonOf(m tokenerror.Meaning) Reason {
	switch m.Kind {
	case tokenerror.GrantRejected, tokenerror.LoginRequired:
		return ReasonRevoked
	case tokenerror.RedirectMismatch: // a refresh has no redirect_uri
		if m.Code == "invalid_grant" {
			return ReasonRevoked
		}
		return ReasonMisconfigured
	case tokenerror.ClientRejected, tokenerror.InsufficientScope, tokenerror.NotAdapted:
		return ReasonMisconfigured
	case tokenerror.RateLimited:
		return ReasonRateLimited
	}
	return ReasonUnavailable
}

// isNetworkError reports whether err can come from a connection.
func isNetworkError(err error) bool {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err // a url.Error is a net.Error, whatever it wraps
	}
	if wasNotDialed(err) {
		return false // never connected, so nothing was sent
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// wasNotDialed reports whether err says that there was no connection: no network, no
// name, no one listening, or not who should.
func wasNotDialed(err error) bool {
	var dial *net.OpError
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &dial) && dial.Op == "dial" || errors.As(err, &name) || errors.As(err, &certificate)
}

// configError is a Refresher that returned neither a token nor an error.
type configError struct{ text string }

func (e *configError) Error() string { return e.text }

func configErrorf(format string, args ...any) error {
	return &configError{fmt.Sprintf("Manager.Config "+format, args...)}
}

// wire observes whether the HTTP client was used for a request, and whether that got as far as
// being written.
type wire struct{ used, wrote atomic.Bool }

func (w *wire) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:      func(string) { w.used.Store(true) },
		WroteHeaders: func() { w.wrote.Store(true) },
	})
}
