// Package loginerror says what is to be done about an error of a login, by the sentinels
// that are package pkce's, and makes one that holds no secret of an error of a request.
package loginerror

import (
	"errors"

	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// The three things that can be done, as package pkce documents them.
var (
	ErrStartAgain    = errors.New("pkce: start again")
	ErrDenied        = errors.New("pkce: the user said no")
	ErrMisconfigured = errors.New("pkce: the application is misconfigured")
)

// ActionOf says what to do about an error of that kind.
func ActionOf(kind tokenerror.Kind) error {
	switch kind {
	case tokenerror.Denied:
		return ErrDenied
	case tokenerror.RedirectMismatch, tokenerror.ClientRejected, tokenerror.NotAdapted:
		return ErrMisconfigured
	}
	return ErrStartAgain
}
