package endpoints

import (
	"context"
	"errors"
	"net"
	"strconv"
	"time"

	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// ErrorKind says what to do about an error of a token endpoint. See [KindOf].
type ErrorKind int

const (
	// KindUnknown is the kind of nil, of a cancelled context, of errors that don't
	// come from a token endpoint, and of error codes that aren't known.
	KindUnknown ErrorKind = iota

	// KindCodeRejected: the authorization code is invalid, expired or spent. Send
	// the user through the consent page again.
	KindCodeRejected

	// KindRedirectMismatch: the redirect_uri is not the one that is registered or
	// that the code was issued for. The application is misconfigured.
	KindRedirectMismatch

	// KindClientRejected: the provider doesn't take the application's client id
	// or secret, or its request, or has no token endpoint at that URL. The
	// application is misconfigured.
	KindClientRejected

	// KindLoginRequired: the grant is gone. Only the user can give another one, at
	// the consent page.
	KindLoginRequired

	// KindInsufficientScope: the token lacks a permission. The user has to grant
	// it at the consent page.
	KindInsufficientScope

	// KindRateLimited: too many requests. Wait for as long as RetryAfter says.
	KindRateLimited

	// KindProviderTrouble: the provider can't be reached or is in trouble. Try
	// again later.
	KindProviderTrouble

	// KindUnreadable: the answer isn't one of a token endpoint, but of a firewall
	// or a broken server. Try again later.
	KindUnreadable

	// KindNotAdapted: the provider was sent x/oauth2's own form, because a plain
	// *oauth2.Config was used without Provider.Context. Fix the program.
	KindNotAdapted
)

// kinds are what the kinds of package tokenerror are called here.
var kinds = map[tokenerror.Kind]ErrorKind{
	tokenerror.GrantRejected:     KindCodeRejected,
	tokenerror.RedirectMismatch:  KindRedirectMismatch,
	tokenerror.ClientRejected:    KindClientRejected,
	tokenerror.LoginRequired:     KindLoginRequired,
	tokenerror.InsufficientScope: KindInsufficientScope,
	tokenerror.RateLimited:       KindRateLimited,
	tokenerror.Unavailable:       KindProviderTrouble,
	tokenerror.Unreadable:        KindUnreadable,
	tokenerror.NotAdapted:        KindNotAdapted,
}

// KindOf tells what to do about an error that Exchange, a token source, Revoke or
// package tokensource returned. The error may be wrapped.
func KindOf(err error) ErrorKind {
	var token interface{ TokenReason() string } // of package tokensource
	var network net.Error                       // *url.Error is one
	ofToken := KindUnknown
	if errors.As(err, &token) {
		ofToken = reasons[token.TokenReason()]
	}
	meaning, answered := tokenerror.Of(err)
	switch {
	case ofToken == KindLoginRequired:
		return KindLoginRequired
	case answered:
		return kinds[meaning.Kind]
	case token != nil:
		return ofToken
	case tokenerror.WasNotSent(err), errors.Is(err, context.Canceled):
		return KindUnknown
	case errors.As(err, &network), errors.Is(err, context.DeadlineExceeded):
		return KindProviderTrouble
	}
	return KindUnknown
}

// reasons are what package tokensource calls its failures.
var reasons = map[string]ErrorKind{
	"not_connected":      KindLoginRequired,
	"revoked_or_expired": KindLoginRequired,
	"response_lost":      KindLoginRequired,
	"rejected":           KindLoginRequired,
	"expired":            KindLoginRequired,
	"misconfigured":      KindClientRejected,
	"other_client":       KindClientRejected,
	"rate_limited":       KindRateLimited,
	"unavailable":        KindProviderTrouble,
}

// RetryAfter returns how long the provider asked to wait, with a Retry-After
// header (RFC 9110, section 10.2.3) in seconds or as a date: at most a day. It
// returns 0 if err holds no such wish.
func RetryAfter(err error) time.Duration {
	meaning, _ := tokenerror.Of(err)
	return meaning.RetryAfter
}

// Hint returns a sentence fit for the screen of the user who is connecting or has
// connected an account. It is "" for KindUnknown.
func (k ErrorKind) Hint() string {
	switch k {
	case KindCodeRejected:
		return "This sign-in link has expired or was used already. Please connect the account again."
	case KindRedirectMismatch, KindClientRejected, KindNotAdapted:
		return "This application isn't set up correctly for the provider. Please contact its support; trying again won't help."
	case KindLoginRequired:
		return "The connection to this account has ended. Please connect the account again."
	case KindInsufficientScope:
		return "A permission that is needed was not granted. Please connect the account again and allow it."
	case KindRateLimited:
		return "The provider is getting too many requests at the moment. Please try again in a few minutes."
	case KindProviderTrouble, KindUnreadable:
		return "The provider can't be reached at the moment. Please try again later."
	}
	return ""
}

// String returns the kind in words.
func (k ErrorKind) String() string {
	switch k {
	case KindUnknown:
		return "unknown"
	case KindCodeRejected:
		return "code rejected"
	case KindRedirectMismatch:
		return "redirect mismatch"
	case KindClientRejected:
		return "client rejected"
	case KindLoginRequired:
		return "login required"
	case KindInsufficientScope:
		return "insufficient scope"
	case KindRateLimited:
		return "rate limited"
	case KindProviderTrouble:
		return "provider trouble"
	case KindUnreadable:
		return "unreadable answer"
	case KindNotAdapted:
		return "not adapted"
	}
	return "ErrorKind(" + strconv.Itoa(int(k)) + ")"
}
