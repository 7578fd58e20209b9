package endpoints

import (
	"context"
	"errors"
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
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
	// or secret, or its request. The application is misconfigured.
	KindClientRejected

	// KindLoginRequired: the grant is gone. Only the user, at the consent page,
	// can mend it.
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

// kinds are the error codes of RFC 6749, section 5.2, RFC 6750, section 3.1, of
// the providers defined here, and of the servers that stand behind many others.
var kinds = map[string]ErrorKind{
	"invalid_grant":         KindCodeRejected, // or KindLoginRequired: see KindOf
	"invalid_code":          KindCodeRejected,
	"bad_verification_code": KindCodeRejected, // GitHub
	"redirect_uri_mismatch": KindRedirectMismatch,
	"invalid_redirect_uri":  KindRedirectMismatch,

	"invalid_client":               KindClientRejected,
	"unauthorized_client":          KindClientRejected,
	"access_denied":                KindClientRejected,
	"invalid_request":              KindClientRejected,
	"invalid_scope":                KindClientRejected,
	"invalid_target":               KindClientRejected,
	"unsupported_grant_type":       KindClientRejected,
	"unsupported_response_type":    KindClientRejected,
	"unsupported_token_type":       KindClientRejected, // RFC 7009
	"bad_request":                  KindClientRejected,
	"incorrect_client_credentials": KindClientRejected, // GitHub
	"payment_required":             KindClientRejected,

	"invalid_token":          KindLoginRequired,
	"unauthorized_request":   KindLoginRequired,
	"authentication_error":   KindLoginRequired,
	"reauthenticate_user":    KindLoginRequired,
	"account_setup_required": KindLoginRequired,
	"login_required":         KindLoginRequired,
	"consent_required":       KindLoginRequired,
	"interaction_required":   KindLoginRequired,

	"insufficient_scope":               KindInsufficientScope,
	"error_permissions":                KindInsufficientScope,
	"insufficient_account_permissions": KindInsufficientScope,

	"too_many_requests":    KindRateLimited,
	"rate_limit_exceeded":  KindRateLimited,
	"finch_application_rl": KindRateLimited,
	"slow_down":            KindRateLimited,

	"server_error":            KindProviderTrouble,
	"temporarily_unavailable": KindProviderTrouble,
	"not_implemented":         KindProviderTrouble,
	"bad_gateway":             KindProviderTrouble,

	codeUnreadable: KindUnreadable,
}

// KindOf tells what to do about an error that Exchange, a token source, Revoke or
// package tokensource returned. The error may be wrapped.
func KindOf(err error) ErrorKind {
	var token interface{ TokenReason() string } // of package tokensource
	var retrieve *oauth2.RetrieveError
	var own interface{ NotSent() bool }
	var network net.Error // *url.Error is one
	ofToken := KindUnknown
	if errors.As(err, &token) {
		ofToken = reasons[token.TokenReason()]
	}
	switch {
	case ofToken == KindLoginRequired:
		return KindLoginRequired
	case errors.As(err, &retrieve):
		return kindOf(retrieve)
	case token != nil:
		return ofToken
	case errors.As(err, &own), errors.Is(err, context.Canceled):
		return KindUnknown
	case errors.As(err, &network), errors.Is(err, context.DeadlineExceeded):
		return KindProviderTrouble
	}
	return KindUnknown
}

// reasons are what package tokensource calls its failures.
var reasons = map[string]ErrorKind{
	"revoked_or_expired": KindLoginRequired,
	"response_lost":      KindLoginRequired,
	"rejected":           KindLoginRequired,
	"expired":            KindLoginRequired,
	"misconfigured":      KindClientRejected,
	"rate_limited":       KindRateLimited,
	"unavailable":        KindProviderTrouble,
}

func kindOf(err *oauth2.RetrieveError) ErrorKind {
	if notAdapted(err) {
		return KindNotAdapted
	}
	status, grant := 0, ""
	if err.Response != nil {
		status = err.Response.StatusCode
		if r := err.Response.Request; r != nil {
			grant, _ = grantOf(r)
		}
	}
	kind := kinds[err.ErrorCode]
	switch {
	case status == http.StatusTooManyRequests:
		return KindRateLimited
	case kind == KindUnreadable && (status < 500 || status == http.StatusBadGateway):
		return KindUnreadable // 502 also stands for a success that can't be read
	case status >= 500:
		return KindProviderTrouble
	case err.ErrorCode == "":
		return KindUnreadable
	case kind == KindUnknown && (status == http.StatusNotFound || status == http.StatusMethodNotAllowed):
		return KindClientRejected // there is no token endpoint at that URL
	case kind == KindClientRejected && blamesRedirect(err.ErrorDescription):
		return KindRedirectMismatch // Auth0's unauthorized_client
	case kind != KindCodeRejected:
		return kind
	case grant == "refresh_token":
		return KindLoginRequired
	case blamesRedirect(err.ErrorDescription):
		return KindRedirectMismatch
	}
	return KindCodeRejected
}

// notAdapted reports whether x/oauth2's own form was sent to a provider that takes
// something else.
func notAdapted(err *oauth2.RetrieveError) bool {
	if err.Response == nil || err.Response.Request == nil || err.Response.Request.URL == nil {
		return false
	}
	if _, adapted := grantOf(err.Response.Request); adapted {
		return false
	}
	if err.Response.StatusCode == http.StatusUnsupportedMediaType {
		return true // whoever says so to a form takes something else
	}
	asked := err.Response.Request.URL.String()
	known := []Provider{Finch, Chart, TaxRock, TaxRockSandbox}
	return slices.ContainsFunc(known, func(p Provider) bool { return p.Endpoint.TokenURL == asked })
}

// RetryAfter returns how long the provider asked to wait, with a Retry-After
// header (RFC 9110, section 10.2.3) in seconds or as a date. It returns 0 if err
// holds no such wish.
func RetryAfter(err error) time.Duration {
	var retrieve *oauth2.RetrieveError
	if !errors.As(err, &retrieve) || retrieve.Response == nil {
		return 0
	}
	value := strings.TrimSpace(retrieve.Response.Header.Get("Retry-After"))
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil {
		return time.Duration(min(max(seconds, 0), math.MaxInt32)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
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
