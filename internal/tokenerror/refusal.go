package tokenerror

import (
	"net/http"
	"strings"
)

// Refusal is what an API says about the token that came with a request.
type Refusal int

const (
	// RefusalUnknown: nothing is said about the token. A 401 may be about it
	// nevertheless, or be a firewall's.
	RefusalUnknown Refusal = iota

	// RefusalToken: the token has expired, was revoked, or isn't one. Another
	// token may be taken.
	RefusalToken

	// RefusalOther: the token is good, and something else is wrong. Another token
	// of the same grant would be refused as well.
	RefusalOther
)

// refusals are the error codes with which APIs refuse a request. They are not those
// of a token endpoint: there, invalid_grant is about the code or the refresh token
// in the request, and invalid_client about the client.
var refusals = map[string]Refusal{
	"invalid_token": RefusalToken, // RFC 6750, section 3.1
	// What other servers say in its place.
	"access_token_expired":       RefusalToken,
	"access_token_invalid":       RefusalToken,
	"authentication_error":       RefusalToken,
	"authentication_required":    RefusalToken,
	"consent_required":           RefusalToken,
	"expired_access_token":       RefusalToken,
	"expired_auth_token":         RefusalToken,
	"expired_token":              RefusalToken,
	"interaction_required":       RefusalToken,
	"invalid_access_token":       RefusalToken,
	"invalid_auth":               RefusalToken,
	"invalid_auth_token":         RefusalToken,
	"invalid_authentication":     RefusalToken,
	"invalid_credentials":        RefusalToken,
	"invalid_grant":              RefusalToken, // the grant is gone, and the token with it
	"invalid_session_id":         RefusalToken,
	"invalidauthtoken":           RefusalToken,
	"invalidauthenticationtoken": RefusalToken,
	"login_required":             RefusalToken,
	"not_authed":                 RefusalToken,
	"reauthenticate_user":        RefusalToken,
	"account_setup_required":     RefusalToken,
	"revoked_token":              RefusalToken,
	"session_expired":            RefusalToken,
	"token_expired":              RefusalToken,
	"token_invalid":              RefusalToken,
	"token_revoked":              RefusalToken,
	"unauthenticated":            RefusalToken,
	"unauthorized_request":       RefusalToken,

	"insufficient_scope":               RefusalOther, // RFC 6750, section 3.1
	"invalid_request":                  RefusalOther, // RFC 6750, section 3.1
	"access_denied":                    RefusalOther,
	"bad_request":                      RefusalOther,
	"error_permissions":                RefusalOther,
	"forbidden":                        RefusalOther,
	"insufficient_account_permissions": RefusalOther,
	"insufficient_permissions":         RefusalOther,
	"insufficient_user_authentication": RefusalOther, // RFC 9470: the login, not the token, is too weak
	"invalid_client":                   RefusalOther,
	"invalid_dpop_proof":               RefusalOther, // RFC 9449
	"invalid_redirect_uri":             RefusalOther,
	"invalid_scope":                    RefusalOther,
	"not_implemented":                  RefusalOther,
	"payment_required":                 RefusalOther,
	"permission_denied":                RefusalOther,
	"rate_limit_exceeded":              RefusalOther,
	"finch_application_rl":             RefusalOther,
	"server_error":                     RefusalOther,
	"slow_down":                        RefusalOther,
	"temporarily_unavailable":          RefusalOther,
	"too_many_requests":                RefusalOther,
	"unauthorized_client":              RefusalOther,
	"use_dpop_nonce":                   RefusalOther, // RFC 9449
}

// RefusalOf tells what an error code of an API, in whatever case, says about the
// token.
func RefusalOf(code string) Refusal {
	code = strings.ToLower(code)
	if r, ok := refusals[code]; ok {
		return r
	}
	return refusals[strings.TrimSuffix(code, "_error")]
}

// Refused returns the error code of a response's bearer challenges (RFC 6750,
// section 3), in lower case if it is a known one, and what it says about the token.
// The code of a challenge that is about the token goes before others. It is "" if no
// bearer challenge has one.
func Refused(h http.Header) (code string, refusal Refusal) {
	for _, c := range Challenges(h) {
		if c.Scheme != "bearer" && c.Scheme != "dpop" && c.Scheme != "oauth" {
			continue
		}
		e := c.Params["error"]
		r := RefusalOf(e)
		if r != RefusalUnknown {
			e = strings.ToLower(e)
		}
		if e != "" && (code == "" || r == RefusalToken && refusal != RefusalToken) {
			code, refusal = e, r
		}
	}
	return code, refusal
}
