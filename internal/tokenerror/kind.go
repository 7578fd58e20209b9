// Package tokenerror decides what an error about a token means, once. What packages
// endpoints, pkce and tokensource say of an error of a token endpoint is all made from
// the [Kind] that it has here, and what they say of an API that doesn't take a token from
// its [Refusal].
package tokenerror

import (
	"maps"
	"slices"
	"strings"
)

// Kind is what an error of a token endpoint means.
type Kind int

const (
	// Unknown: not an error of a token endpoint, or a code that isn't known. It
	// says nothing about the grant.
	Unknown Kind = iota

	// GrantRejected: the authorization code or the refresh token of the request is
	// invalid, expired, revoked or spent.
	GrantRejected

	// RedirectMismatch: the redirect_uri is not the one that is registered or that
	// the code was issued for.
	RedirectMismatch

	// ClientRejected: the provider doesn't take the client, its credentials or its
	// request, or there is no token endpoint at that URL.
	ClientRejected

	// LoginRequired: the grant is gone, or needs the user: only the consent page
	// helps.
	LoginRequired

	// InsufficientScope: the grant lacks a permission.
	InsufficientScope

	// RateLimited: too many requests.
	RateLimited

	// Unavailable: the provider is in trouble.
	Unavailable

	// Unreadable: the answer isn't one of a token endpoint, but of a firewall or a
	// broken server.
	Unreadable

	// Denied: the user has said no, where the token endpoint tells that.
	Denied

	// NotAdapted: x/oauth2's own form was sent to a provider that takes something
	// else, because package endpoints was left out.
	NotAdapted
)

// CodeUnreadable is the error code that package endpoints gives to an answer that
// makes no sense.
const CodeUnreadable = "unreadable_response"

// kinds are the error codes of RFC 6749, section 5.2, of its registry of extensions,
// and of the servers that stand behind many providers. A code that one provider
// alone has belongs into its definition.
var kinds = map[string]Kind{
	"invalid_grant":         GrantRejected,
	"bad_verification_code": GrantRejected, // GitHub
	"invalid_code":          GrantRejected,
	"expired_token":         GrantRejected, // RFC 8628, of a device code

	"bad_refresh_token":      LoginRequired, // GitHub
	"consent_required":       LoginRequired, // this and the next two: OpenID Connect Core, section 3.1.2.6
	"interaction_required":   LoginRequired,
	"login_required":         LoginRequired,
	"expired_refresh_token":  LoginRequired,
	"invalid_refresh_token":  LoginRequired, // Slack
	"invalid_token":          LoginRequired, // Spring's, for a refresh token
	"mfa_required":           LoginRequired, // Auth0
	"refresh_token_expired":  LoginRequired,
	"refresh_token_invalid":  LoginRequired,
	"refresh_token_revoked":  LoginRequired,
	"revoked_refresh_token":  LoginRequired,
	"session_expired":        LoginRequired,
	"token_expired":          LoginRequired, // Slack
	"token_revoked":          LoginRequired, // Slack
	"account_setup_required": LoginRequired, // this and the next: Finch
	"reauthenticate_user":    LoginRequired,

	"invalid_redirect_uri":  RedirectMismatch,
	"bad_redirect_uri":      RedirectMismatch, // Slack
	"redirect_uri_mismatch": RedirectMismatch,

	"access_denied":                ClientRejected, // here the user has said yes, but for a device: it is Auth0's for a wrong secret
	"application_suspended":        ClientRejected, // GitHub
	"bad_client_secret":            ClientRejected, // Slack
	"bad_request":                  ClientRejected,
	"deleted_client":               ClientRejected, // Google
	"disabled_client":              ClientRejected, // Google
	"incorrect_client_credentials": ClientRejected, // GitHub
	"invalid_client":               ClientRejected,
	"invalid_client_id":            ClientRejected,
	"invalid_client_secret":        ClientRejected,
	"invalid_dpop_proof":           ClientRejected, // RFC 9449
	"invalid_request":              ClientRejected,
	"invalid_resource":             ClientRejected, // Microsoft
	"invalid_scope":                ClientRejected,
	"invalid_target":               ClientRejected, // RFC 8707
	"org_internal":                 ClientRejected, // Google
	"payment_required":             ClientRejected,
	"unauthorized_client":          ClientRejected,
	"unsupported_grant_type":       ClientRejected,
	"unsupported_response_type":    ClientRejected,
	"unsupported_token_type":       ClientRejected, // RFC 7009
	"use_dpop_nonce":               ClientRejected, // RFC 9449

	"error_permissions":                InsufficientScope, // Finch
	"insufficient_account_permissions": InsufficientScope, // Finch
	"insufficient_scope":               InsufficientScope, // RFC 6750

	"finch_application_rl": RateLimited,
	"rate_limit_exceeded":  RateLimited,
	"rate_limited":         RateLimited,
	"ratelimited":          RateLimited, // Slack
	"slow_down":            RateLimited, // RFC 8628
	"too_many_requests":    RateLimited,

	"bad_gateway":             Unavailable,
	"internal_error":          Unavailable,
	"internal_failure":        Unavailable, // Google
	"internal_server_error":   Unavailable,
	"not_implemented":         Unavailable,
	"server_error":            Unavailable,
	"service_unavailable":     Unavailable,
	"temporarily_unavailable": Unavailable,

	CodeUnreadable: Unreadable,
}

// Codes returns the codes of the table.
func Codes() []string { return slices.Sorted(maps.Keys(kinds)) }

// Lookup returns the Kind of an error code and how it is written in the table. Case
// doesn't matter, nor does a text after a colon ("invalid_grant: Token is expired")
// or a "_error" at the end that is there or missing. For a code that isn't known it
// returns Unknown and "".
func Lookup(code string) (known string, kind Kind) {
	if len(code) > 1<<10 {
		return "", Unknown
	}
	code, _, _ = strings.Cut(code, ":")
	code = strings.ToLower(strings.TrimSpace(code))
	for _, known := range []string{code, strings.TrimSuffix(code, "_error"), code + "_error"} {
		if kind, ok := kinds[known]; ok {
			return known, kind
		}
	}
	return "", Unknown
}

// BlamesRedirect reports whether the description of an error blames the redirect_uri
// alone. Many servers recite RFC 6749, section 5.2, for every invalid_grant:
// "invalid, expired, revoked, does not match the redirection URI …".
func BlamesRedirect(description string) bool {
	d := strings.ToLower(description)
	return strings.Contains(d, "redirect") && !strings.Contains(d, "expired") && !strings.Contains(d, "revoked")
}

// saysRefreshTokenIsDead reports whether the description of an invalid_request is one of
// Dex's, which answers so where RFC 6749, section 5.2, has invalid_grant. The words are
// compared as a whole: other servers say "refresh token" and "invalid" when they only ask
// for the request to be repeated.
func saysRefreshTokenIsDead(description string) bool {
	switch description {
	case "Refresh token is invalid or has already been claimed by another client.", "Refresh token expired.":
		return true
	}
	return false
}
