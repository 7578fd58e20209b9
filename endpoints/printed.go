package endpoints

import (
	"fmt"
	"log/slog"
)

// What is secret in a Request and a Response stays out of package fmt, log/slog,
// and encoding/json and its like. There is no way back from what they print.

func (r Request) printed() string {
	return fmt.Sprintf("endpoints.Request(%s, secrets redacted)", r.Grant)
}

func (r Response) printed() string {
	return fmt.Sprintf("endpoints.Response(%s, status %d, secrets redacted)", r.Grant, r.Status)
}

// Format keeps the secrets out of every verb of package fmt.
func (r Request) Format(f fmt.State, _ rune) { fmt.Fprint(f, r.printed()) }

// MarshalText keeps the secrets out of encoding/json and its like.
func (r Request) MarshalText() ([]byte, error) { return []byte(r.printed()), nil }

// LogValue keeps the secrets out of log/slog.
func (r Request) LogValue() slog.Value { return slog.StringValue(r.printed()) }

// Format keeps the secrets out of every verb of package fmt.
func (r Response) Format(f fmt.State, _ rune) { fmt.Fprint(f, r.printed()) }

// MarshalText keeps the secrets out of encoding/json and its like.
func (r Response) MarshalText() ([]byte, error) { return []byte(r.printed()), nil }

// LogValue keeps the secrets out of log/slog.
func (r Response) LogValue() slog.Value { return slog.StringValue(r.printed()) }
