package endpoints

import (
	"context"
	"errors"
	"net"

	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// ErrorKind says what to do about an error. See [KindOf].
type ErrorKind string

const (
	// KindUnknown is the kind of nil, and of what isn't known.
	KindUnknown ErrorKind = ""

	// KindDenied: the user said no at the consent page. In a rule of Answer it is for
	// [Config.DeviceAccessToken], where the token endpoint tells it.
	KindDenied ErrorKind = "denied"

	// KindCodeRejected: the authorization code is invalid, expired or spent.
	KindCodeRejected ErrorKind = "code_rejected"

	// KindRedirectMismatch: the redirect_uri is not the one that is registered or
	// that the code was issued for.
	KindRedirectMismatch ErrorKind = "redirect_mismatch"

	// KindClientRejected: the provider doesn't take the application's client id
	// or secret, or its request.
	KindClientRejected ErrorKind = "client_rejected"

	// KindTokenRejected: the API doesn't take the access token, and another one
	// would help.
	KindTokenRejected ErrorKind = "token_rejected"

	// KindLoginRequired: the grant is gone, and only the user, at the consent
	// page, can give another. In a rule of Answer it stands for KindCodeRejected,
	// too: which one it is depends on what the request spent.
	KindLoginRequired ErrorKind = "login_required"

	// KindInsufficientScope: the token lacks a permission.
	KindInsufficientScope ErrorKind = "insufficient_scope"

	// KindRateLimited: too many requests.
	KindRateLimited ErrorKind = "rate_limited"

	// KindProviderTrouble: the provider can't be reached or is in trouble.
	KindProviderTrouble ErrorKind = "provider_trouble"

	// KindUnreadable: the answer isn't one of a token endpoint.
	KindUnreadable ErrorKind = "unreadable"

	// KindNotAdapted: the provider was sent x/oauth2's own form.
	KindNotAdapted ErrorKind = "not_adapted"
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
	tokenerror.Denied:            KindDenied,
	tokenerror.NotAdapted:        KindNotAdapted,
}

// KindOf tells what to do about an error that Exchange, a token source, Revoke or
// packages tokensource and pkce returned. The error may be wrapped.
func KindOf(err error) ErrorKind {
	var token interface{ TokenReason() string } // of package tokensource
	var network net.Error                       // *url.Error is one
	ofToken := KindUnknown
	if errors.As(err, &token) {
		ofToken = reasons[token.TokenReason()]
	}
	meaning, answered := tokenerror.Of(err)
	callback, ofCallback := tokenerror.WasMeant(err) // of package pkce
	switch {
	case ofToken == KindLoginRequired:
		return KindLoginRequired
	case answered:
		return kinds[meaning.Kind]
	case token != nil:
		return ofToken
	case tokenerror.WasNotSent(err), errors.Is(err, context.Canceled):
		return KindUnknown
	case ofCallback:
		return kinds[callback]
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

// Hint returns a sentence fit for the screen of the user who is connecting or has
// connected an account. It is "" for KindUnknown and KindTokenRejected.
func (k ErrorKind) Hint() string {
	switch k {
	case KindDenied:
		return "The connection was not allowed. Please connect the account again if that was a mistake."
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
