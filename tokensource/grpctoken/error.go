package grpctoken

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/oauth2keep/oauth2keep/tokensource"
)

// tokenError is the error of a call for which there is no token: that of tokensource, with
// a gRPC code.
type tokenError struct {
	error
	code codes.Code
}

// GRPCStatus is what package status looks for.
func (e *tokenError) GRPCStatus() *status.Status { return status.New(e.code, e.Error()) }

func (e *tokenError) Unwrap() error { return e.error }

func withCode(err error) error {
	code := codes.Unavailable
	var ours *tokensource.Error // whose cause can be the end of another context
	switch {
	case errors.Is(err, tokensource.ErrLoginRequired):
		code = codes.Unauthenticated
	case errors.As(err, &ours):
	case errors.Is(err, context.Canceled):
		code = codes.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		code = codes.DeadlineExceeded
	}
	return &tokenError{err, code}
}
