package tokensource

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
	"github.com/oauth2keep/oauth2keep/storage"
)

// ErrLoginRequired says that only the user, at the consent page, can restore the
// connection: send them there, and Save the token that the exchange returns. No token
// request is made for the connection until then. [Error.Reason] says why.
var ErrLoginRequired = errors.New("tokensource: login required")

// Error says that there is no token for a connection, and why. Every error of this
// package about a connection is one, except that of a context that is done, and those that
// are errors.ErrUnsupported.
//
// It holds no secret, and leads to none, with any Refresher. If the provider
// answered with an error, it unwraps to an *oauth2.RetrieveError with the status and the
// provider's code, but without the body and the request. One that is [ErrLoginRequired]
// always does, with the code invalid_grant, whichever process was told so: it is what
// programs and libraries that know x/oauth2 look for.
type Error struct {
	Connection string // "" if they can't be listed
	Reason     Reason

	// Code is the provider's error code, such as "invalid_client", if it gave one that
	// is known; others could be anything, and are left out.
	Code string

	// NextTry is when a refresh is tried again; no call before that makes a token request.
	// It is zero if the time isn't known, or a login is required.
	NextTry time.Time

	// Owner is the record's Registration, and Manager that of the Manager, for
	// ReasonOtherClient.
	Owner, Manager Registration

	action string  // what failed; "" for a refresh
	detail string  // what else may be told
	causes []error // what Unwrap returns
}

// Error names the connection, the reason, the provider's code and the next try. It repeats
// nothing else that the provider wrote.
func (e *Error) Error() string {
	var b strings.Builder
	switch {
	case e.Reason == ReasonOtherClient:
		fmt.Fprintf(&b, "tokensource: connection %q belongs to %v, and this Manager is %v: choose another name, or see Manager.Move", e.Connection, e.Owner, e.Manager)
	case e.Reason.loginRequired():
		fmt.Fprintf(&b, "%v for connection %q: %s", ErrLoginRequired, e.Connection, e.Reason.words())
	case e.Reason == ReasonStore && e.Connection == "":
		b.WriteString("tokensource: can't list the connections")
	case e.Reason == ReasonStore:
		fmt.Fprintf(&b, "tokensource: can't load or save connection %q", e.Connection)
	default:
		action := cmp.Or(e.action, "refresh the token of")
		fmt.Fprintf(&b, "tokensource: can't %s connection %q: %s", action, e.Connection, e.Reason.words())
	}
	if e.Code != "" {
		fmt.Fprintf(&b, " (%s)", e.Code)
	}
	if e.detail != "" {
		fmt.Fprintf(&b, ": %s", e.detail)
	}
	if !e.NextTry.IsZero() {
		fmt.Fprintf(&b, "; next try after %s", e.NextTry.UTC().Format(time.RFC3339))
	}
	return b.String()
}

// Is reports whether target is ErrLoginRequired, and e requires a login.
func (e *Error) Is(target error) bool {
	return target == ErrLoginRequired && e.Reason.loginRequired()
}

// Unwrap returns an *oauth2.RetrieveError, an error of the store or of the system, or
// nothing.
func (e *Error) Unwrap() []error { return e.causes }

// TokenReason tells endpoints.KindOf, which can't know this package, the Reason.
func (e *Error) TokenReason() string { return string(e.Reason) }

// newError returns the error for f. cause, if not nil, is what the Refresher or the store
// returned; only what is known to be harmless is kept of it.
func newError(name string, f failure, cause error) *Error {
	e := &Error{Connection: name, Reason: f.Reason, Code: f.Code, NextTry: f.Next}
	switch {
	case f.Reason == ReasonStore:
		if cause != nil {
			e.detail, e.causes = cause.Error(), []error{cause}
			var inner *Error
			if errors.As(cause, &inner) {
				e.detail, e.causes = inner.detail, inner.causes
			}
		}
	case f.Reason.loginRequired():
		e.causes = []error{retrieveError(http.StatusBadRequest, "invalid_grant", nil)}
		if f.Reason == ReasonNotConnected {
			e.causes = append(e.causes, storage.ErrNotFound)
		}
	default:
		e.detail, e.causes = harmless(cause, f.Code)
	}
	return e
}

// retrieveError returns an error as x/oauth2 has it, with nothing that the provider sent
// but its status, its code and Retry-After.
func retrieveError(status int, code string, h http.Header) *oauth2.RetrieveError {
	kept := http.Header{}
	if after := tokenerror.RetryAfter(h); after > 0 {
		kept.Set("Retry-After", strconv.Itoa(int(after.Round(time.Second)/time.Second)))
	}
	return &oauth2.RetrieveError{
		Response: &http.Response{
			Status:     fmt.Sprintf("%d %s", status, http.StatusText(status)),
			StatusCode: status,
			Header:     kept,
			Body:       http.NoBody,
		},
		ErrorCode: code,
	}
}

// harmless returns of an error of the Refresher what can't hold a secret: neither a
// response, nor a URL, nor a text that isn't ours.
func harmless(err error, code string) (text string, causes []error) {
	var retrieve *oauth2.RetrieveError
	if errors.As(err, &retrieve) {
		status := 0
		var header http.Header
		if r := retrieve.Response; r != nil {
			status, header = r.StatusCode, r.Header
			text = fmt.Sprintf("status %d", status)
		}
		if code == "invalid_grant" {
			code = "" // beside a status by which it isn't one
		}
		kept := retrieveError(status, code, header)
		if meaning, _ := tokenerror.Of(err); meaning.Kind != tokenerror.Unknown { // which the status and the code alone may not have
			decided := tokenerror.WithAdapted(context.Background(), tokenerror.Adapted{Grant: meaning.Grant, Kind: meaning.Kind})
			kept.Response.Request = new(http.Request).WithContext(decided)
		}
		return text, []error{kept}
	}
	if mistake, ok := tokenerror.Mistake(err); ok {
		return mistake, nil // of the program's own, from before there was an answer
	}
	var own *configError
	if errors.As(err, &own) {
		return own.Error(), nil
	}
	var errno syscall.Errno
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, errCrowded):
		return errCrowded.Error(), []error{context.DeadlineExceeded}
	case errors.Is(err, errBusy):
		return errBusy.Error(), []error{context.DeadlineExceeded}
	case errors.As(err, &errno):
		return errno.Error(), []error{errno}
	case errors.As(err, &name):
		return "the host's name can't be resolved", nil
	case errors.As(err, &certificate):
		return "the server's certificate can't be verified", nil
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout", []error{context.DeadlineExceeded}
	case errors.Is(err, context.Canceled):
		return "the request was cancelled", []error{context.Canceled}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "the connection was cut", []error{io.ErrUnexpectedEOF}
	case err != nil && isUnread(err):
		return "the answer can't be read", nil
	case errors.Is(err, errNoWay):
		return errNoWay.Error(), nil
	}
	return "", nil
}

// isUnread reports whether x/oauth2 says that there was an answer that it can't read, which
// it does in words alone. What follows them is of the answer.
func isUnread(err error) bool {
	text := err.Error()
	for _, words := range []string{"cannot fetch token: ", "cannot parse ", "server response missing "} {
		if strings.HasPrefix(text, "oauth2: "+words) {
			return true
		}
	}
	return false
}

// notConnected is the error for a name that has no record.
func (m *Manager) notConnected(name string) *Error {
	return newError(name, failure{Reason: ReasonNotConnected}, nil)
}

// otherClient is the error for a record of another registration.
func (m *Manager) otherClient(name string, owner Registration) *Error {
	set, _ := m.settings()
	return &Error{Connection: name, Reason: ReasonOtherClient, Owner: owner, Manager: set.registration}
}

// storeError is the error for a record that can't be read or written. Errors of a store
// hold no secrets: it never sees one.
func (m *Manager) storeError(name string, cause error) *Error {
	e := newError(name, failure{Reason: ReasonStore}, cause)
	if errors.Is(cause, storage.ErrOpen) || isRecordError(cause) {
		e.detail += " (Manager.Forget deletes the record, so that the user can connect again)"
	}
	return e
}

// isRecordError reports whether err says that what is stored is no record.
func isRecordError(err error) bool {
	var e *recordError
	return errors.As(err, &e)
}

// isReason reports whether err is an Error with this reason.
func isReason(err error, r Reason) bool {
	var e *Error
	return errors.As(err, &e) && e.Reason == r
}

// isGone reports whether err says that there is no record, or not any more one of ours.
func isGone(err error) bool {
	return isReason(err, ReasonNotConnected) || isReason(err, ReasonOtherClient)
}
