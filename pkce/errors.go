package pkce

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/oauth2"
)

// The three things that can be done about an error. Every error of this package
// wraps exactly one of them.
var (
	// ErrStartAgain means that this attempt is over and another one may work:
	// the state didn't verify, the code had expired, or the provider or the
	// network had trouble. Offer the user to begin again.
	ErrStartAgain = errors.New("pkce: start again")

	// ErrDenied means that the user said no at the consent page.
	ErrDenied = errors.New("pkce: the user said no")

	// ErrMisconfigured means that only the application's operator can mend it:
	// the client's id, secret, scopes, redirect URI or issuer, or a field of
	// [Flow]. Beginning again ends the same way.
	ErrMisconfigured = errors.New("pkce: the application is misconfigured")
)

// ErrState is the error of a callback whose state is missing, empty, repeated,
// expired or already used, or which belongs to no attempt of this browser. It may
// be a reload, a bookmark or a forged request (RFC 6749 section 10.12): nothing was
// sent to the provider. It wraps [ErrStartAgain].
var ErrState error = &problem{action: ErrStartAgain, text: "the callback's state doesn't verify"}

// problem is an error whose text is fit for a log, whatever its cause would say.
type problem struct {
	action error // one of the sentinels
	text   string
	cause  error // or nil
}

func (p *problem) Error() string { return "pkce: " + p.text }

func (p *problem) Unwrap() []error {
	if p.cause == nil {
		return []error{p.action}
	}
	return []error{p.action, p.cause}
}

func stateError(text string) error { return &problem{action: ErrState, text: text} }

func misconfigured(text string) error { return &problem{action: ErrMisconfigured, text: text} }

// AuthError is the error that a provider sent to the callback instead of a code
// (RFC 6749 section 4.1.2.1). It wraps the sentinel that says what to do about its
// code.
//
// Its texts come from the URL of the callback. They are cut to a sensible length
// and hold no control characters, but they are the provider's words, or those of
// whoever can make a user follow a link at the provider: escape them in HTML as
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

// Unwrap returns [ErrDenied], [ErrMisconfigured] or [ErrStartAgain].
func (e *AuthError) Unwrap() error {
	if action, ok := actions[strings.ToLower(e.Code)]; ok {
		return action
	}
	return ErrStartAgain
}

func newAuthError(callback url.Values, secrets ...string) *AuthError {
	e := &AuthError{
		Code:        clean(callback.Get("error"), 100, secrets),
		Description: clean(callback.Get("error_description"), 500, secrets),
	}
	// A page may show the URI as a link: nothing but http and https may get there.
	uri := callback.Get("error_uri")
	u, err := url.Parse(uri)
	if err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && clean(uri, 500, secrets) == uri {
		e.URI = uri
	}
	return e
}

// actions says what to do about an error code, of the authorization endpoint or
// the token endpoint. A code that isn't here means [ErrStartAgain], unless the
// token endpoint's status says more.
var actions = map[string]error{
	// RFC 6749 sections 4.1.2.1 and 5.2.
	"access_denied":             ErrDenied,
	"invalid_client":            ErrMisconfigured,
	"invalid_request":           ErrMisconfigured,
	"invalid_scope":             ErrMisconfigured,
	"unauthorized_client":       ErrMisconfigured,
	"unsupported_grant_type":    ErrMisconfigured,
	"unsupported_response_type": ErrMisconfigured,
	"invalid_grant":             ErrStartAgain,
	"server_error":              ErrStartAgain,
	"temporarily_unavailable":   ErrStartAgain,

	// RFC 8707 and 9101, and OpenID Connect Core section 3.1.2.6. The codes of
	// prompt=none, consent_required among them, say that the user has to be asked:
	// nobody has said no yet.
	"invalid_target":             ErrMisconfigured,
	"invalid_request_object":     ErrMisconfigured,
	"invalid_request_uri":        ErrMisconfigured,
	"registration_not_supported": ErrMisconfigured,
	"request_not_supported":      ErrMisconfigured,
	"request_uri_not_supported":  ErrMisconfigured,
	"account_selection_required": ErrStartAgain,
	"consent_required":           ErrStartAgain,
	"interaction_required":       ErrStartAgain,
	"login_required":             ErrStartAgain,

	// Apple and LinkedIn; Facebook.
	"user_cancelled_authorize": ErrDenied,
	"user_cancelled_login":     ErrDenied,
	"user_denied":              ErrDenied,

	// GitHub, Google and others.
	"application_suspended":        ErrMisconfigured,
	"bad_verification_code":        ErrStartAgain,
	"disabled_client":              ErrMisconfigured,
	"incorrect_client_credentials": ErrMisconfigured,
	"invalid_redirect_uri":         ErrMisconfigured,
	"redirect_uri_mismatch":        ErrMisconfigured,

	// Finch.
	"account_setup_required": ErrStartAgain,
	"authentication_error":   ErrStartAgain,
	"bad_request":            ErrMisconfigured,
	"payment_required":       ErrMisconfigured,
	"reauthenticate_user":    ErrStartAgain,
}

// exchangeError wraps what c.Exchange returned, with a text that holds none of the
// secrets.
func exchangeError(c Exchanger, err error, secrets ...string) error {
	p := &problem{action: ErrStartAgain, cause: err}
	var answer *oauth2.RetrieveError
	var failed *url.Error
	var text string
	switch {
	case errors.As(err, &answer):
		// Without a code, RetrieveError.Error prints the whole body.
		p.action = answerAction(answer)
		text = answerText(answer, secrets)
	case errors.As(err, &failed):
		// Its text has the URL, and there are providers that want the client's
		// secret in that.
		inner := failed.Err
		for errors.As(inner, &failed) {
			inner = failed.Err
		}
		text = "no answer: " + clean(fmt.Sprint(inner), 500, secrets)
		if strings.Contains(text, "unsupported protocol scheme") || strings.Contains(text, "no Host in request URL") {
			p.action = ErrMisconfigured // the token URL is no URL
		}
	default:
		text = clean(err.Error(), 500, secrets)
		if c.AuthCodeURL("state") == "" {
			p.action = ErrMisconfigured // what it complains of is itself
		}
	}
	// A Config of the caller's own may have decided already.
	for _, action := range []error{ErrStartAgain, ErrDenied, ErrMisconfigured} {
		if errors.Is(err, action) {
			p.action = action
		}
	}
	p.text = "the exchange failed: " + text
	return p
}

func answerText(e *oauth2.RetrieveError, secrets []string) string {
	var parts []string
	if e.Response != nil {
		parts = append(parts, fmt.Sprint("status ", e.Response.StatusCode))
	}
	if e.ErrorCode != "" {
		parts = append(parts, fmt.Sprintf("%q", clean(e.ErrorCode, 100, secrets)))
	}
	if e.ErrorDescription != "" {
		parts = append(parts, fmt.Sprintf("%q", clean(e.ErrorDescription, 500, secrets)))
	}
	return "the provider answered " + strings.Join(parts, " ")
}

func answerAction(e *oauth2.RetrieveError) error {
	status := 0
	if e.Response != nil {
		status = e.Response.StatusCode
	}
	code := strings.ToLower(e.ErrorCode)
	switch {
	case code == "access_denied":
		return ErrMisconfigured // the user has said yes; it is Auth0's answer to a wrong client secret
	case code == "invalid_grant" && blamesRedirect(e.ErrorDescription):
		return ErrMisconfigured
	}
	if action, ok := actions[code]; ok {
		return action
	}
	switch status {
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusNotAcceptable, http.StatusUnsupportedMediaType,
		http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return ErrMisconfigured
	}
	// 400 is a code that is no longer good, 403 as often a firewall as anything
	// else, 429 and 5xx pass.
	return ErrStartAgain
}

// blamesRedirect reports whether the description of an invalid_grant blames the
// redirect URI alone. Many servers recite all of RFC 6749 section 5.2 instead:
// "invalid, expired, revoked, does not match the redirection URI …".
func blamesRedirect(description string) bool {
	d := strings.ToLower(description)
	return strings.Contains(d, "redirect") && !strings.Contains(d, "expired") && !strings.Contains(d, "revoked")
}

// clean returns s without the secrets, on one line, cut to at most limit bytes.
func clean(s string, limit int, secrets []string) string {
	for _, secret := range secrets {
		if len(secret) < 4 {
			continue // no secret, and too likely to be part of a word
		}
		for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret)} {
			s = strings.ReplaceAll(s, form, "[redacted]")
		}
	}
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	if len(s) <= limit {
		return s
	}
	s = s[:limit-len("…")]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + "…"
}
