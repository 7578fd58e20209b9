package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/pkce"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// The exit codes, which the documentation lists.
const (
	exitOK          = 0
	exitFailure     = 1   // anything else
	exitUsage       = 2   // the command line isn't right
	exitLogin       = 3   // only the user, by a login, can restore the connection
	exitLater       = 4   // the provider has trouble or wants to be left alone for a while
	exitSetup       = 5   // a client, or the configuration, has to be changed
	exitStore       = 6   // the store, a record or a key can't be used
	exitRefused     = 7   // the API answered curl --fail with an error
	exitInterrupted = 130 // by Ctrl-C, as shells have it
)

// failure is an error with an exit code of its own, and what to do about it.
type failure struct {
	code int
	err  error
	do   string // "" if the error says it
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func usage(format string, args ...any) error {
	return &failure{code: exitUsage, err: fmt.Errorf(format, args...)}
}

func setup(format string, args ...any) error {
	return &failure{code: exitSetup, err: fmt.Errorf(format, args...)}
}

func storeFailure(format string, args ...any) error {
	return &failure{code: exitStore, err: fmt.Errorf(format, args...)}
}

// exitCode returns the code for an error, and what to do about it if that is known.
func exitCode(err error) (code int, do string) {
	var own *failure
	var token *tokensource.Error
	switch {
	case err == nil:
		return exitOK, ""
	case errors.As(err, &own):
		return own.code, own.do
	case errors.As(err, &token):
		a := adviceFor(token.Reason)
		return a.exit, a.actFor(token.Connection)
	case errors.Is(err, context.Canceled):
		return exitInterrupted, ""
	case errors.Is(err, storage.ErrOpen):
		return exitStore, ""
	case errors.Is(err, pkce.ErrMisconfigured):
		return exitSetup, ""
	case errors.Is(err, pkce.ErrDenied):
		return exitLogin, ""
	}
	switch endpoints.KindOf(err) {
	case endpoints.KindRateLimited, endpoints.KindProviderTrouble:
		return exitLater, ""
	case endpoints.KindClientRejected, endpoints.KindRedirectMismatch:
		return exitSetup, ""
	case endpoints.KindLoginRequired, endpoints.KindDenied, endpoints.KindCodeRejected:
		return exitLogin, ""
	}
	return exitFailure, ""
}

// isBrokenPipe reports whether the reader of the output has gone, which is no failure.
func isBrokenPipe(err error) bool { return errors.Is(err, syscall.EPIPE) }

// explain returns an error as people read it, on one line for each part.
func explain(err error, now time.Time) string {
	var token *tokensource.Error
	if errors.As(err, &token) && token.Reason == tokensource.ReasonNotConnected {
		return fmt.Sprintf("there is no connection %s", printable(token.Connection))
	}
	text := inCommandWords.Replace(err.Error())
	if token != nil && !token.NextTry.IsZero() {
		text = strings.ReplaceAll(text, "; next try after "+token.NextTry.UTC().Format(time.RFC3339), "; it is tried again "+relative(token.NextTry, now))
	}
	return escaped(text)
}
