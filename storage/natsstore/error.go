package natsstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// What ends a call whose own context isn't done.
var (
	errSilent = errors.New("no server answered in time: the bucket may have no leader just now, or this user isn't allowed what the documentation of natsstore lists")
	errBroken = errors.New("the connection broke before the answer came")
)

// codeOf returns what a server says that is wrong, 0 if err isn't a server's.
func codeOf(err error) jetstream.ErrorCode {
	var told *jetstream.APIError
	if errors.As(err, &told) {
		return told.ErrorCode
	}
	return 0
}

// The codes of refusals that package jetstream has no name for.
const (
	codeNoLeader              = 10008
	codeInsufficientResources = 10023
	codeAccountLimit          = 10002
	codeMessageTooLarge       = 10054
	codeStoreFailed           = 10077
)

// advice says what to do about an error, and is "" where nothing is known. If refused, the
// error came before anything was written.
func advice(err error) (what string, refused bool) {
	switch codeOf(err) {
	case jetstream.JSErrCodeStreamNotFound:
		return "make the bucket with JetStream.CreateKeyValue", true
	case codeNoLeader:
		return "wait until the bucket's leader is back", true
	case codeMessageTooLarge:
		return "raise the bucket's MaxValueSize", true
	case codeAccountLimit, codeInsufficientResources:
		return "raise the account's or the server's limits of JetStream", true
	case codeStoreFailed:
		return "see the bucket's MaxBytes, and the server's log", false
	}
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return "raise the server's max_payload", true
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return "make the bucket with JetStream.CreateKeyValue, or wait until its leader is back", true
	case errors.Is(err, nats.ErrReconnectBufExceeded):
		return "wait until a server can be reached", true
	case errors.Is(err, nats.ErrConnectionClosed):
		return "close the connection after the last use of the Store", false
	}
	return "", false
}

// failure is what a method that reads returns for err: the context's error if that is
// why.
func failure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("natsstore: %w", advised(err))
}

// unwritten is the error of a write. Only a refusal says that nothing was written: what
// was given up may be on its way, or wait for a connection.
func unwritten(ctx context.Context, err error) error {
	if _, refused := advice(err); refused {
		return fmt.Errorf("natsstore: nothing was written: %w", advised(err))
	}
	if err = advised(err); ctx.Err() != nil {
		err = ctx.Err()
	}
	return fmt.Errorf("natsstore: the record may have been written or not: read it again: %w", err)
}

// advised adds what to do about err.
func advised(err error) error {
	switch { // not the caller's context
	case errors.Is(err, context.DeadlineExceeded):
		return errSilent
	case errors.Is(err, context.Canceled):
		return errBroken
	}
	if what, _ := advice(err); what != "" {
		return fmt.Errorf("%w (%s)", err, what)
	}
	return err
}
