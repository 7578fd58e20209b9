package redact

import (
	"cmp"
	"errors"
	"reflect"
)

// maxErrorText bounds the text of an error that had a secret in it, in bytes.
const maxErrorText = 300

// Error returns err if its text holds none of the secrets, and else an error that
// has the rest of its text. That one leads to nothing else, by Unwrap or by a field
// that something could print, but errors.Is finds in it what is in err, and
// errors.As those parts of err whose own text holds no secret: a timeout is still
// one, and so is a connection that was never made.
func Error(err error, secrets []string) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	if Text(text, secrets) == text {
		return err
	}
	var timeout interface{ Timeout() bool }
	return &redactedError{
		timeout: errors.As(err, &timeout) && timeout.Timeout(),
		text:    cmp.Or(Line(text, maxErrorText, secrets), Mark),
		is:      func(target error) bool { return errors.Is(err, target) },
		as:      func(target any) bool { return as(err, target, secrets) },
	}
}

// redactedError has functions for fields, since what prints values follows pointers,
// but can't look into a function.
type redactedError struct {
	text    string
	timeout bool
	is      func(error) bool
	as      func(any) bool
}

func (e *redactedError) Error() string        { return e.text }
func (e *redactedError) Timeout() bool        { return e.timeout } // url.Error asks
func (e *redactedError) Is(target error) bool { return e.is(target) }
func (e *redactedError) As(target any) bool   { return e.as(target) }

// as sets target to the first error in err that has its type, if no secret stands
// in that one's text.
func as(err error, target any, secrets []string) bool {
	found := reflect.New(reflect.TypeOf(target).Elem())
	if !errors.As(err, found.Interface()) {
		return false
	}
	part, ok := found.Elem().Interface().(error)
	if !ok || Text(part.Error(), secrets) != part.Error() {
		return false
	}
	reflect.ValueOf(target).Elem().Set(found.Elem())
	return true
}
