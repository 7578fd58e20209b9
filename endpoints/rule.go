package endpoints

import (
	"strings"

	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// ErrorRule says what an error means. In a list of rules, of which there are 1000 at
// most, the first that matches decides, before what is known of the codes of the RFCs
// and of many servers.
//
//	{Code: "40029", Kind: KindLoginRequired}
//	{Status: 403, In: "errors.details", Code: "* has expired", Kind: KindTokenRejected}
//
// A rule without In and Code is a last resort: it is for answers whose code says
// nothing, or that have none. It isn't applied to a page (text/html), which may be a
// firewall's; but in API.Errors it is, unless it is of [KindLoginRequired].
type ErrorRule struct {
	// Status is the HTTP status. Zero means any, except in API.Errors, where it is
	// required.
	Status int `json:"status,omitzero"`

	// In is the member that is compared with Code. Empty means the error code,
	// wherever it is found.
	In string `json:"in,omitzero"`

	// Code is the text of the member, where a "*" stands for any text. Letter
	// case counts. Empty means any, also none.
	Code string `json:"code,omitzero"`

	// Kind is what it means.
	Kind ErrorKind `json:"kind,omitzero"`
}

// matchesCode reports whether a text is what the pattern says, in which a "*" stands
// for any text. The empty pattern is any text.
func matchesCode(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == "" || pattern == s
	}
	s, ok := strings.CutPrefix(s, parts[0])
	for _, part := range parts[1 : len(parts)-1] {
		var found bool
		_, s, found = strings.Cut(s, part)
		ok = ok && found
	}
	return ok && strings.HasSuffix(s, parts[len(parts)-1])
}

// isLastResort reports whether r goes by the status alone, or by nothing.
func (r *ErrorRule) isLastResort() bool { return r.In == "" && r.Code == "" }

// ruleFor returns the first rule that matches an answer by its members, and the error
// code that it goes by if that is one of codes.
func ruleFor(rules []ErrorRule, status int, members map[string]any, codes []string) (rule *ErrorRule, code string) {
	for i := range rules {
		r := &rules[i]
		if r.isLastResort() || r.Status != 0 && r.Status != status {
			continue
		}
		if r.In != "" {
			if v := find(members, r.In); v != nil && matchesCode(r.Code, memberText(v)) {
				return r, ""
			}
			continue
		}
		for _, code := range codes {
			if matchesCode(r.Code, code) {
				return r, code
			}
		}
	}
	return nil, ""
}

// lastResort returns the first rule that goes by the status alone.
func lastResort(rules []ErrorRule, status int) *ErrorRule {
	for i := range rules {
		if r := &rules[i]; r.isLastResort() && (r.Status == 0 || r.Status == status) {
			return r
		}
	}
	return nil
}

// meanings are what the kinds that a definition can give are called in package
// tokenerror. A code and a refresh token are both grants: which one it was depends
// on the request.
var meanings = map[ErrorKind]tokenerror.Kind{
	KindCodeRejected:      tokenerror.GrantRejected,
	KindLoginRequired:     tokenerror.GrantRejected,
	KindRedirectMismatch:  tokenerror.RedirectMismatch,
	KindClientRejected:    tokenerror.ClientRejected,
	KindInsufficientScope: tokenerror.InsufficientScope,
	KindRateLimited:       tokenerror.RateLimited,
	KindProviderTrouble:   tokenerror.Unavailable,
	KindUnreadable:        tokenerror.Unreadable,
	KindDenied:            tokenerror.Denied,
}

// codes are the RFC's codes for the kinds, for an error that has none of its own.
var codes = map[tokenerror.Kind]string{
	tokenerror.GrantRejected:     "invalid_grant",
	tokenerror.RedirectMismatch:  "redirect_uri_mismatch",
	tokenerror.ClientRejected:    "invalid_client",
	tokenerror.InsufficientScope: "insufficient_scope",
	tokenerror.RateLimited:       "too_many_requests",
	tokenerror.Unavailable:       "server_error",
	tokenerror.Unreadable:        tokenerror.CodeUnreadable,
	tokenerror.Denied:            "access_denied",
}
