package endpoints

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
)

// Callback describes the parameters that the provider appends to the redirect URI.
type Callback struct {
	// Names gives the provider's names for code, state, error, error_description,
	// error_uri and iss. The RFC's names are understood as well.
	Names map[string]string `json:"names,omitzero"`

	// Keep names further parameters that are kept beside the token, as
	// Token.Extra(name): an account's id, the data center that holds it.
	Keep []string `json:"keep,omitzero"`

	// Iss tells that every callback has an iss (RFC 9207, section 3, where it is
	// called authorization_response_iss_parameter_supported), so that one without
	// it is refused.
	Iss bool `json:"-"`

	// Errors say what an error in the callback means, such as [KindDenied]. In a
	// rule, In is the name of a parameter and Status has no meaning. A rule
	// without In and Code is for a callback that has neither a code nor an error.
	Errors []ErrorRule `json:"errors,omitzero"`
}

// callbackNames are the parameters of an authorization response (RFC 6749, section
// 4.1.2; RFC 9207).
var callbackNames = []string{"code", "state", "error", "error_description", "error_uri", "iss"}

// ReadCallback returns the parameters of a callback under the names of RFC 6749 and
// RFC 9207, with an error under one of their codes where Callback.Errors says what it
// means. What it returns as kept are the parameters of Callback.Keep, and the state if
// Provider.Exchange uses it, which Exchange has to be given as options. It changes
// nothing in callback. Package pkce calls it.
func (c *Config) ReadCallback(callback url.Values) (rfc url.Values, kept map[string]string) {
	conf := c.config()
	cb := &conf.Callback
	rfc, kept = maps.Clone(callback), make(map[string]string)
	if rfc == nil {
		rfc = make(url.Values)
	}
	for name, theirs := range cb.Names {
		if v := callback[theirs]; len(v) > 0 {
			rfc[name] = v
			if cb.Names[theirs] == "" {
				delete(rfc, theirs)
			}
		}
	}
	for _, name := range cb.Keep {
		if v := callback.Get(name); v != "" {
			kept[name] = conf.canonical(name, v)
		}
	}
	if state := rfc.Get("state"); state != "" && slices.Contains(conf.conversationOf(grantExchange).uses(), "state") {
		kept["state"] = state
	}
	for _, rule := range cb.Errors {
		if rule.matchesCallback(callback, rfc) {
			rfc.Set("error", callbackCodes[rule.Kind])
			break
		}
	}
	return rfc, kept
}

// matchesCallback reports whether r is about a callback, of which rfc are the
// parameters under the RFC's names.
func (r *ErrorRule) matchesCallback(callback, rfc url.Values) bool {
	if r.In == "" && r.Code == "" {
		return !rfc.Has("code") && !rfc.Has("error")
	}
	v := rfc.Get(cmp.Or(r.In, "error"))
	if r.In != "" && callback.Has(r.In) {
		v = callback.Get(r.In)
	}
	return v != "" && matchesCode(r.Code, v)
}

// callbackCodes are the RFC's codes for what rules of Callback.Errors can say.
var callbackCodes = map[ErrorKind]string{
	KindDenied:            "access_denied",
	KindClientRejected:    "invalid_request",
	KindInsufficientScope: "invalid_scope",
	KindLoginRequired:     "login_required",
	KindRateLimited:       "temporarily_unavailable",
	KindProviderTrouble:   "server_error",
	KindRedirectMismatch:  "redirect_uri_mismatch",
}

func (c Callback) clone() Callback {
	c.Names = maps.Clone(c.Names)
	c.Keep = slices.Clone(c.Keep)
	c.Errors = slices.Clone(c.Errors)
	return c
}
