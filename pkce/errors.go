package pkce

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"

	"github.com/oauth2keep/oauth2keep/internal/loginerror"
	"github.com/oauth2keep/oauth2keep/internal/redact"
	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// The three things that can be done about an error. Every error of this package
// wraps exactly one of them.
var (
	// ErrStartAgain means that this attempt is over and another one may work:
	// the state didn't verify, the code had expired, or the provider or the
	// network had trouble. Offer the user to begin again.
	ErrStartAgain = loginerror.ErrStartAgain

	// ErrDenied means that the user said no at the consent page.
	ErrDenied = loginerror.ErrDenied

	// ErrMisconfigured means that the application's operator has to change
	// something: the client's id, secret, scopes, redirect URI or issuer, or a
	// field of [Flow]. Beginning again ends the same way.
	ErrMisconfigured = loginerror.ErrMisconfigured
)

// ErrState is the error of a callback whose state is missing, empty, repeated or
// expired, or which belongs to no attempt of this browser. It may be a bookmark or a
// forged request (RFC 6749 section 10.12): nothing was sent to the provider. It wraps
// [ErrStartAgain].
var ErrState = startAgain("the callback's state doesn't verify")

// ErrAlreadyUsed is the error of a callback that arrives once more in the browser
// whose attempt it finishes, by a double click or a reload. Nothing was sent to the
// provider again: the first callback has decided, so show the user what the
// connection is now. Only if it isn't connected is there a reason to begin again,
// hence it wraps [ErrStartAgain]. It is not an [ErrState].
var ErrAlreadyUsed = startAgain("the callback was used before")

func startAgain(text string) error { return loginerror.New(ErrStartAgain, text, nil) }

func stateError(text string) error { return loginerror.New(ErrState, text, nil) }

func misconfigured(text string) error { return loginerror.New(ErrMisconfigured, text, nil) }

// AuthError is the error that a provider sent to the callback instead of a code
// (RFC 6749 section 4.1.2.1). It wraps the sentinel that says what to do about its
// code.
//
// Its texts come from the URL of the callback. They are cut to a sensible length
// and hold no control characters, but they are the provider's words, or those of
// anyone who can make a user follow a link at the provider: escape them in HTML as
// anything foreign.
type AuthError struct {
	Code        string // such as "access_denied"; never empty, at most 100 bytes
	Description string // for the developer, in the provider's words, at most 500 bytes; or ""
	URI         string // an http or https page about the error, at most 500 bytes; or ""
}

// Error returns the code and the description.
func (e *AuthError) Error() string {
	s := fmt.Sprintf("pkce: the provider answered %q", e.Code)
	if e.Description != "" {
		s += fmt.Sprintf(": %q", e.Description)
	}
	return s
}

// Unwrap returns an error that is [ErrDenied], [ErrMisconfigured] or [ErrStartAgain].
func (e *AuthError) Unwrap() error {
	code := strings.ToLower(e.Code)
	kind, ok := kinds[code]
	if !ok {
		_, kind = tokenerror.Lookup(code)
	}
	return tokenerror.Meant(loginerror.ActionOf(kind), kind)
}

func newAuthError(callback url.Values, secrets ...string) *AuthError {
	secrets = append(secrets, callback.Get("code")) // there should be none
	return &AuthError{
		Code:        cmp.Or(redact.Line(callback.Get("error"), loginerror.MaxCode, secrets), "(unreadable)"),
		Description: redact.Line(callback.Get("error_description"), loginerror.MaxText, secrets),
		URI:         redact.URL(callback.Get("error_uri"), loginerror.MaxText, secrets),
	}
}

// kinds says what the error codes mean that a callback has alone, or that mean something
// else there than at the token endpoint. The codes of prompt=none, consent_required among
// them, say that the user has to be asked: nobody has said no yet.
var kinds = map[string]tokenerror.Kind{
	"access_denied":            tokenerror.Denied, // RFC 6749 section 4.1.2.1
	"user_cancelled_authorize": tokenerror.Denied, // this and the next: LinkedIn
	"user_cancelled_login":     tokenerror.Denied,
	"user_denied":              tokenerror.Denied, // Facebook

	// RFC 9101, and OpenID Connect Core section 3.1.2.6.
	"invalid_request_object":     tokenerror.ClientRejected,
	"invalid_request_uri":        tokenerror.ClientRejected,
	"registration_not_supported": tokenerror.ClientRejected,
	"request_not_supported":      tokenerror.ClientRejected,
	"request_uri_not_supported":  tokenerror.ClientRejected,
}
